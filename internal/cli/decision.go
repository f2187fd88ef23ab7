package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
)

// printExplanation writes an explanation for people.
func printExplanation(e *env, x hook.Explanation) {
	rows := [][2]string{
		{"hook", printable(x.Hook)},
		{"verified", e.verification(x)},
		{"key", printable(x.DeliveryKey)},
		{"event", printable(x.Event)},
	}
	if x.PayloadError != "" {
		rows = append(rows, [2]string{"payload", e.out.paint(red, printable(x.PayloadError))})
	}
	if x.Handshake != nil {
		rows = append(rows, [2]string{"handshake", fmt.Sprintf("answered %d %s", x.Handshake.Status, printable(x.Handshake.Body))})
	}
	facts(e.stdout, e.out, rows...)
	for i := range x.Rules {
		e.ruleExplanation(&x.Rules[i])
	}
}

func (e *env) verification(x hook.Explanation) string {
	switch {
	case !x.Verified:
		return e.out.paint(red, "no, answered 401") + ": " + printable(x.Reason)
	case x.Secret < 0:
		return e.out.paint(green, "yes")
	case x.Secrets > 1:
		return e.out.paint(green, "yes") + fmt.Sprintf(", by secret %d of %d", x.Secret+1, x.Secrets)
	}
	return e.out.paint(green, "yes") + fmt.Sprintf(", by secret %d", x.Secret+1)
}

func (e *env) ruleExplanation(r *hook.RuleExplanation) {
	verdict := e.verdict(r.Verdict)
	if r.Then != "" && r.Then != r.Verdict {
		verdict += e.out.paint(yellow, ", when it arrived: "+verdictWord(r.Then))
	}
	fmt.Fprintf(e.stdout, "\n%s  %s\n", e.out.paint(bold, "rule "+printable(r.Rule)), verdict)
	e.condition(r.Match, r.Values, r.Error, r.Cut)
	switch {
	case r.Lane != nil:
		fmt.Fprintf(e.stdout, "  %s %s, %d at a time, then %s\n", e.out.paint(faint, "lane"), printable(quotedIfEmpty(r.Lane.Key)), r.Lane.Limit, r.Lane.Overflow)
	case r.ConcurrencyKey != "":
		fmt.Fprintf(e.stdout, "  %s %s\n", e.out.paint(faint, "lane"), printable(r.ConcurrencyKey))
	}
	if r.On != "" {
		fmt.Fprintf(e.stdout, "  %s %s\n", e.out.paint(faint, "on"), printable(r.On))
	}
	if r.Keys != nil {
		text, _ := json.Marshal(r.Keys) // of texts and numbers: it cannot fail
		fmt.Fprintf(e.stdout, "  %s %s\n", e.out.paint(faint, "keys"), printable(string(text)))
	}
	if r.Action != nil {
		fmt.Fprintf(e.stdout, "  %s\n", e.out.paint(faint, "would run"))
		e.tree(r.Action, "    ")
	}
}

func quotedIfEmpty(s string) string {
	if s == "" {
		return "of the rule"
	}
	return s
}

func verdictWord(v job.Verdict) string {
	if v == job.NoMatch {
		return "no match"
	}
	return string(v)
}

func (e *env) verdict(v job.Verdict) string {
	how := map[job.Verdict]style{job.Match: green, job.NoMatch: faint, job.Error: red}[v]
	return e.out.paint(how, verdictWord(v))
}

// widestExpr is the most columns that expressions take before their values are no longer aligned
// with them.
const widestExpr = 56

// condition shows the condition of a rule and what its parts came to: one that is true with a
// tick, one that is false with a cross.
func (e *env) condition(match string, values []job.RuleValue, failure string, cut bool) {
	if match != "" {
		fmt.Fprintln(e.stdout, e.out.paint(faint, indent(printableText(match))))
	}
	width := 0
	for _, v := range values {
		if w := ansi.StringWidth(printable(v.Expr)); w <= widestExpr {
			width = max(width, w)
		}
	}
	told := false
	for _, v := range values {
		mark, how, shown := " ", plain, string(v.Value)
		switch {
		case v.Error != "":
			mark, how, shown, told = "!", red, v.Error, true
			if failure != "" {
				shown = failure
			}
		case shown == "true":
			mark, how = "✓", green
		case shown == "false":
			mark, how = "✗", yellow
		}
		expr := printable(v.Expr)
		pad := strings.Repeat(" ", max(0, width-ansi.StringWidth(expr)))
		fmt.Fprintf(e.stdout, "  %s %s%s  %s\n", e.out.paint(how, mark), expr, pad, e.out.paint(how, printable(shown)))
	}
	if failure != "" && !told {
		fmt.Fprintf(e.stdout, "  %s %s\n", e.out.paint(red, "!"), e.out.paint(red, printable(failure)))
	}
	if cut {
		fmt.Fprintln(e.stdout, e.out.paint(faint, "    … more values than are kept"))
	}
}

// firstKeys are the parts of an action that people look for first.
var firstKeys = []string{"run", "exec", "http", "method", "url"}

// tree shows a mapping, one name a line, what is in it further in.
func (e *env) tree(m map[string]any, margin string) {
	rank := func(name string) int {
		if i := slices.Index(firstKeys, name); i >= 0 {
			return i
		}
		return len(firstKeys)
	}
	names := slices.SortedFunc(maps.Keys(m), func(a, b string) int {
		return cmp.Or(rank(a)-rank(b), strings.Compare(a, b))
	})
	width := 0
	for _, name := range names {
		width = max(width, ansi.StringWidth(printable(name)))
	}
	for _, name := range names {
		label := margin + e.out.paint(faint, printable(name)) + strings.Repeat(" ", width-ansi.StringWidth(printable(name)))
		switch v := m[name].(type) {
		case map[string]any:
			e.branch(label, v, margin)
		case map[string]string:
			e.branch(label, anyValues(v), margin)
		case map[string]int:
			e.branch(label, anyValues(v), margin)
		case string:
			e.leaf(label, margin, v)
		default:
			text, err := json.Marshal(v)
			if err != nil {
				text = fmt.Append(nil, v)
			}
			e.leaf(label, margin, string(text))
		}
	}
}

func anyValues[V any](m map[string]V) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

func (e *env) branch(label string, m map[string]any, margin string) {
	if len(m) > 0 {
		fmt.Fprintln(e.stdout, strings.TrimRight(label, " "))
		e.tree(m, margin+"  ")
	}
}

func (e *env) leaf(label, margin, text string) {
	text = strings.TrimRight(text, "\n")
	if strings.Contains(text, "\n") {
		block := strings.ReplaceAll(printableText(text), "\n", "\n"+margin+"  ")
		fmt.Fprintf(e.stdout, "%s\n%s  %s\n", strings.TrimRight(label, " "), margin, block)
		return
	}
	fmt.Fprintln(e.stdout, strings.TrimRight(label+"  "+printable(text), " "))
}
