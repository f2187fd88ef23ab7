package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tenterhook/tenterhook/internal/admin"
)

// catchupCmd is "catchup".
type catchupCmd struct {
	Hook  string `arg:"" complete:"hooks" help:"Name of the hook."`
	Since string `placeholder:"TIME" help:"How far back to look: 24h, 3d, or 2026-01-02T15:04:05Z. Default: as far as catchup.within of the hook, and never to before the daemon first listened."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (catchupCmd) Help() string {
	return `Asks the sender's API what it sent to the hook, and takes in what did not arrive: its rules decide on it as on any other delivery. What is there already starts nothing again. The daemon does it, with api.token of the hook; with catchup: in the hook it does so by itself, at its start and every so often.

The hook is known at its sender by server.public_url and its path. GitHub remembers what it sent for 3 days, GitLab for 7, Stripe for 30.

  tenterhook catchup site
  tenterhook catchup shop --since 30d`
}

// Run catches up.
func (c catchupCmd) Run(e *env) error {
	if _, err := admin.ParseTime(c.Since, e.now()); err != nil {
		return misuse(fmt.Errorf("--since: %w", err))
	}
	return e.daemon(func(client *admin.Client) error {
		all, err := c.all(e, client)
		if err != nil {
			return c.explain(e, err)
		}
		if c.JSON {
			err = writeJSON(e.stdout, all)
		} else {
			fmt.Fprintf(e.stdout, "%s taken in, %d of %s since %s had arrived\n", e.out.paint(green, counted(all.Taken, "delivery", "deliveries")),
				all.Known, counted(all.Listed, "delivery", "deliveries"), all.Since.UTC().Format("2006-01-02 15:04:05Z"))
		}
		if err == nil && all.Lost > 0 {
			e.say("%s cannot be had any more; the daemon's log says which", counted(all.Lost, "delivery", "deliveries"))
			return said(exitFailed)
		}
		return err
	})
}

// all asks until there is no more. Each answer begins anew, with more that is known.
func (c catchupCmd) all(e *env, client *admin.Client) (all admin.Caught, err error) {
	b := e.newBar(0)
	defer b.clear()
	for {
		caught, err := client.CatchUp(e.ctx, c.Hook, c.Since)
		if err != nil {
			return all, err
		}
		caught.Taken += all.Taken
		all = caught
		if !all.More {
			all.Known = max(0, all.Listed-all.Taken-all.Lost)
			return all, nil
		}
		b.at(all.Taken, "")
	}
}

// explain says what to do about a hook that cannot be caught up.
func (c catchupCmd) explain(e *env, err error) error {
	var no *admin.Problem
	if errors.As(err, &no) && no.Status == http.StatusNotFound {
		return e.unknownRule(c.Hook, err)
	}
	return err
}

func counted(n int, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
