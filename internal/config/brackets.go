package config

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Inside […] and {…} YAML takes the braces of a reference without quotes for its own:
// secret: [${file:new}, ${OLD}] is no YAML. People write it all the same, and what they mean is
// never in doubt. So a file that cannot be parsed is parsed again with what YAML would trip over
// in references replaced by characters of the private use area, one for one, so that every place
// stays where it is; then they are put back.

// private is where a character goes.
const private = 0xe000

// tripping are the characters of a reference that mean something to YAML between brackets.
const tripping = "{}[],:#"

// shielded returns data with its references out of YAML's way; nil when there is nothing to do.
func shielded(data []byte) []byte {
	if bytes.ContainsFunc(data, isPrivate) || !bytes.Contains(data, []byte("${")) {
		return nil
	}
	var out bytes.Buffer
	for len(data) > 0 {
		at := bytes.Index(data, []byte("${"))
		if at < 0 {
			break
		}
		out.Write(data[:at])
		data = data[at:]
		end := spanEnd(data)
		for _, r := range string(data[:end]) {
			if strings.ContainsRune(tripping, r) {
				r += private
			}
			out.WriteRune(r)
		}
		data = data[end:]
	}
	out.Write(data)
	return out.Bytes()
}

// spanEnd is the length of the reference or template that text begins with, or of its "$" when
// it does not end on its line.
func spanEnd(text []byte) int {
	depth := 0
	for i, c := range text {
		switch c {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i + 1
			}
		case '\n', '\r':
			return 1
		}
	}
	return 1
}

func isPrivate(r rune) bool { return r >= private && r <= private+0x7f }

// restore puts the characters back in everything that was parsed.
func restore(y *yaml.Node) {
	for _, text := range []*string{&y.Value, &y.HeadComment, &y.LineComment, &y.FootComment} {
		if strings.ContainsFunc(*text, isPrivate) {
			*text = strings.Map(func(r rune) rune {
				if isPrivate(r) {
					return r - private
				}
				return r
			}, *text)
		}
	}
	for _, child := range y.Content {
		restore(child)
	}
}
