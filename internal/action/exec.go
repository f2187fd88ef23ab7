package action

import (
	"slices"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
)

func init() {
	register(Kind{
		Name: "exec",
		Doc:  "Runs a program without a shell. Each element of the list is exactly one argument.",
		New:  newExec,
		Keys: func() *config.Schema {
			elements := config.ListOf(config.TextSchema())
			elements.Description = "A program and its arguments, without a shell. Each element is exactly one argument, and may be a template."
			return config.Mapping().Set("exec", elements).And(commandSchema())
		},
	})
}

func newExec(m *config.Map, rule config.Node, c Context) Action {
	d := c.Diagnostics
	cmd := newCommand("exec", m, rule, c)
	elements := m.Get("exec").List()
	if len(elements) == 0 {
		d.Errorf(rule.Key("exec"), "exec is empty").Hint(`exec: [./deploy.sh, "${{ sha }}"]`)
		return nil
	}
	for _, element := range elements {
		cmd.argv = append(cmd.argv, argument(element, c))
	}
	refuseCode(elements, cmd.argv, d)
	cmd.argv[0] = program(elements[0], cmd, d)
	if slices.Contains(cmd.argv, nil) {
		return nil
	}
	return cmd
}

// argument compiles an element of exec; nil after a problem.
func argument(element config.Node, c Context) *expression.Template {
	text := element.Text(c.Diagnostics)
	t := template(text, c)
	if t != nil {
		checkConstant(text, t, c.Diagnostics)
	}
	return t
}

// program is the first element of exec, looked up; nil after a problem that leaves none.
func program(element config.Node, cmd *command, d *config.Diagnostics) *expression.Template {
	if cmd.argv[0] == nil {
		return nil
	}
	name, constant := cmd.argv[0].Constant()
	if !constant {
		d.Errorf(element, "the program is the same for every delivery: one that the sender chose would be code").
			Hint("choose inside a script, from its arguments")
		return nil
	}
	found, err := find(name, cmd.dir)
	if err != nil {
		d.Errorf(element, "%s", err)
	}
	return literal(found)[0]
}
