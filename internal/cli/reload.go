package cli

import (
	"errors"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// reloadCmd is "reload".
type reloadCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (reloadCmd) Help() string {
	return `The daemon reads its configuration again, as it does by itself when a file changes and on SIGHUP. A configuration with problems changes nothing: the problems are printed, and the exit status is 3.`
}

// Run reloads.
func (c reloadCmd) Run(e *env) error {
	return e.daemon(func(client *admin.Client) error {
		r, err := client.Reload(e.ctx)
		var refused *admin.Problem
		if errors.As(err, &refused) && len(refused.Problems) > 0 {
			if c.JSON {
				if err := writeJSON(e.stdout, refused); err != nil {
					return err
				}
			}
			e.problems(refused.Problems)
			return broken(refused)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(e.stdout, r)
		}
		e.problems(r.Problems)
		if r.Changed {
			fmt.Fprintf(e.stdout, "reloaded, digest %s\n", printable(r.Digest))
		} else {
			fmt.Fprintf(e.stdout, "nothing has changed, digest %s\n", printable(r.Digest))
		}
		for _, key := range r.NeedsRestart {
			e.say("%s has changed and needs a restart", printable(key))
		}
		return nil
	})
}

// problems prints what the daemon found in its configuration.
func (e *env) problems(found []admin.Diagnostic) {
	for _, d := range found {
		place := ""
		if d.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d: ", d.File, d.Line, d.Column)
		} else if d.File != "" {
			place = d.File + ": "
		}
		if d.Severity == "warning" {
			place += "warning: "
		}
		fmt.Fprintf(e.stderr, "%s%s\n", e.err.paint(bold, printable(place)), printable(d.Message))
		for _, hint := range d.Hints {
			fmt.Fprintf(e.stderr, "   %s\n", printable(hint))
		}
	}
}
