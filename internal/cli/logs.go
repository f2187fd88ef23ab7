package cli

import (
	"errors"
	"fmt"

	"github.com/tenterhook/tenterhook/internal/admin"
)

type jobsLogsCmd struct {
	ID      string `arg:"" optional:"" complete:"jobs" help:"Id of the job, or at least 6 characters of its beginning or end. Default: the newest."`
	Follow  bool   `short:"f" help:"Print what it writes as it writes it, until it ends."`
	Full    bool   `help:"All of it, from the file that limits.log keeps."`
	Attempt int    `placeholder:"N" help:"Of this attempt (default: the last)."`
}

// Help is the longer text of the command.
func (jobsLogsCmd) Help() string {
	return `On a terminal control characters other than colours are shown as text; elsewhere every byte is as it was written.

With -f the exit status is 0 when the job succeeded, and 1 when it ended otherwise. Of long output the beginning and the end are
kept (limits.output): what came and went between two looks is left out, and a line says so.

Examples:

    tenterhook jobs logs 3f9a2b1c
    tenterhook jobs logs -f 3f9a2b1c && echo deployed
`
}

// Run prints the output.
func (c *jobsLogsCmd) Run(e *env) error {
	if c.Attempt < 0 || c.Follow && c.Attempt != 0 {
		return misuse(fmt.Errorf("--attempt takes a number from 1, and not together with --follow"))
	}
	if c.Full {
		if c.Follow {
			return misuse(errors.New("--full is for an attempt that has ended; --follow prints what one writes"))
		}
		return e.daemon(func(client *admin.Client) error {
			id, err := shownJob(e.ctx, client, c.ID)
			if err != nil {
				return err
			}
			all, err := client.Log(e.ctx, id, c.Attempt)
			if err != nil {
				return err
			}
			return e.writeOutput(all)
		})
	}
	if c.Follow {
		return e.daemon(func(client *admin.Client) error {
			id, err := shownJob(e.ctx, client, c.ID)
			if err != nil {
				return err
			}
			return follow(e, client, id)
		})
	}
	return e.reading(func(from source) error {
		id, err := shownJob(e.ctx, from, c.ID)
		if err != nil {
			return err
		}
		o, err := from.Output(e.ctx, id, c.Attempt)
		if err != nil {
			return err
		}
		return e.writeOutput(o.Body)
	})
}

func (e *env) writeOutput(b []byte) error {
	if e.out.terminal {
		b = []byte(printableOutput(string(b)))
	}
	_, err := e.stdout.Write(b)
	return err
}
