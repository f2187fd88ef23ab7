package action

import (
	"github.com/tenterhook/tenterhook/internal/config"
)

func init() {
	register(Kind{
		Name: "exec",
		Doc:  "Runs a program without a shell. Each element of the list is exactly one argument.",
		New:  newExec,
	})
}

func newExec(m *config.Map, rule config.Node, c Context) Action {
	d := c.Diagnostics
	cmd := newCommand("exec", m, rule, c)
	for _, element := range m.Get("exec").List() {
		if t := template(element.Text(d), c); t != nil {
			cmd.argv = append(cmd.argv, t)
		}
	}
	elements := rule.Find("exec").List()
	if len(elements) == 0 {
		d.Errorf(rule.Key("exec"), "exec is empty").Hint(`exec: [./deploy.sh, "${{ sha }}"]`)
		return nil
	}
	if len(cmd.argv) < len(elements) {
		return nil
	}
	name, constant := cmd.argv[0].Constant()
	if !constant {
		d.Errorf(elements[0], "the program is the same for every delivery: one that the sender chose would be code").
			Hint("choose inside a script, from its arguments")
		return nil
	}
	program, err := find(name, cmd.dir)
	if err != nil {
		d.Errorf(elements[0], "%s", err)
	}
	cmd.argv[0] = literal(program)[0]
	return cmd
}
