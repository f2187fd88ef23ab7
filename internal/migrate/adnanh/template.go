package adnanh

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/migrate"
)

// references are what a file that is a template takes from outside. Each stands in the file's
// text as a mark until its value is written, as ${…}.
type references struct {
	texts   []string
	missing []string // what must be set before the start, for people
}

const (
	markBegin = "\ue0a0"
	markEnd   = "\ue0a1"
)

var (
	action  = regexp.MustCompile(`\{\{-?\s*(?s:(.*?))\s*-?\}\}`)
	getter  = regexp.MustCompile("^(getenv|cat|credential)\\s+(?:\"((?:[^\"\\\\]|\\\\.)*)\"|`([^`]*)`)\\s*(?:\\|\\s*js\\s*)?$")
	comment = regexp.MustCompile(`^/\*(?s:.*)\*/$`)
	mark    = regexp.MustCompile(markBegin + "([0-9]+)" + markEnd)
)

// replace puts marks for the three functions of the peer's templates: getenv, cat, credential.
// Anything else needs the template to be run, which only the peer does.
func (r *references) replace(src []byte, notes *migrate.Notes) []byte {
	var out bytes.Buffer
	last := 0
	for _, at := range action.FindAllSubmatchIndex(src, -1) {
		out.Write(src[last:at[0]])
		last = at[1]
		text := string(src[at[2]:at[3]])
		if comment.MatchString(text) {
			continue
		}
		call := getter.FindStringSubmatch(text)
		if call == nil {
			line := bytes.Count(src[:at[0]], []byte("\n")) + 1
			col := at[0] - bytes.LastIndexByte(src[:at[0]], '\n')
			notes.Refuse(line, col, "the template's {{ %s }} cannot be carried over: only getenv, cat and credential can", shorten(text)).
				Hint("write out what it makes, and import that")
			continue
		}
		argument := call[2] + call[3]
		if call[3] == "" {
			if unquoted, err := strconv.Unquote(`"` + call[2] + `"`); err == nil {
				argument = unquoted
			}
		}
		out.WriteString(markBegin + strconv.Itoa(len(r.texts)) + markEnd)
		r.add(call[1], argument)
	}
	out.Write(src[last:])
	return out.Bytes()
}

func (r *references) add(function, argument string) {
	text, needs := "${"+argument+"}", "the environment variable "+argument
	switch function {
	case "cat":
		text, needs = "${file:"+argument+"}", "the file "+argument
	case "credential":
		text, needs = "${credential:"+argument+"}", "the systemd credential "+argument
	}
	r.texts = append(r.texts, text)
	if !slices.Contains(r.missing, needs) {
		r.missing = append(r.missing, needs)
	}
}

// restore writes the references where their marks are.
func (r *references) restore(s string) string {
	return mark.ReplaceAllStringFunc(s, func(m string) string {
		i, err := strconv.Atoi(mark.FindStringSubmatch(m)[1])
		if err != nil || i >= len(r.texts) {
			return m
		}
		return r.texts[i]
	})
}

func shorten(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

// warnOfTemplate warns where a file that is taken as it stands looks like a template.
func warnOfTemplate(src []byte, notes *migrate.Notes) {
	for _, at := range action.FindAllSubmatchIndex(src, -1) {
		call := getter.FindSubmatch(src[at[2]:at[3]])
		if call == nil {
			continue
		}
		line := bytes.Count(src[:at[0]], []byte("\n")) + 1
		notes.Warn(line, at[0]-bytes.LastIndexByte(src[:at[0]], '\n'), "this looks like a template, and is taken as plain text").
			Hint("--template, as adnanh/webhook was started with -template, makes a reference such as ${%s%s} of it", call[2], call[3])
		return
	}
}
