package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const keepAll = "{for: 3650d, deliveries: 100000000}"

// measureGrowth compares a store that holds very many deliveries with an empty one.
func measureGrowth(ctx context.Context, l *lab, b *board) error {
	full, err := l.folder()
	if err != nil {
		return err
	}
	took, err := clock(func() error { return l.seed(ctx, full, l.stored, 0) })
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(full) }()
	size := storeSize(full)
	b.fact("deliveries in the large store", "%d, %.1f GB, made in %.0f s", l.stored, float64(size)/1e9, took/1000)
	var lists [2]lookups
	run := func(large bool, retention string) func(context.Context) (result, error) {
		return func(ctx context.Context) (result, error) {
			s := setup{retention: retention}
			if large {
				s.dir = full
				if err := cancelWaiting(ctx, full); err != nil {
					return result{}, err
				}
			}
			return l.grown(ctx, s, large, &lists)
		}
	}
	empty := &contender{series: &series{name: "stored with one job, empty store, 64 connections"}, conns: 64, run: run(false, keepAll)}
	grown := &contender{series: &series{name: fmt.Sprintf("the same beside %d deliveries", l.stored)}, conns: 64, run: run(true, keepAll)}
	pruned := &contender{series: &series{name: "the same while retention deletes the oldest"}, conns: 64, run: run(true, fmt.Sprintf("{for: 3650d, deliveries: %d}", l.stored/2))}
	if err := takeTurns(ctx, l.rounds, []*contender{empty, grown, pruned}); err != nil {
		return err
	}
	b.add(empty.series)
	b.add(grown.series)
	b.add(pruned.series)
	many := fmt.Sprintf("%d stored: ", l.stored)
	b.atLeast(many+"accept, against an empty store", ratio(grown.series, empty.series), 0.8, "%.2f ×")
	b.atMost(many+"p99 while pruning, against the same without", ratioOf(pruned.series, grown.series, func(r result) float64 { return r.P99 }), 1.5, "%.2f ×")
	for i, name := range lookupNames {
		few, lots := median(lists[0][i]), median(lists[1][i])
		b.fact(name+": few, "+many, "%.1f ms, %.1f ms", few, lots)
		b.atMost(many+name+", against few", lots/few, 1.5, "%.2f ×")
	}
	return nil
}

// ratioOf is the median of the rounds' ratios of a figure.
func ratioOf(a, b *series, of func(result) float64) float64 {
	var values []float64
	for i := range a.rounds {
		values = append(values, of(a.rounds[i])/of(b.rounds[i]))
	}
	return median(values)
}

// lookups are times of the things in lookupNames, in milliseconds.
type lookups [4][]float64

var lookupNames = [4]string{"page of deliveries", "page of one hook's deliveries", "page of jobs", "explain of a stored delivery"}

// grown measures the way in of a daemon, and then how long a look at its store takes.
func (l *lab) grown(ctx context.Context, s setup, large bool, lists *[2]lookups) (result, error) {
	p, err := l.pausedDaemon(ctx, s)
	if err != nil {
		return result{}, err
	}
	defer func() {
		if large {
			p.end()
		} else {
			p.stop()
		}
	}()
	if s.retention == keepAll {
		p.settle(ctx) // after its start it reads what the charts show
	} else {
		time.Sleep(2 * time.Second) // the same; retention goes on long after
	}
	r, err := l.closedLoop(ctx, p, genuine("/site"), 202, 64, l.span)
	if err != nil {
		return r, err
	}
	into := &lists[0]
	if large {
		into = &lists[1]
	}
	return r, l.look(ctx, p, into)
}

func (l *lab) look(ctx context.Context, p *process, into *lookups) error {
	var page []struct{ ID string }
	for i, path := range []string{"deliveries?limit=50", "deliveries?limit=50&hook=site", "jobs?limit=50"} {
		for range 10 {
			ms, err := clock(func() error { return p.get(ctx, path, &page) })
			if err != nil {
				return err
			}
			into[i] = append(into[i], ms)
		}
	}
	if err := p.get(ctx, "deliveries?limit=1", &page); err != nil || len(page) == 0 {
		return fmt.Errorf("no delivery is listed: %w", err)
	}
	for range 3 {
		ms, err := clock(func() error {
			out, err := exec.CommandContext(ctx, l.program, "explain", page[0].ID, "-c", filepath.Join(p.dir, "hooks.yaml")).CombinedOutput()
			if err != nil {
				return fmt.Errorf("explain: %w: %s", err, out)
			}
			return nil
		})
		if err != nil {
			return err
		}
		into[3] = append(into[3], ms)
	}
	return nil
}

