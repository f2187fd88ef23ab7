package action

import (
	"path/filepath"
	"slices"
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
			if strings.Contains(word.Value, "${{") {
				d.Errorf(word, "shell is the same for every delivery").Hint("values of the delivery come through env:")
			}
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
		checkText(spec.Run.Text, shell[0], cmd.dir, d)
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

// checkText reads the text as its shell would. Other shells than these are not checked.
func checkText(text config.Text, shell, dir string, d *config.Diagnostics) {
	if !slices.Contains([]string{"sh", "dash", "ash", "bash"}, filepath.Base(shell)) {
		return
	}
	// What sh is differs; only what no shell reads is refused.
	script, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(text.Value), "")
	if parse, ok := err.(syntax.ParseError); ok {
		offset := int(parse.Pos.Offset())
		d.Errorf(text.Span(offset, offset+1), "the shell cannot read this: %s", parse.Text)
	}
	if err == nil {
		checkFirstCommand(script, text, dir, d)
	}
}

// checkFirstCommand warns of a script that is not there when the text begins with it. It is no
// problem: the text is the shell's, and the script may come with a checkout of another hook. What
// comes later in the text may be made by what is before it.
func checkFirstCommand(script *syntax.File, text config.Text, dir string, d *config.Diagnostics) {
	if len(script.Stmts) == 0 {
		return
	}
	cmd := script.Stmts[0].Cmd
	for {
		list, ok := cmd.(*syntax.BinaryCmd)
		if !ok {
			break
		}
		cmd = list.X.Cmd
	}
	call, ok := cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	word := call.Args[0]
	if name := word.Lit(); strings.Contains(name, "/") && !strings.ContainsAny(name, "*?[~\\") {
		if _, err := find(name, dir); err != nil {
			d.Warnf(text.Span(int(word.Pos().Offset()), int(word.End().Offset())), "%s", err)
		}
	}
}
