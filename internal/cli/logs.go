package cli

import (
	"bytes"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

type jobsLogsCmd struct {
	ID      string `arg:"" help:"Id of the job, or at least 6 characters of its beginning or end."`
	Follow  bool   `short:"f" help:"Print what it writes as it writes it, until it ends."`
	Attempt int    `placeholder:"N" help:"Of this attempt (default: the last)."`
}

// Help is the longer text of the command.
func (jobsLogsCmd) Help() string {
	return `On a terminal control characters other than colours are shown as text; elsewhere every byte is as it was written.

Examples:

    tenterhook jobs logs 3f9a2b1c
    tenterhook jobs logs -f 3f9a2b1c
`
}

// Run prints the output.
func (c *jobsLogsCmd) Run(e *env) error {
	if c.Attempt < 0 || c.Follow && c.Attempt != 0 {
		return misuse(fmt.Errorf("--attempt takes a number from 1, and not together with --follow"))
	}
	if c.Follow {
		return e.daemon(func(client *admin.Client) error {
			id, err := jobID(e.ctx, client, c.ID)
			if err != nil {
				return err
			}
			return follow(e, client, id)
		})
	}
	return e.reading(func(from source) error {
		id, err := jobID(e.ctx, from, c.ID)
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

// follow prints a job's output as it grows, attempt after attempt, until the job has ended.
func follow(e *env, from source, id string) error {
	var shown admin.Output
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for {
		o, err := from.Output(e.ctx, id, 0)
		if err != nil {
			return err
		}
		if shown.Attempt != 0 && o.Attempt != shown.Attempt {
			rest, err := from.Output(e.ctx, id, shown.Attempt)
			if err != nil {
				return err
			}
			if err := e.writeNew(shown.Body, rest.Body); err != nil {
				return err
			}
			shown = admin.Output{}
			e.say("attempt %d", o.Attempt)
		}
		if err := e.writeNew(shown.Body, o.Body); err != nil {
			return err
		}
		if shown = o; o.State.Terminal() {
			e.say("the job has ended: %s", e.err.paint(statePaint(o.State), printable(string(o.State))))
			return nil
		}
		select {
		case <-tick.C:
		case <-e.ctx.Done():
			return e.ctx.Err()
		}
	}
}

// writeNew prints what now has behind before. Of a long output only the head and a moving tail
// are kept: then it goes on where the end of before is found again, or says that some is lost.
func (e *env) writeNew(before, now []byte) error {
	if bytes.HasPrefix(now, before) {
		return e.writeOutput(now[len(before):])
	}
	end := before[max(0, len(before)-256):]
	if i := bytes.LastIndex(now, end); i >= 0 {
		return e.writeOutput(now[i+len(end):])
	}
	e.say("it wrote more than is kept: some is missing here")
	return e.writeOutput(now)
}

func (e *env) writeOutput(b []byte) error {
	if e.out.terminal {
		b = []byte(printableOutput(string(b)))
	}
	_, err := e.stdout.Write(b)
	return err
}
