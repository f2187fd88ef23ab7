package cli

import (
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// pauseCmd is "pause".
type pauseCmd struct {
	Names []string `arg:"" complete:"rules" name:"HOOK[/RULE]" help:"Hooks, or single rules of them."`
}

// Help is the longer text of the command.
func (pauseCmd) Help() string {
	return `Deliveries are taken in as always and their jobs wait, until "resume" and over restarts. What runs is not touched.

Examples:

    tenterhook pause site
    tenterhook pause site/deploy
`
}

// Run pauses.
func (c *pauseCmd) Run(e *env) error { return e.setPauses(c.Names, true) }

// resumeCmd is "resume".
type resumeCmd struct {
	Names []string `arg:"" complete:"rules" name:"HOOK[/RULE]" help:"Hooks, or single rules of them."`
}

// Help is the longer text of the command.
func (resumeCmd) Help() string {
	return `The jobs that waited start in their order, as the rule's concurrency, throttle and start_within allow.`
}

// Run resumes.
func (c *resumeCmd) Run(e *env) error { return e.setPauses(c.Names, false) }

func (e *env) setPauses(names []string, on bool) error {
	word := map[bool]string{true: "paused", false: "resumed"}[on]
	return e.daemon(func(client *admin.Client) error {
		for _, name := range names {
			hook, rule, _ := strings.Cut(name, "/")
			if err := client.SetPause(e.ctx, hook, rule, on); err != nil {
				return fmt.Errorf("%s: %w", printable(name), err)
			}
			fmt.Fprintf(e.stdout, "%s %s\n", printable(name), word)
		}
		return nil
	})
}
