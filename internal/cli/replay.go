package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

type deliveriesReplayCmd struct {
	IDs     []string `arg:"" optional:"" complete:"deliveries" name:"id" help:"Ids of deliveries, or at least 6 characters of their beginning or end."`
	Hook    string   `complete:"hooks" placeholder:"HOOK" help:"All of this hook."`
	Rule    string   `complete:"rules" placeholder:"RULE" help:"All with a job of this rule, and only its jobs anew."`
	Event   string   `placeholder:"EVENT" help:"All of this event type."`
	State   string   `placeholder:"STATE" help:"All with a job in this state."`
	Outcome string   `placeholder:"OUTCOME" help:"All with this outcome: accepted or ignored."`
	Since   string   `placeholder:"TIME" help:"Not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z."`
	Until   string   `placeholder:"TIME" help:"Before."`
	Match   string   `placeholder:"EXPR" help:"All for which this expression is true; wants --hook."`
	Failed  bool     `xor:"which" help:"Only rules whose last job of the delivery ended badly."`
	Missing bool     `xor:"which" help:"Only rules that made no job of the delivery, and would now."`
	Rate    string   `placeholder:"N/s" help:"At most so many deliveries a second, such as 20/s or 90/m (default 20/s)."`
	Fresh   bool     `help:"Begin anew, although the same replay was not through."`
	Yes     bool     `short:"y" help:"Do not ask."`
	JSON    bool     `name:"json" help:"Print one JSON document: the replay, or the new jobs of the ids."`
}

// Help is the longer text of the command.
func (deliveriesReplayCmd) Help() string {
	return `The rules that are configured now decide anew on what was stored, and each that matches gets a new job. A rule whose job of the delivery still waits or runs gets none: nothing runs twice because somebody asked twice. Flags choose many deliveries: they are counted first, and you are asked.

The daemon replays them, the oldest first, and goes on after a restart. Ctrl-C stops it; the same command goes on where it was.

Examples:

    tenterhook deliveries replay 3f9a2b1c
    tenterhook deliveries replay --hook site --since 24h --failed
    tenterhook deliveries replay --hook site --since 7d --missing --rate 5/s --yes
    tenterhook deliveries replay --hook shop --match 'payload.amount > 1000'
`
}

// Run replays.
func (c *deliveriesReplayCmd) Run(e *env) error {
	q, err := c.request(e.now())
	if err != nil {
		return err
	}
	const which = "replay wants ids, or flags that say which deliveries"
	switch byID := len(c.IDs) > 0; {
	case byID && q.ReplayFilter != job.ReplayFilter{Which: q.Which}:
		return misuse(errors.New(which), "leave out the ids, or the flags")
	case !byID && q.ReplayFilter == job.ReplayFilter{}:
		return misuse(errors.New(which), "such as --failed, --since 24h, or --hook HOOK")
	}
	return e.daemon(func(client *admin.Client) error {
		if len(c.IDs) > 0 {
			return c.replayEach(e, client, admin.ReplayOf(q.Which))
		}
		return c.replayAll(e, client, q)
	})
}

// request reads the flags.
func (c *deliveriesReplayCmd) request(now time.Time) (q admin.ReplayRequest, err error) {
	q.Hook, q.Rule, q.Event, q.Since, q.Until, q.Match = c.Hook, c.Rule, c.Event, c.Since, c.Until, c.Match
	q.State, q.Outcome, q.Fresh = job.State(c.State), job.Outcome(c.Outcome), c.Fresh
	switch {
	case c.Failed:
		q.Which = string(admin.ReplayFailed)
	case c.Missing:
		q.Which = string(admin.ReplayMissing)
	}
	if q.Rate, err = parseRate(c.Rate); err != nil {
		return q, misuse(err)
	}
	f := filterFlags{State: c.State, Since: c.Since, Until: c.Until, Limit: 1}
	if _, err := f.filter(now); err != nil {
		return q, err
	}
	if err := admin.CheckOutcome(q.Outcome); err != nil {
		return q, misuse(fmt.Errorf("--outcome %s: %w", c.Outcome, err))
	}
	if c.Match != "" && c.Hook == "" {
		return q, misuse(errors.New("--match wants --hook: the expression uses its names"))
	}
	return q, nil
}

