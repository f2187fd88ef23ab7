package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/backtest"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/store"
)

// planCmd is "plan".
type planCmd struct {
	New   string `arg:"" name:"NEW.yaml" help:"The configuration to try."`
	Since string `default:"7d" placeholder:"TIME" help:"Deliveries not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z (default 7d)."`
	Hook  string `placeholder:"HOOK" help:"Only deliveries of this hook."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (planCmd) Help() string {
	return `Lets the rules of another file decide on the deliveries that are stored, beside those of the file in use, and prints what would change: matches gained and lost, rules that can no longer be evaluated, and commands, requests or lanes that differ. Nothing is run. The exit status is 1 when a match is lost.

Example:

    tenterhook plan hooks.new.yaml --since 30d
`
}

// Run compares.
func (c *planCmd) Run(e *env) error {
	before, err := e.load()
	if err != nil {
		return err
	}
	after, d := daemon.Load(config.Options{Path: c.New, Environ: e.environ}, false)
	if d.Err() != nil {
		d.Print(e.stderr, e.err.color)
		return said(exitConfig)
	}
	since, err := admin.ParseTime(c.Since, e.now())
	if err != nil {
		return misuse(fmt.Errorf("--since: %w", err))
	}
	report, err := c.compare(e, before, after.Hooks, store.Filter{Hook: c.Hook, Since: since, Limit: admin.MaxLimit})
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, report)
	} else {
		printPlan(e, report)
	}
	if err == nil && report.Lost() > 0 {
		return said(exitFailed)
	}
	return err
}

// compare reads the store itself, also beside a daemon that runs.
func (c *planCmd) compare(e *env, before *daemon.Config, after *hook.Set, f store.Filter) (*backtest.Report, error) {
	from, err := openStore(e.ctx, before.Settings.Store)
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }() // nothing was written
	report := backtest.New()
	for {
		page, err := from.Deliveries(e.ctx, f)
		if err != nil {
			return nil, err
		}
		for i := range page {
			d, err := from.Delivery(e.ctx, page[i].ID)
			if err != nil {
				continue // retention took it meanwhile
			}
			report.Add(&d, before.Hooks, after)
		}
		e.counting(report.Deliveries)
		if len(page) < f.Limit {
			e.counting(0)
			return report, nil
		}
		f.Cursor = page[len(page)-1].ID
	}
}

// counting shows how much was done, on a terminal only; 0 wipes it out.
func (e *env) counting(done int) {
	switch {
	case !e.err.terminal:
	case done == 0:
		fmt.Fprint(e.stderr, "\r\x1b[K")
	default:
		fmt.Fprintf(e.stderr, "\r%d deliveries", done)
	}
}

func printPlan(e *env, r *backtest.Report) {
	if r.Deliveries == 0 {
		e.say("no deliveries found")
		return
	}
	t := table{columns: []column{
		{title: "HOOK/RULE"},
		{title: "BEFORE", right: true},
		{title: "AFTER", right: true},
		{title: "GAINED", right: true},
		{title: "LOST", right: true},
		{title: "ERRORS", right: true},
		{title: "CHANGED", right: true},
	}}
	number := func(n int, s style) cell {
		if n == 0 {
			return cell{"0", faint}
		}
		return cell{strconv.Itoa(n), s}
	}
	for _, rule := range r.Rules {
		t.row(cell{rule.Hook + "/" + rule.Rule, plain}, number(rule.Before, plain), number(rule.After, plain), number(rule.Gained.Count, green),
			number(rule.Lost.Count, red), number(rule.Errors.Count, red), number(rule.Changed.Count, yellow))
	}
	t.write(e.stdout, e.out)
	for _, rule := range r.Rules {
		for _, change := range []struct {
			word string
			of   backtest.Change
		}{{"gained", rule.Gained}, {"lost", rule.Lost}, {"errors", rule.Errors}, {"changed", rule.Changed}} {
			if change.of.Count > 0 {
				more := ""
				if n := change.of.Count - len(change.of.IDs); n > 0 {
					more = fmt.Sprintf(" and %d more", n)
				}
				fmt.Fprintf(e.stdout, "%s/%s %s: %s%s\n", printable(rule.Hook), printable(rule.Rule), change.word,
					strings.Join(shortIDs(change.of.IDs), " "), more)
			}
		}
	}
	fmt.Fprintf(e.stdout, "%s, %d lost\n", count(r.Deliveries, "delivery", "deliveries"), r.Lost())
}

func shortIDs(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i] = shortID(id)
	}
	return out
}
