package action

import (
	"path/filepath"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
)

func init() {
	register(Kind{
		Name: "run",
		Doc:  "Runs shell text. The text is constant: values of the delivery reach it as variables (env:), never as text.",
		New:  newRun,
		Keys: func() *config.Schema { return config.SchemaOf(runSpec{}).And(commandSchema()) },
	})
}

// runSpec is what run: has beside the keys of every command.
type runSpec struct {
	Run   config.Literal `yaml:"run" doc:"Shell text, constant: values of the delivery come through env, never as text."`
	Shell []config.Text  `yaml:"shell" doc:"What runs the text." default:"sh -eu -c"`
}

var defaultShell = []string{"sh", "-eu", "-c"}

func newRun(m *config.Map, rule config.Node, c Context) Action {
	var spec runSpec
	m.Decode(&spec)
	cmd := newCommand("run", m, rule, c)
	cmd.text = spec.Run.Value
	d := c.Diagnostics
	if strings.TrimSpace(spec.Run.Value) == "" {
		d.Errorf(rule.Find("run"), "run is empty")
		return nil
	}
	shell := defaultShell
	if len(spec.Shell) > 0 {
		shell = nil
		for _, word := range spec.Shell {
			shell = append(shell, word.Value)
		}
	}
	program, err := find(shell[0], c.Dir)
	if err != nil {
		at := config.Placed(rule)
		if len(spec.Shell) > 0 {
			at = spec.Shell[0]
		}
		d.Errorf(at, "%s", err)
	}
	switch {
	case len(spec.Run.Value) > largestValue:
		d.Errorf(spec.Run, "run is larger than %d KiB: put it in a script", (largestValue+1)>>10)
	case strings.ContainsRune(spec.Run.Value, 0):
		d.Errorf(spec.Run, "run holds a NUL byte, which no argument can")
	case !refuseTemplate(spec.Run.Text, d):
		checkSyntax(spec.Run.Text, shell[0], d)
	}
	cmd.argv = literal(append(append([]string{program}, shell[1:]...), spec.Run.Value)...)
	return cmd
}

// literal makes templates of text in which nothing is an expression.
func literal(words ...string) []*expression.Template {
	out := make([]*expression.Template, len(words))
	for i, word := range words {
		out[i] = expression.Literal(word)
	}
	return out
}

// refuseTemplate refuses expressions in shell text: a payload must never become code.
func refuseTemplate(text config.Text, d *config.Diagnostics) bool {
	at := strings.Index(text.Value, "${{")
	if at < 0 {
		return false
	}
	end := len(text.Value)
	inner := "payload.…"
	if i := strings.Index(text.Value[at:], "}}"); i >= 0 {
		end = at + i + 2
		inner = strings.TrimSpace(text.Value[at+3 : end-2])
	}
	name := variableFor(inner)
	d.Errorf(text.Span(at, end), "run is shell text: an expression in it would let the sender write commands").
		Hint("env: {%s: \"${{ %s }}\"}", name, inner).
		Hint("and in run: \"$%s\"", name)
	return true
}

// variableFor makes a variable's name of an expression's last word.
func variableFor(expr string) string {
	words := strings.FieldsFunc(expr, func(r rune) bool { return !isVariableName("x" + string(r)) })
	if len(words) == 0 || !isVariableName(words[len(words)-1]) {
		return "VALUE"
	}
	return strings.ToUpper(words[len(words)-1])
}

// checkSyntax reads the text as its shell would. Other shells than these are not checked.
func checkSyntax(text config.Text, shell string, d *config.Diagnostics) {
	variant, known := map[string]syntax.LangVariant{"sh": syntax.LangPOSIX, "dash": syntax.LangPOSIX, "ash": syntax.LangPOSIX, "bash": syntax.LangBash}[filepath.Base(shell)]
	if !known {
		return
	}
	if variant == syntax.LangPOSIX {
		variant = syntax.LangBash // what sh is differs; only what no shell reads is refused
	}
	_, err := syntax.NewParser(syntax.Variant(variant)).Parse(strings.NewReader(text.Value), "")
	parse, ok := err.(syntax.ParseError)
	if !ok {
		return
	}
	offset := int(parse.Pos.Offset())
	d.Errorf(text.Span(offset, offset+1), "the shell cannot read this: %s", parse.Text)
}
