package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
)

// Compile compiles what a scalar says, and reports what is wrong with it at its place. ok is
// false after a problem.
//
// " #" begins a comment in YAML, and # is a word of expressions: any(list, # > 1), written
// without quotes, ends at the #. Where that cannot be compiled and the whole line can, the line
// is meant; a warning says so.
func Compile[T any](t Text, d *Diagnostics, compile func(source string) (T, error)) (compiled T, ok bool) {
	compiled, err := compile(t.Value)
	if err == nil {
		return compiled, true
	}
	whole, cut := t.PastComment()
	if cut {
		if compiled, errWhole := compile(whole.Value); errWhole == nil {
			d.WarnPastComment(whole)
			return compiled, true
		}
	}
	problem := d.Within(t, err)
	if cut {
		problem.Hint(`" #" begins a comment in YAML: put the expression in quotes`)
	}
	return compiled, false
}

// WarnPastComment warns that a text was read past what YAML takes for a comment.
func (d *Diagnostics) WarnPastComment(whole Text) {
	d.Warnf(whole, `" #" begins a comment in YAML; it is read as part of the expression`).Hint("put the expression in quotes, so that other programs read it the same")
}

// PastComment is the text with the comment behind it; false when there is none, or when the
// text is quoted or has several lines.
func (t Text) PastComment() (Text, bool) {
	n := t.node
	src := n.source()
	if n.y == nil || src == nil || n.y.Kind != yaml.ScalarNode || n.y.Style != 0 || n.y.Line < 1 || n.y.Line > len(src.lines) {
		return Text{}, false
	}
	line := []rune(src.lines[n.y.Line-1])
	if n.y.Column < 1 || n.y.Column > len(line) {
		return Text{}, false
	}
	rest := strings.TrimRight(string(line[n.y.Column-1:]), " \t\r")
	behind, found := strings.CutPrefix(rest, n.y.Value)
	if !found || len(behind) == len(strings.TrimLeft(behind, " \t")) || !strings.HasPrefix(strings.TrimLeft(behind, " \t"), "#") {
		return Text{}, false
	}
	y := *n.y
	y.Value = rest
	n.l.origin[&y] = src
	var d Diagnostics
	whole := Node{y: &y, l: n.l}.Text(&d)
	return whole, d.Err() == nil
}
