package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// contender is one that takes its turn in each round.
type contender struct {
	*series
	conns int
	place int // in the table
	run   func(context.Context) (result, error)
}

// measureAccept compares ways to answer the same push over 64 connections, and a few over fewer.
// Jobs that are made wait in a paused hook, so that nothing but the way in is measured.
func measureAccept(ctx context.Context, l *lab, b *board) error {
	var all []*contender
	byName := map[string]*series{}
	add := func(key, name string, conns int, run func(context.Context) (result, error)) {
		c := &contender{series: &series{name: fmt.Sprintf("%s, %d connections", name, conns)}, conns: conns, place: len(all), run: run}
		all, byName[key] = append(all, c), c.series
	}
	for _, conns := range []int{64, 16, 1} {
		at := fmt.Sprint(conns)
		add("accept"+at, "stored with one job, paused", conns, func(ctx context.Context) (result, error) {
			return l.paused(ctx, genuine("/site"), 202, conns)
		})
		if l.peer != "" {
			add("peer"+at, "webhook: no rule matches, nothing stored", conns, func(ctx context.Context) (result, error) {
				return l.peerAnswers(ctx, "refs/heads/other", conns)
			})
		}
	}
	add("ignored", "stored, no rule matches", 64, func(ctx context.Context) (result, error) {
		return l.paused(ctx, genuine("/other"), 200, 64)
	})
	add("duplicate", "a duplicate", 64, func(ctx context.Context) (result, error) { return l.paused(ctx, repeated("/site"), 200, 64) })
	touched := false
	add("reject", "a bad signature", 64, func(ctx context.Context) (result, error) {
		r, wrote, err := l.rejects(ctx)
		touched = touched || wrote
		return r, err
	})
	add("single", "our code, one transaction for each", 64, func(ctx context.Context) (result, error) { return l.selfAnswers(ctx, singleServer) })
	add("bare", "bare net/http with an HMAC, nothing stored", 64, func(ctx context.Context) (result, error) { return l.selfAnswers(ctx, bareServer) })
	if l.peer != "" {
		add("peerruns", "webhook: starts /bin/true, nothing stored", 64, func(ctx context.Context) (result, error) { return l.peerAnswers(ctx, "refs/heads/main", 64) })
	}
	// Fewer connections are shown, not judged: once is enough for them.
	for n := range l.rounds {
		turn := slices.DeleteFunc(slices.Clone(all), func(c *contender) bool { return n > 0 && c.conns < 64 })
		if err := takeTurns(ctx, 1, turn); err != nil {
			return err
		}
		all = append(all[1:], all[0]) // nobody is always first
	}
	slices.SortStableFunc(all, func(a, b *contender) int { return cmp.Compare(a.place, b.place) })
	for _, c := range all {
		b.add(c.series)
	}
	syncs, err := syncsPerSecond(l.dir, l.span/2)
	if err != nil {
		return err
	}
	b.fact("fdatasync of one 4 kB page", "%.0f/s", syncs)
	judgeAccept(b, byName, touched)
	return nil
}

func judgeAccept(b *board, by map[string]*series, touched bool) {
	accept := by["accept64"]
	if by["peer64"] != nil {
		b.atLeast("accept, against the peer's answer that stores and runs nothing", ratio(accept, by["peer64"]), 0.7, "%.2f ×")
		b.fact("the same at 16 and at 1 connections", "%.2f ×, %.2f ×", ratio(by["accept16"], by["peer16"]), ratio(by["accept1"], by["peer1"]))
		b.fact("accept, against the peer's answer that starts /bin/true", "%.2f ×", ratio(accept, by["peerruns"]))
		b.fact("no rule matches (stored), against the peer's (not stored)", "%.2f ×", ratio(by["ignored"], by["peer64"]))
	}
	b.fact("accept, against bare net/http", "%.2f ×", ratio(accept, by["bare"]))
	b.atLeast("accept, against one transaction for each request", ratio(accept, by["single"]), 4, "%.1f ×")
	m := accept.median()
	b.atMost("accept: p99, in p50 of the same 64 connections", m.P99/m.P50, 3, "%.1f ×")
	b.atLeast("duplicates, against accept", ratio(by["duplicate"], accept), 1.5, "%.2f ×")
	b.atLeast("bad signatures, against accept", ratio(by["reject"], accept), 2, "%.2f ×")
	b.judge("bad signatures leave the store's files alone", "untouched", map[bool]string{true: "written", false: "untouched"}[touched], !touched)
}

// takeTurns runs every contender once in each round.
func takeTurns(ctx context.Context, rounds int, all []*contender) error {
	for n := range rounds {
		for i := range all {
			c := all[(i+n)%len(all)] // nobody is always first
			r, err := c.run(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.rounds = append(c.rounds, r)
		}
	}
	return nil
}

// paused measures a fresh daemon whose hooks are paused.
func (l *lab) paused(ctx context.Context, s shot, status, conns int) (result, error) {
	p, err := l.pausedDaemon(ctx, setup{})
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	return l.closedLoop(ctx, p, s, status, conns, l.span)
}

func (l *lab) pausedDaemon(ctx context.Context, s setup) (*process, error) {
	p, err := l.ours(ctx, s)
	if err != nil {
		return nil, err
	}
	return p, p.post(ctx, "hooks/site/pause")
}

func (l *lab) peerAnswers(ctx context.Context, ref string, conns int) (result, error) {
	p, err := l.startPeer(ctx, ref)
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	r := genuine("/hooks/site")
	return l.closedLoop(ctx, p, r, 200, conns, l.span)
}

func (l *lab) selfAnswers(ctx context.Context, kind string) (result, error) {
	p, err := l.startSelf(ctx, kind)
	if err != nil {
		return result{}, err
	}
	defer p.stop()
	return l.closedLoop(ctx, p, genuine("/site"), 202, 64, l.span)
}

// rejects measures forged requests, and reports whether a file of the store was written.
func (l *lab) rejects(ctx context.Context) (r result, wrote bool, err error) {
	p, err := l.pausedDaemon(ctx, setup{})
	if err != nil {
		return r, false, err
	}
	defer p.stop()
	if err := l.once(ctx, p, genuine("/site"), 202); err != nil {
		return r, false, err
	}
	before := storeFiles(p.dir)
	r, err = l.closedLoop(ctx, p, forged("/site"), 401, 64, l.span)
	return r, before != storeFiles(p.dir), err
}

// storeFiles describes the files of a store, so that a change of any shows.
func storeFiles(dir string) (all string) {
	for _, name := range []string{"t.db", "t.db-wal"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			all += fmt.Sprintln(name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return all
}

// syncsPerSecond is the disk's own limit: one 4 kB overwrite and fdatasync after the other.
func syncsPerSecond(dir string, span time.Duration) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = f.Close() }()
	page, n, began := make([]byte, 4096), 0, time.Now()
	for time.Since(began) < span {
		if _, err := f.WriteAt(page, 0); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
