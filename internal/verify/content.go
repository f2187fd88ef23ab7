package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/tenterhook/tenterhook/internal/request"
)

// placeholders are the names known in signed:, those that end in a colon with an argument.
var placeholders = []string{"body", "timestamp", "id", "method", "url", "path", "query", "form", "body_sha256", "header:", "query:", "field:"}

// content writes what is signed, after a template such as "{timestamp}.{body}".
type content struct {
	template  string
	timestamp string
	id        string
	secret    []byte // of a plain hash
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
	case "form":
		return SortedForm(r, "")
	case "body_sha256":
		sum := sha256.Sum256(r.Body)
		return hex.EncodeToString(sum[:]), nil
	case "secret":
		return string(c.secret), nil
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

// address is the request's URL as the sender wrote it, seen from here: https unless it is known
// to be http, with the Host header's host and the query as it came.
func address(r *request.Request) string {
	scheme := "https"
	if r.Scheme != "" {
		scheme = r.Scheme
	}
	address := scheme + "://" + r.Host + escapedPath(r)
	if r.RawQuery != "" {
		address += "?" + r.RawQuery
	}
	return address
}

func escapedPath(r *request.Request) string {
	if r.RawPath != "" {
		return r.RawPath
	}
	return (&url.URL{Path: r.Path}).EscapedPath()
}

// URL is the address the sender signed, as far as it can be seen from here.
func URL(r *request.Request) string { return address(r) }

// URLs are the forms in which a sender may have known the request's address, at most 12: with and
// without the port, and with the scheme's usual one; http, too, when the scheme is not known.
func URLs(r *request.Request) []string {
	schemes := []string{r.Scheme}
	if r.Scheme == "" {
		schemes = []string{"https", "http"}
	}
	path, query := escapedPath(r), ""
	if r.RawQuery != "" {
		query = "?" + r.RawQuery
	}
	rests := []string{path + query}
	if path == "/" { // an address without a path is asked for by this one
		rests = append(rests, query)
	}
	host, bare := r.Host, r.Host
	if at := strings.LastIndexByte(host, ':'); at >= 0 && !strings.HasSuffix(host, "]") {
		bare = host[:at]
	}
	var out []string
	for _, scheme := range schemes {
		port := map[string]string{"https": ":443", "http": ":80"}[scheme]
		for _, h := range []string{host, bare, bare + port} {
			for _, rest := range rests {
				if u := scheme + "://" + h + rest; !slices.Contains(out, u) {
					out = append(out, u)
				}
			}
		}
	}
	return out
}

// maxForm bounds the parameters of a signed form.
const maxForm = 1000

// SortedForm is a form body's parameters by name, each name followed by its value, with sep
// between them. Of a repeated one the different values follow each other, sorted. A body that is
// no form has none.
func SortedForm(r *request.Request, sep string) (string, error) {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if media = strings.TrimSpace(media); media != "" && !strings.EqualFold(media, "application/x-www-form-urlencoded") {
		return "", nil
	}
	form, err := url.ParseQuery(string(r.Body))
	if err != nil || len(form) > maxForm {
		return "", errors.New("body is not a form")
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(form)) {
		values := slices.Clone(form[name])
		slices.Sort(values)
		for _, value := range slices.Compact(values) {
			if out.Len() > 0 {
				out.WriteString(sep)
			}
			out.WriteString(name + value)
		}
	}
	return out.String(), nil
}

// signedHeaders are those that a template names.
func signedHeaders(template string) (names []string) {
	for rest := template; rest != ""; {
		_, name, after := nextPart(rest)
		rest = after
		if of, ok := strings.CutPrefix(name, "header:"); ok {
			names = append(names, of)
		}
	}
	return names
}

// has reports whether a template uses a placeholder.
func has(template, placeholder string) bool {
	return strings.Contains(template, "{"+placeholder+"}")
}

func checkTemplate(template string, plain bool) []Problem {
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
		if name != "" && !knownPlaceholder(name) && !(plain && name == "secret") {
			p := Problem{Path: path, Message: fmt.Sprintf("signed has an unknown placeholder {%s}", name)}
			if near := nearest(name, placeholders); near != "" {
				p.Hints = append(p.Hints, fmt.Sprintf("did you mean {%s}?", strings.Replace(near, ":", ":NAME", 1)))
			}
			p.Hints = append(p.Hints, "known are {body} {timestamp} {id} {method} {url} {path} {query} {form} {body_sha256} {header:NAME} {query:NAME} {field:a.b}")
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
