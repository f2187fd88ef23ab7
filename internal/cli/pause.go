package cli

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/config"
)

// pauseCmd is "pause".
type pauseCmd struct {
	Names []string `arg:"" complete:"rules" name:"HOOK[/RULE]" help:"Hooks, or single rules of them."`
	JSON  bool     `name:"json" help:"Print one JSON document."`
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
func (c *pauseCmd) Run(e *env) error { return e.setPauses(c.Names, true, c.JSON) }

// resumeCmd is "resume".
type resumeCmd struct {
	Names []string `arg:"" complete:"rules" name:"HOOK[/RULE]" help:"Hooks, or single rules of them."`
	JSON  bool     `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (resumeCmd) Help() string {
	return `The jobs that waited start in their order, as the rule's concurrency, throttle and start_within allow.

    tenterhook resume site`
}

// Run resumes.
func (c *resumeCmd) Run(e *env) error { return e.setPauses(c.Names, false, c.JSON) }

// unknownRule adds what a name could have meant, from the configuration's file.
func (e *env) unknownRule(name string, err error) error {
	wrapped := fmt.Errorf("%s: %w", printable(name), err)
	var refused *admin.Problem
	if !errors.As(err, &refused) || refused.Status != http.StatusNotFound {
		return wrapped
	}
	wrapped = fmt.Errorf("%s: there is no such hook or rule", printable(name))
	var known []string
	for _, h := range e.quietly().Hooks.Hooks() {
		known = append(known, h.Name)
		for _, r := range h.Rules {
			known = append(known, h.Name+"/"+r.Name)
		}
	}
	if near := config.Suggest(name, known); near != "" {
		return fail(wrapped, fmt.Sprintf("did you mean %q?", near))
	}
	return fail(wrapped, `"tenterhook check" says whether the file is right, "tenterhook reload" takes it up`)
}

// pauseSet is one hook or rule of the command's JSON.
type pauseSet struct {
	Hook   string `json:"hook"`
	Rule   string `json:"rule"` // "" for all of the hook
	Paused bool   `json:"paused"`
}

func (e *env) setPauses(names []string, on, asJSON bool) error {
	word := map[bool]string{true: "paused", false: "resumed"}[on]
	done := []pauseSet{}
	err := e.daemon(func(client *admin.Client) error {
		for _, name := range names {
			hook, rule, _ := strings.Cut(name, "/")
			if err := client.SetPause(e.ctx, hook, rule, on); err != nil {
				return e.unknownRule(name, err)
			}
			done = append(done, pauseSet{hook, rule, on})
			if !asJSON {
				fmt.Fprintf(e.stdout, "%s %s\n", printable(name), word)
			}
		}
		return nil
	})
	return alsoJSON(e, asJSON, done, err)
}
