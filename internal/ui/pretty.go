package ui

import (
	"bytes"
	"encoding/hex"
	"html/template"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// The bounds of what a page shows of a body; the whole of it can be downloaded.
const (
	maxPretty = 512 << 10
	maxRaw    = 64 << 10
	maxHex    = 4 << 10
)

// body is what a page shows of a delivery's body.
type body struct {
	JSON template.HTML // indented and coloured, "" when it is no JSON
	Text string        // as it arrived, when it is text
	Hex  string        // else its first bytes
	Size int
	Cut  bool // there is more than Text or Hex has
}

func newBody(b []byte) body {
	out := body{Size: len(b)}
	if len(b) <= maxPretty {
		out.JSON = prettyJSON(b)
	}
	if !utf8.Valid(b) {
		out.Hex, out.Cut = hex.Dump(b[:min(len(b), maxHex)]), len(b) > maxHex
		return out
	}
	out.Text, out.Cut = string(b), len(b) > maxRaw
	if out.Cut {
		out.Text = strings.ToValidUTF8(out.Text[:maxRaw], "")
	}
	return out
}

// prettyJSON indents and colours a JSON document; "" when it is none.
func prettyJSON(b []byte) template.HTML {
	trimmed := bytes.TrimSpace(b)
	if len(trimmed) == 0 {
		return ""
	}
	indented, err := jsontext.AppendFormat(nil, trimmed, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true), jsontext.WithIndent("  "), jsontext.PreserveRawStrings(true))
	if err != nil {
		return ""
	}
	return colorJSON(indented)
}

// colorJSON marks the tokens of a valid document. Everything between its marks is escaped.
func colorJSON(doc []byte) template.HTML {
	var out strings.Builder
	for i := 0; i < len(doc); {
		n, class := jsonToken(doc[i:])
		text := template.HTMLEscapeString(clean(string(doc[i : i+n])))
		if class == "" {
			out.WriteString(text)
		} else {
			out.WriteString(`<span class="` + class + `">` + text + `</span>`)
		}
		i += n
	}
	return template.HTML(out.String())
}

// jsonToken is the length of the token that a valid document goes on with, and its class.
func jsonToken(doc []byte) (n int, class string) {
	switch c := doc[0]; {
	case c == '"':
		for n = 1; n < len(doc) && doc[n] != '"'; n++ {
			if doc[n] == '\\' {
				n++
			}
		}
		n = min(n+1, len(doc))
		if n < len(doc) && doc[n] == ':' {
			return n, "j-k"
		}
		return n, "j-s"
	case c == '-' || c >= '0' && c <= '9':
		return wordLength(doc, "+-.eE0123456789"), "j-n"
	case c >= 'a' && c <= 'z':
		return wordLength(doc, "abcdefghijklmnopqrstuvwxyz"), "j-w"
	}
	for n = 1; n < len(doc) && strings.IndexByte(" \n\t,:[]{}", doc[n]) >= 0; n++ {
	}
	return n, ""
}

func wordLength(doc []byte, letters string) int {
	n := 1
	for n < len(doc) && strings.IndexByte(letters, doc[n]) >= 0 {
		n++
	}
	return n
}