func storeSize(dir string) (size int64) {
	for _, name := range []string{"t.db", "t.db-wal"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// measureStart starts the program on a store with very many deliveries and 100,000 live jobs.
func measureStart(ctx context.Context, l *lab, b *board) error {
	stored := pick(0, l.short, 200_000, 1_000_000)
	const live = 100_000
	dir, err := l.folder()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := l.seed(ctx, dir, stored, live); err != nil {
		return err
	}
	var took, spent []float64
	rss := 0.0
	for range max(3, l.rounds) {
		first, err := l.firstAnswer(ctx, setup{dir: dir, retention: keepAll})
		if err != nil {
			return err
		}
		took, spent, rss = append(took, first.ms), append(spent, first.cpu), first.rss
	}
	b.fact("processor time from the start to the first 2xx", "%.2f s", median(spent)/1000)
	b.fact("memory (RSS) with 100,000 live jobs", "%.0f MB", rss)
	b.atMost(fmt.Sprintf("start to first 2xx, %d deliveries, %d live jobs", stored, live), median(took)/1000, 1, "%.2f s")
	return nil
}

// start is what it took from the start of the process to its first 2xx.
type start struct{ ms, cpu, rss float64 }

func (l *lab) firstAnswer(ctx context.Context, s setup) (start, error) {
	began := time.Now()
	p, err := l.launch(s)
	if err != nil {
		return start{}, err
	}
	defer p.end()
	for time.Since(began) < time.Minute {
		// Of the hook whose rule does not match: 100,000 jobs are as many as it takes.
		if status, _, err := l.send(ctx, p, genuine("/other")); err == nil && status < 300 {
			return start{float64(time.Since(began).Microseconds()) / 1000, p.cpu().Seconds() * 1000, p.memory("VmRSS")}, nil
		}
		time.Sleep(time.Millisecond)
	}
	return start{}, fmt.Errorf("no 2xx within a minute of the start")
}

// measureMemory watches the resident memory: idle, and over very many accepts. Retention is the
// default, so the store has its full size for most of them.
func measureMemory(ctx context.Context, l *lab, b *board) error {
	stripped, err := os.Stat(l.program)
	if err != nil {
		return err
	}
	b.atMost("size of the program", float64(stripped.Size())/1e6, 35, "%.1f MB")
	p, err := l.ours(ctx, setup{})
	if err != nil {
		return err
	}
	defer p.stop()
	if err := l.once(ctx, p, genuine("/other"), 200); err != nil {
		return err
	}
	time.Sleep(2 * time.Second)
	b.atMost("memory (RSS) when idle", p.memory("VmRSS"), 30, "%.1f MB")
	b.fact("of it the daemon's own, and pages of the program's file", "%.1f MB, %.1f MB", p.memory("RssAnon"), p.memory("RssFile"))
	total := pick(0, l.short, 100_000, 1_000_000)
	sent, samples := 0, []float64{}
	for sent < total {
		r, err := l.closedLoop(ctx, p, genuine("/other"), 200, 64, max(time.Second, l.span))
		if err != nil {
			return err
		}
		sent += r.Requests
		samples = append(samples, p.memory("VmRSS"))
	}
	b.fact("memory (RSS) over the accepts, in MB", "%s", strings.Trim(fmt.Sprintf("%.0f", everyTenth(samples)), "[]"))
	b.atMost(fmt.Sprintf("memory (RSS) after %d accepts", sent), samples[len(samples)-1], 100, "%.1f MB")
	third := max(1, len(samples)/3)
	b.atMost("memory at the end, against the first third of them", median(samples[len(samples)-third:])/median(samples[:third]), 1.15, "%.2f ×")
	return nil
}

// everyTenth is about ten of the samples, the last among them.
func everyTenth(samples []float64) (few []float64) {
	step := max(1, len(samples)/10)
	for i := len(samples) - 1; i >= 0; i -= step {
		few = append(few, samples[i])
	}
	slices.Reverse(few)
	return few
}

// measureRoutes compares a configuration of 10,000 hooks with one of two.
func measureRoutes(ctx context.Context, l *lab, b *board) error {
	const many = 10_000
	var lines strings.Builder
	for i := range many {
		own := fmt.Sprintf("'%032x'", (i+1)*0x9e3779b9) // each hook has its own, the last the one that is sent with
		if i == many-1 {
			own = secret
		}
		fmt.Fprintf(&lines, "  - {name: h%d, path: /h%d, provider: github, secret: %s, match: 'event == \"push\" && branch == \"other\"', exec: [\"true\"]}\n", i, i, own)
	}
	one := &contender{series: &series{name: "stored, no rule matches, a configuration of 2 hooks"}, conns: 64, run: func(ctx context.Context) (result, error) {
		return l.paused(ctx, genuine("/other"), 200, 64)
	}}
	var reload, rss []float64
	all := &contender{series: &series{name: "the same, a configuration of 10,000 hooks"}, conns: 64, run: func(ctx context.Context) (result, error) {
		p, err := l.ours(ctx, setup{hooks: lines.String()})
		if err != nil {
			return result{}, err
		}
		defer p.stop()
		p.settle(ctx) // it reads the file again in its first second
		r, err := l.closedLoop(ctx, p, genuine(fmt.Sprintf("/h%d", many-1)), 200, 64, l.span)
		if err != nil {
			return r, err
		}
		rss = append(rss, p.memory("VmRSS"))
		ms, err := clock(func() error { return p.post(ctx, "reload") })
		reload = append(reload, ms)
		return r, err
	}}
	if err := takeTurns(ctx, l.rounds, []*contender{one, all}); err != nil {
		return err
	}
	b.add(one.series)
	b.add(all.series)
	b.fact("memory (RSS) with 10,000 hooks, under load", "%.0f MB", median(rss))
	b.atLeast("10,000 hooks: answers, against 2 hooks", ratio(all.series, one.series), 0.9, "%.2f ×")
	b.atMost("10,000 hooks: a reload", median(reload)/1000, 1, "%.2f s")
	return nil
}