// parseRate reads "20/s", "90/m", "100/h" or "20"; "" is 0, which is the daemon's own.
func parseRate(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	number, unit, slash := strings.Cut(text, "/")
	per, ok := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if !slash {
		per, ok = 1, true
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || !ok || !(n/per >= admin.LeastRate && n/per <= admin.MostRate) {
		return 0, fmt.Errorf("--rate %s: such as 20/s, 90/m or 100/h, up to %g/s", text, admin.MostRate)
	}
	return n / per, nil
}

// replayEach replays deliveries that are named.
func (c *deliveriesReplayCmd) replayEach(e *env, client *admin.Client, which admin.ReplayOf) error {
	made, without, held := []admin.Job{}, 0, 0
	for _, word := range c.IDs {
		id, err := deliveryID(e.ctx, client, word)
		if err != nil {
			return err
		}
		jobs, err := client.Replay(e.ctx, id, which)
		if err != nil {
			return fmt.Errorf("delivery %s: %w", printable(id), err)
		}
		if made = append(made, jobs...); len(jobs) == 0 {
			if d, err := client.Delivery(e.ctx, id); err == nil && d.Held != nil {
				held++
			} else {
				without++
			}
		}
		for _, j := range jobs {
			if !c.JSON {
				fmt.Fprintf(e.stdout, "%s %s/%s of delivery %s\n", printable(j.ID), printable(j.Hook), printable(j.Rule), printable(id))
			}
		}
	}
	if c.JSON {
		return writeJSON(e.stdout, made)
	}
	if held > 0 {
		e.say("%s handed out once more, to whoever takes from here", count(held, "held delivery", "held deliveries"))
	}
	if held == len(c.IDs) {
		return nil
	}
	e.say("%s of %s, %d without a new one", count(len(made), "new job", "new jobs"), count(len(c.IDs), "delivery", "deliveries"), without)
	return nil
}

// replayAll counts, asks, and follows the replay to its end.
func (c *deliveriesReplayCmd) replayAll(e *env, client *admin.Client, q admin.ReplayRequest) error {
	if !c.Yes {
		found, err := client.CountReplay(e.ctx, q)
		if err != nil {
			return err
		}
		if found.Deliveries == 0 {
			e.say("no deliveries found")
			return nil
		}
		if found.Errors > 0 {
			e.say("%s cannot be decided on", count(found.Errors, "delivery", "deliveries"))
		}
		if found.Unfinished != "" && !c.Fresh {
			e.say("this goes on with replay %s, which was not through; --fresh begins anew", printable(found.Unfinished))
		}
		if !e.confirm(fmt.Sprintf("Replay %s, %s?", count(found.Deliveries, "delivery", "deliveries"), count(found.Jobs, "new job", "new jobs"))) {
			return fail(errors.New("nothing was replayed"), "--yes does not ask")
		}
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	r, err := client.StartReplay(ctx, q)
	if err == nil {
		r, err = c.through(ctx, e, client, r)
	}
	if err != nil {
		return err
	}
	return c.conclude(e, r)
}

// patience is how long a daemon may be gone, because it is started again, before following it is
// given up.
const patience = time.Minute

// through follows a replay until it does not run any more. When ctx ends first, it is cancelled.
func (c *deliveriesReplayCmd) through(ctx context.Context, e *env, client *admin.Client, r admin.Replay) (admin.Replay, error) {
	bar := e.newBar(r.Total)
	defer bar.clear()
	tick := time.NewTicker(e.every)
	defer tick.Stop()
	for seen := e.now(); r.Status == job.ReplayRunning; {
		bar.all = r.Total
		bar.at(r.Done, count(r.Made, "new job", "new jobs"))
		select {
		case <-ctx.Done():
			return client.CancelReplay(e.ctx, r.ID)
		case <-tick.C:
		}
		next, err := client.Replayed(ctx, r.ID)
		switch {
		case err == nil:
			r, seen = next, e.now()
		case ctx.Err() != nil:
			return client.CancelReplay(e.ctx, r.ID)
		case !errors.Is(err, admin.ErrUnreachable) || e.now().Sub(seen) > patience:
			return r, err
		}
	}
	return r, nil
}

// conclude says what came of a replay.
func (c *deliveriesReplayCmd) conclude(e *env, r admin.Replay) error {
	if c.JSON {
		if err := writeJSON(e.stdout, r); err != nil {
			return err
		}
	}
	e.say("%s of %s, %d without a new one", count(r.Made, "new job", "new jobs"), count(r.Done, "delivery", "deliveries"), r.Skipped)
	if r.Failed > 0 {
		e.say("%s could not be decided on; the daemon's log says why", count(r.Failed, "delivery", "deliveries"))
	}
	switch r.Status {
	case job.ReplayDone:
		return nil
	case job.ReplayCancelled:
		return fail(fmt.Errorf("cancelled after %d of %d deliveries", r.Done, r.Total), "the same command goes on where it was")
	}
	return fail(fmt.Errorf("the replay failed after %d of %d deliveries: %s", r.Done, r.Total, cmp.Or(r.Reason, "no reason is known")), "the same command goes on where it was")
}

// confirm asks a person. Without a terminal to ask at, nobody has agreed.
func (e *env) confirm(question string) bool {
	fmt.Fprintf(e.stderr, "%s [y/N] ", question)
	line, err := bufio.NewReader(e.stdin).ReadString('\n')
	if in, ok := e.stdin.(*os.File); err != nil || !ok || !term.IsTerminal(int(in.Fd())) {
		fmt.Fprintln(e.stderr) // nobody saw a line end being typed
	}
	return strings.EqualFold(strings.TrimSpace(line), "y") || strings.EqualFold(strings.TrimSpace(line), "yes")
}
