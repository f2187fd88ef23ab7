package cli

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text of senders reaches terminals: header values, paths, event names, output of commands that
// echo a payload. A terminal obeys what it reads, so nothing that could move a cursor, set a
// title, reach the clipboard or turn the direction of text gets there unescaped.

// printable escapes s for one line.
func printable(s string) string { return escape(s, "") }

// printableText escapes s but keeps its lines and tabs.
func printableText(s string) string { return escape(s, "\n\t") }

// colors is what output may say to a terminal: SGR sequences change how text looks and nothing
// else.
var colors = regexp.MustCompile("\x1b\\[[0-9;:]*m")

// printableOutput escapes s but keeps its lines, tabs and colours. It ends with the colours
// reset when there were any.
func printableOutput(s string) string {
	if colors.MatchString(s) {
		return printableColors(s) + "\x1b[0m"
	}
	return printableColors(s)
}

// printableColors is printableOutput for a piece of more.
func printableColors(s string) string {
	var b strings.Builder
	from := 0
	for _, at := range colors.FindAllStringIndex(s, -1) {
		b.WriteString(printableText(withoutCR(s[from:at[0]])))
		b.WriteString(s[at[0]:at[1]])
		from = at[1]
	}
	b.WriteString(printableText(withoutCR(s[from:])))
	return b.String()
}

// withoutCR makes the line ends of terminals ordinary ones. A CR alone stays, and is escaped:
// it would let a line write over itself.
func withoutCR(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// printableJSON escapes, the way JSON does, what JSON lets stand: it stays the same document.
func printableJSON(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x7f || harmless(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		}
	}
	return b.String()
}

func escape(s, keep string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !harmless(r) || r == utf8.RuneError }) < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case harmless(r) || strings.ContainsRune(keep, r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80:
			fmt.Fprintf(&b, `\x%02x`, r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			fmt.Fprintf(&b, `\U%08x`, r)
		}
		i += n
	}
	return b.String()
}

// harmless reports whether a terminal only shows r: a graphic character or a plain space.
// Format characters (bidirectional marks, joiners, tags), controls, line separators and private
// ones are none.
func harmless(r rune) bool { return unicode.IsPrint(r) }
