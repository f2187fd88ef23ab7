package cli

import (
	"bufio"
	"errors"
	"fmt"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

type deliveriesReplayCmd struct {
	IDs     []string `arg:"" optional:"" complete:"deliveries" name:"id" help:"Ids of deliveries, or at least 6 characters of their beginning or end."`
	Hook    string   `complete:"hooks" placeholder:"HOOK" help:"All of this hook."`
	Event   string   `placeholder:"EVENT" help:"All of this event type."`
	State   string   `placeholder:"STATE" help:"All with a job in this state."`
	Since   string   `placeholder:"TIME" help:"Not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z."`
	Until   string   `placeholder:"TIME" help:"Before."`
	Failed  bool     `xor:"which" help:"Only rules whose last job of the delivery ended badly."`
	Missing bool     `xor:"which" help:"Only rules that made no job of the delivery, and would now."`
	Yes     bool     `short:"y" help:"Do not ask."`
}

// Help is the longer text of the command.
func (deliveriesReplayCmd) Help() string {
	return `The rules that are configured now decide anew on what was stored, and each that matches gets a new job. A rule whose job of the delivery still waits or runs gets none: nothing runs twice because somebody asked twice. The deliveries are counted first, and you are asked.

Examples:

    tenterhook deliveries replay 3f9a2b1c
    tenterhook deliveries replay --hook site --since 24h --failed
    tenterhook deliveries replay --hook site --since 7d --missing --yes
`
}

// Run replays.
func (c *deliveriesReplayCmd) Run(e *env) error {
	f, err := (&filterFlags{Hook: c.Hook, Event: c.Event, State: c.State, Since: c.Since, Until: c.Until, Limit: admin.MaxLimit}).filter(e.now())
	if err != nil {
		return err
	}
	byFilter := c.Hook != "" || c.Event != "" || c.State != "" || c.Since != "" || c.Until != ""
	if byFilter == (len(c.IDs) > 0) {
		return misuse(errors.New("replay wants ids, or flags that say which deliveries"))
	}
	return e.daemon(func(client *admin.Client) error {
		ids, err := c.choose(e, client, f)
		if err != nil {
			return err
		}
		if len(ids) == 0 {
			e.say("no deliveries found")
			return nil
		}
		if byFilter && !c.Yes && !e.confirm(fmt.Sprintf("Replay %s?", count(len(ids), "delivery", "deliveries"))) {
			return fail(errors.New("nothing was replayed"), "--yes does not ask")
		}
		return c.replay(e, client, ids)
	})
}

// choose finds the deliveries, oldest first: what came first runs first again.
func (c *deliveriesReplayCmd) choose(e *env, client *admin.Client, f store.Filter) (ids []string, err error) {
	for _, word := range c.IDs {
		id, err := deliveryID(e.ctx, client, word)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	for len(c.IDs) == 0 {
		list, next, err := client.Deliveries(e.ctx, f)
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			ids = append([]string{d.ID}, ids...)
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	return ids, nil
}

func (c *deliveriesReplayCmd) replay(e *env, client *admin.Client, ids []string) error {
	which := admin.ReplayAll
	switch {
	case c.Failed:
		which = admin.ReplayFailed
	case c.Missing:
		which = admin.ReplayMissing
	}
	made, without := 0, 0
	for i, id := range ids {
		e.progress(i, len(ids))
		jobs, err := client.Replay(e.ctx, id, which)
		if err != nil {
			e.progress(len(ids), len(ids))
			return fmt.Errorf("delivery %s, after %d of %d: %w", printable(id), i, len(ids), err)
		}
		for _, j := range jobs {
			fmt.Fprintf(e.stdout, "%s %s/%s of delivery %s\n", printable(j.ID), printable(j.Hook), printable(j.Rule), printable(id))
		}
		if made += len(jobs); len(jobs) == 0 {
			without++
		}
	}
	e.progress(len(ids), len(ids))
	e.say("%s of %s, %d without a new one", count(made, "new job", "new jobs"), count(len(ids), "delivery", "deliveries"), without)
	return nil
}

// confirm asks a person. Without a terminal to ask at, nobody has agreed.
func (e *env) confirm(question string) bool {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	if err != nil {
		fmt.Fprintln(e.stderr)
	}
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes")
}

// progress draws how far a long work is, on a terminal only. At the end it wipes it out.
func (e *env) progress(done, all int) {
	if !e.err.terminal {
		return
	}
	if done >= all {
		fmt.Fprintf(e.stderr, "\r\x1b[K")
		return
	}
	if all < 10 {
		return
	}
	const width = 30
	full := done * width / all
	fmt.Fprintf(e.stderr, "\r%s%s %d of %d", strings.Repeat("█", full), strings.Repeat("░", width-full), done, all)
}
