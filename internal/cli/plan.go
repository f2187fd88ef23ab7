package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/backtest"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/store"
)

// planCmd is "plan".
type planCmd struct {
	New   string `arg:"" complete:"files" name:"NEW.yaml" help:"The configuration to try."`
	Since string `default:"7d" placeholder:"TIME" help:"Deliveries not before: 90s, 24h, 7d ago, or 2026-01-02T15:04:05Z (default 7d)."`
	Until string `placeholder:"TIME" help:"Before."`
	Hook  string `placeholder:"HOOK" help:"Only deliveries of this hook."`
	Limit int    `short:"n" placeholder:"N" help:"At most the newest N deliveries."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (planCmd) Help() string {
	return `Lets the rules of another file decide on the deliveries that are stored, beside those of the file in use (--config), and prints what would change: matches gained and lost, rules that can no longer be evaluated, commands, requests and keys that differ, hooks that are gone, deliveries that would be refused, and secrets that would no longer verify. Nothing is run, and the daemon may run meanwhile. The exit status is 1 when a match is lost.

Examples:

    tenterhook plan hooks.new.yaml --since 30d
    tenterhook plan hooks.new.yaml --hook site --json | jq '.rules[].lost.ids'
`
}

// Run compares.
func (c *planCmd) Run(e *env) error {
	f, err := c.filter(e.now())
	if err != nil {
		return err
	}
	before, err := e.load()
	if err != nil {
		return err
	}
	after, d := daemon.Load(config.Options{Path: c.New, Environ: e.environ}, false)
	if d.Err() != nil {
		d.Print(e.stderr, e.err.color)
		return said(exitConfig)
	}
	if c.Hook != "" && before.Hooks.Hook(c.Hook) == nil && after.Hooks.Hook(c.Hook) == nil {
		return misuse(fmt.Errorf("neither configuration has a hook %q", c.Hook))
	}
	began := time.Now()
	report, err := c.compare(e, f, before, after.Hooks)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, report)
	} else {
		e.printPlan(report)
		if report.Deliveries == 0 {
			return nil
		}
		e.say("%s compared in %s", count(report.Deliveries, "delivery", "deliveries"), time.Since(began).Round(time.Millisecond))
	}
	if err == nil && report.Lost > 0 {
		return said(exitFailed)
	}
	return err
}

func (c *planCmd) filter(now time.Time) (store.Filter, error) {
	f := store.Filter{Hook: c.Hook}
	var err error
	if f.Since, err = admin.ParseTime(c.Since, now); err != nil {
		return f, misuse(fmt.Errorf("--since: %w", err))
	}
	if f.Until, err = admin.ParseTime(c.Until, now); err != nil {
		return f, misuse(fmt.Errorf("--until: %w", err))
	}
	if c.Limit < 0 {
		return f, misuse(fmt.Errorf("--limit must not be negative"))
	}
	return f, nil
}

// compare reads the store itself, also beside a daemon that runs.
func (c *planCmd) compare(e *env, f store.Filter, before *daemon.Config, after *hook.Set) (*backtest.Report, error) {
	from, err := e.openStore(e.ctx, before.Settings.StoreAt())
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }() // nothing was written
	all, err := from.CountDeliveries(e.ctx, f)
	if err != nil {
		return nil, err
	}
	if c.Limit > 0 {
		all = min(all, c.Limit)
	}
	progress := e.newBar(all)
	defer progress.clear()
	return backtest.Run(e.ctx, from, f, c.Limit, before.Hooks, after, func(done int) { progress.at(done, "") })
}

func (e *env) printPlan(r *backtest.Report) {
	if r.Deliveries == 0 {
		e.say("no deliveries found")
		return
	}
	e.planTable(r)
	for _, h := range r.Hooks {
		e.planHook(h)
	}
	for _, rule := range r.Rules {
		e.planRule(rule)
	}
	fmt.Fprintln(e.stdout)
	switch {
	case r.Lost > 0:
		fmt.Fprintln(e.stdout, e.out.paint(red, count(r.Lost, "match", "matches")+" would be lost"))
	case slices.ContainsFunc(r.Rules, changes):
		fmt.Fprintln(e.stdout, e.out.paint(green, "no match would be lost"))
	default:
		fmt.Fprintln(e.stdout, e.out.paint(green, "nothing would change"))
	}
}

func changes(r *backtest.Rule) bool {
	return r.Gained.Count+r.Lost.Count+r.Errors.Count+r.Changed.Count+r.Keys.Count > 0
}

func (e *env) planTable(r *backtest.Report) {
	t := table{columns: []column{
		{title: "HOOK/RULE"},
		{title: "BEFORE", right: true},
		{title: "AFTER", right: true},
		{title: "GAINED", right: true},
		{title: "LOST", right: true},
		{title: "ERRORS", right: true},
		{title: "CHANGED", right: true},
		{title: "KEYS", right: true},
	}}
	number := func(n int, s style) cell {
		if n == 0 {
			return cell{"0", faint}
		}
		return cell{strconv.Itoa(n), s}
	}
	for _, rule := range r.Rules {
		t.row(cell{rule.Hook + "/" + rule.Rule, plain}, number(rule.Before, plain), number(rule.After, plain), number(rule.Gained.Count, green),
			number(rule.Lost.Count, red), number(rule.Errors.Count, red), number(rule.Changed.Count, yellow), number(rule.Keys.Count, yellow))
	}
	t.write(e.stdout, e.out)
}

func (e *env) planHook(h *backtest.Hook) {
	name := printable(h.Hook)
	if h.Gone {
		now := ""
		if h.PathIsNow != "" {
			now = ", and its path is hook " + printable(h.PathIsNow) + "'s"
		}
		fmt.Fprintf(e.stdout, "\n%s %s: %s came to it%s\n", e.out.paint(bold, name), e.out.paint(red, "is gone"), count(h.Deliveries, "delivery", "deliveries"), now)
	}
	e.planChange(name, "would no longer verify", red, h.LostSecret)
	e.planChange(name, "would be refused", red, h.Refused)
}

func (e *env) planRule(r *backtest.Rule) {
	name := printable(r.Hook + "/" + r.Rule)
	e.planChange(name, "gained", green, r.Gained)
	e.planChange(name, "lost", red, r.Lost)
	e.planChange(name, "cannot be evaluated", red, r.Errors)
	e.planChange(name, "would run something else", yellow, r.Changed)
	e.planChange(name, "would have other keys", yellow, r.Keys)
	if r.Example != nil {
		fmt.Fprintf(e.stdout, "  %s\n", e.out.paint(faint, "for example "+shortID(r.Example.Delivery)+":"))
		e.planDiff(flat(r.Example.Before), flat(r.Example.After))
	}
}

// planChange shows how many deliveries something happens to, why, and which.
func (e *env) planChange(name, what string, how style, c backtest.Change) {
	if c.Count == 0 {
		return
	}
	why := ""
	if c.First != "" {
		why = ": " + printable(c.First)
	}
	fmt.Fprintf(e.stdout, "\n%s %s %d%s\n", e.out.paint(bold, name), e.out.paint(how, what), c.Count, why)
	shown := min(len(c.IDs), shownIDs)
	var short []string
	for _, id := range c.IDs[:shown] {
		short = append(short, shortID(id))
	}
	fmt.Fprintf(e.stdout, "  %s\n", e.out.paint(faint, strings.Join(short, " ")+more(c.Count-shown)))
}

// shownIDs are how many ids of one change people are shown; --json has more.
const shownIDs = 8

// flat is an outcome as one text for each thing in it: "env SHA" and its value.
func flat(o backtest.Outcome) map[string]string {
	out := map[string]string{}
	var add func(path string, v any)
	add = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				add(strings.TrimSpace(path+" "+name), inner)
			}
		case map[string]string:
			add(path, anyValues(v))
		case map[string]int:
			add(path, anyValues(v))
		case string:
			out[path] = v
		case nil:
		default:
			text, err := json.Marshal(v, json.Deterministic(true))
			if err != nil {
				text = fmt.Append(nil, v)
			}
			out[path] = string(text)
		}
	}
	add("", o.Action)
	if o.ConcurrencyKey != "" {
		out["concurrency key"] = o.ConcurrencyKey
	}
	if o.Keys != nil {
		add("keys", o.Keys)
	}
	return out
}

// planDiff shows what differs, what was before and what would be.
func (e *env) planDiff(before, after map[string]string) {
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, had := before[name]
		is, has := after[name]
		if was == is && had == has {
			continue
		}
		wasLines, isLines := differing(was, is)
		e.diffLines(red, "-", name, wasLines, had)
		e.diffLines(green, "+", name, isLines, has)
	}
}

func (e *env) diffLines(how style, sign, name string, lines []string, there bool) {
	for _, line := range lines {
		if there {
			fmt.Fprintf(e.stdout, "    %s\n", e.out.paint(how, sign+" "+printable(name)+"  "+printable(line)))
		}
	}
}

// differing are the lines of two texts without those at the beginning and the end that are the same.
func differing(a, b string) (as, bs []string) {
	as, bs = strings.Split(strings.TrimRight(a, "\n"), "\n"), strings.Split(strings.TrimRight(b, "\n"), "\n")
	for len(as) > 0 && len(bs) > 0 && as[0] == bs[0] {
		as, bs = as[1:], bs[1:]
	}
	for len(as) > 0 && len(bs) > 0 && as[len(as)-1] == bs[len(bs)-1] {
		as, bs = as[:len(as)-1], bs[:len(bs)-1]
	}
	return as, bs
}
