package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// configCmd is "config".
type configCmd struct {
	Push     configPushCmd     `cmd:"" group:"commands" help:"Make a file the configuration of every node."`
	List     configListCmd     `cmd:"" group:"commands" help:"List the versions, newest first."`
	Show     configShowCmd     `cmd:"" group:"commands" help:"Print a version."`
	Rollback configRollbackCmd `cmd:"" group:"commands" help:"Make an earlier version the newest again."`
}

type configPushCmd struct {
	File    string `arg:"" placeholder:"FILE" help:"With hooks, and defaults, tests and reload perhaps."`
	Message string `short:"m" placeholder:"TEXT" help:"Why; the list shows it."`
	After   int64  `placeholder:"VERSION" help:"Refuse unless this is the newest version: nobody's push is lost."`
	DryRun  bool   `help:"Check it and run its tests, and change nothing."`
	JSON    bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (configPushCmd) Help() string {
	return `For nodes with config: {from: store}. The node that is asked checks the file as it would run it and runs its tests; a file with problems changes nothing, and the exit status is 3. Each node then takes it up as it does a file that has changed, and keeps what it has when it cannot, which "tenterhook nodes" and its status show. Secrets are references, which each node resolves itself: one that is written out is refused.

    tenterhook config push hooks.yaml -m "deploy on all"
    tenterhook config push hooks.yaml --after 12`
}

// Run pushes.
func (c *configPushCmd) Run(e *env) error {
	content, err := os.ReadFile(c.File)
	if err != nil {
		return err
	}
	return e.push(admin.PushRequest{Name: filepath.Base(c.File), Content: string(content), Message: c.Message, After: c.After, DryRun: c.DryRun}, c.JSON)
}

// push pushes, and says what came of it.
func (e *env) push(q admin.PushRequest, asJSON bool) error {
	return e.daemon(func(client *admin.Client) error {
		p, err := client.Push(e.ctx, q)
		var refused *admin.Problem
		if errors.As(err, &refused) && len(refused.Problems) > 0 {
			if asJSON {
				if err := writeJSON(e.stdout, refused); err != nil {
					return err
				}
			}
			e.problems(refused.Problems)
			return broken(refused)
		}
		if err != nil {
			return noVersion(q.Version, err)
		}
		if asJSON {
			return writeJSON(e.stdout, p)
		}
		e.problems(p.Warnings)
		switch {
		case !p.Changed:
			fmt.Fprintf(e.stdout, "nothing has changed, version %d has digest %s\n", p.Version, printable(p.Digest))
		case p.DryRun:
			fmt.Fprintf(e.stdout, "it would be pushed, digest %s\n", printable(p.Digest))
		default:
			fmt.Fprintf(e.stdout, "pushed version %d, digest %s\n", p.Version, printable(p.Digest))
		}
		return nil
	})
}

// noVersion says in words that there is no such version.
func noVersion(n int64, err error) error {
	switch {
	case !errors.Is(err, store.ErrNotFound):
		return err
	case n == 0:
		return fail(errors.New("nothing was pushed yet"), "tenterhook config push hooks.yaml")
	}
	return fail(fmt.Errorf("there is no version %d", n), `"tenterhook config list" has those that are kept`)
}

type configListCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (configListCmd) Help() string {
	return `The newest version is the one in force.`
}

// Run lists.
func (c *configListCmd) Run(e *env) error {
	return e.daemon(func(client *admin.Client) error {
		list, err := client.Configurations(e.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(e.stdout, list)
		}
		if len(list) == 0 {
			e.say("nothing was pushed yet")
			return nil
		}
		t := table{columns: []column{{title: "VERSION", right: true}, {title: "DIGEST"}, {title: "TIME"}, {title: "AUTHOR"}, {title: "MESSAGE", gives: true}}}
		for _, v := range list {
			t.row(cell{strconv.FormatInt(v.Version, 10), plain}, cell{v.Digest, plain}, cell{v.At.Local().Format("2006-01-02 15:04:05"), plain},
				cell{v.Author, plain}, cell{v.Message, plain})
		}
		t.write(e.stdout, e.out)
		return nil
	})
}

type configShowCmd struct {
	Version int64 `arg:"" optional:"" help:"Its number; the newest when there is none."`
	JSON    bool  `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (configShowCmd) Help() string {
	return `Prints a version as it was pushed.

    tenterhook config show 12 > hooks.yaml`
}

// Run shows.
func (c *configShowCmd) Run(e *env) error {
	return e.daemon(func(client *admin.Client) error {
		v, err := client.Configuration(e.ctx, c.Version)
		if err != nil {
			return noVersion(c.Version, err)
		}
		if c.JSON {
			return writeJSON(e.stdout, v)
		}
		_, err = fmt.Fprint(e.stdout, printableOutput(v.Content))
		return err
	})
}

type configRollbackCmd struct {
	Version int64  `arg:"" help:"The version to go back to."`
	Message string `short:"m" placeholder:"TEXT" help:"Why; the list shows it."`
	JSON    bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (configRollbackCmd) Help() string {
	return `It is checked and tested like a push, and becomes a version of its own, so that the list tells what was in force when.`
}

// Run goes back.
func (c *configRollbackCmd) Run(e *env) error {
	return e.push(admin.PushRequest{Version: c.Version, Message: c.Message}, c.JSON)
}
