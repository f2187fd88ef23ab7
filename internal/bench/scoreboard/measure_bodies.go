package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// measureBodies takes large bodies in, beside the plain writing of as many bytes to a file.
func measureBodies(ctx context.Context, l *lab, b *board) error {
	for _, size := range []struct {
		name  string
		bytes int
		conns int
		least time.Duration // of one measurement: of the largest few fit into a second
	}{{"200 kB", 200_000, 8, 0}, {"25 MB", 25_000_000, 2, 4 * time.Second}} {
		for _, kind := range []struct {
			name string
			s    shot
		}{{"a push of " + size.name, largePush("/big", size.bytes)}, {"random letters of " + size.name, large("/big", size.bytes)}} {
			if err := measureBody(ctx, l, b, kind.name, kind.s, size.conns, max(l.span, size.least)); err != nil {
				return err
			}
		}
	}
	return nil
}

// measureBody does so with one body.
func measureBody(ctx context.Context, l *lab, b *board, name string, s shot, conns int, span time.Duration) error {
	peak := []float64{}
	ours := &contender{series: &series{name: fmt.Sprintf("%s, stored, %d connections", name, conns)}, conns: conns, run: func(ctx context.Context) (result, error) {
		p, err := l.ours(ctx, setup{hooks: fmt.Sprintf("  - {name: big, path: /big, provider: github, secret: %s, max_body: 32MiB, match: 'branch == \"other\"', exec: [\"true\"]}\n", secret)})
		if err != nil {
			return result{}, err
		}
		defer p.stop()
		r, err := l.closedLoop(ctx, p, s, 200, conns, span)
		peak = append(peak, p.memory("VmHWM"))
		return r, err
	}}
	disk := &contender{series: &series{name: name + ", a plain write with an fdatasync each"}, conns: 1, run: func(context.Context) (result, error) {
		return plainWrites(l.dir, []byte(s.body), span)
	}}
	if err := takeTurns(ctx, l.rounds, []*contender{ours, disk}); err != nil {
		return err
	}
	b.add(ours.series)
	b.add(disk.series)
	mb := float64(len(s.body)) / 1e6
	b.fact(name+": taken in, plain writes", "%.0f MB/s, %.0f MB/s", ours.median().PerSec*mb, disk.median().PerSec*mb)
	b.atLeast(name+": taken in, against plain writes with fdatasync", ratio(ours.series, disk.series), 0.5, "%.2f ×")
	b.atMost(name+": peak memory (RSS)", median(peak), 512, "%.0f MB")
	return nil
}

// plainWrites appends the data to a file again and again, each time with an fdatasync.
func plainWrites(dir string, data []byte, span time.Duration) (result, error) {
	name := filepath.Join(dir, "plain")
	f, err := os.Create(name)
	if err != nil {
		return result{}, err
	}
	defer func() { _, _ = f.Close(), os.Remove(name) }()
	n, began := 0, time.Now()
	for time.Since(began) < span {
		if _, err := f.Write(data); err != nil {
			return result{}, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return result{}, err
		}
		n++
	}
	return result{Requests: n, PerSec: float64(n) / time.Since(began).Seconds()}, nil
}
