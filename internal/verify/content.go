package verify

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// placeholders are the names known in signed:, those that end in a colon with an argument.
var placeholders = []string{"body", "timestamp", "id", "method", "url", "path", "query", "header:", "query:", "field:"}

// content writes what is signed, after a template such as "{timestamp}.{body}".
type content struct {
	template  string
	timestamp string
	id        string
}

// write never fails on w: it is a hash, or a buffer.
func (c *content) write(w io.Writer, r *request.Request) error {
	for rest := c.template; rest != ""; {
		literal, name, after := nextPart(rest)
		rest = after
		if literal != "" {
			_, _ = io.WriteString(w, literal)
		}
		switch name {
		case "":
		case "body":
			_, _ = w.Write(r.Body)
		default:
			text, err := c.value(name, r)
			if err != nil {
				return err
			}
			_, _ = io.WriteString(w, text)
		}
	}
	return nil
}

func (c *content) value(name string, r *request.Request) (string, error) {
	switch name {
	case "timestamp":
		return c.timestamp, nil
	case "id":
		return c.id, nil
	case "method":
		return r.Method, nil
	case "url":
		return address(r), nil
	case "path":
		return escapedPath(r), nil
	case "query":
		return r.RawQuery, nil
	}
	kind, of, _ := strings.Cut(name, ":")
	switch kind {
	case "header":
		return headerValue(r, of)
	case "query":
		return queryValue(r, of)
	case "field":
		return fieldValue(r, of)
	}
	return "", fmt.Errorf("signed has an unknown placeholder {%s}", name)
}

// nextPart cuts a template after its first placeholder.
func nextPart(template string) (literal, name, rest string) {
	open := strings.IndexByte(template, '{')
	if open < 0 {
		return template, "", ""
	}
	end := strings.IndexByte(template[open:], '}')
	if end < 0 {
		return template, "", ""
	}
	return template[:open], template[open+1 : open+end], template[open+end+1:]
}

// address is the request's URL as the sender wrote it, seen from here: always https, with the
// Host header's host and the query as it came.
func address(r *request.Request) string {
	address := "https://" + r.Host + escapedPath(r)
	if r.RawQuery != "" {
		address += "?" + r.RawQuery
	}
	return address
}

func escapedPath(r *request.Request) string { return (&url.URL{Path: r.Path}).EscapedPath() }

// has reports whether a template uses a placeholder.
func has(template, placeholder string) bool {
	return strings.Contains(template, "{"+placeholder+"}")
}

func checkTemplate(template string) []Problem {
	path := []string{"signed"}
	if template == "" {
		return []Problem{{Path: path, Message: "signed is empty", Hints: []string{`signed: "{body}"`}}}
	}
	var problems []Problem
	for rest := template; rest != ""; {
		literal, name, after := nextPart(rest)
		rest = after
		if strings.ContainsAny(literal, "{}") {
			problems = append(problems, Problem{Path: path, Message: "signed has a brace that belongs to no placeholder"})
			continue
		}
		if name != "" && !knownPlaceholder(name) {
			p := Problem{Path: path, Message: fmt.Sprintf("signed has an unknown placeholder {%s}", name)}
			if near := nearest(name, placeholders); near != "" {
				p.Hints = append(p.Hints, fmt.Sprintf("did you mean {%s}?", strings.Replace(near, ":", ":NAME", 1)))
			}
			p.Hints = append(p.Hints, "known are {body} {timestamp} {id} {method} {url} {path} {query} {header:NAME} {query:NAME} {field:a.b}")
			problems = append(problems, p)
		}
	}
	if strings.Contains(template, "{}") {
		problems = append(problems, Problem{Path: path, Message: "signed has an empty placeholder {}"})
	}
	return problems
}

func knownPlaceholder(name string) bool {
	for _, p := range placeholders {
		if of, takes := strings.CutSuffix(p, ":"); takes {
			kind, arg, found := strings.Cut(name, ":")
			if found && kind == of && arg != "" && (kind != "header" || isToken(arg)) {
				return true
			}
		} else if name == p {
			return true
		}
	}
	return false
}
