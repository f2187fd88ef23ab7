package cli

import (
	"fmt"
	"strings"
	"time"
)

// bar shows how far a long work is, how much there is of it and how long it will take; on a terminal
// only, and not before the work has lasted a moment.
type bar struct {
	e     *env
	all   int // 0: not known
	began time.Time
	last  time.Time
	drawn bool
}

func (e *env) newBar(all int) *bar {
	now := time.Now()
	return &bar{e: e, all: all, began: now, last: now}
}

// every is the pause between two drawings.
const barPause = 100 * time.Millisecond

// at draws the bar when it is time to. found adds what was found so far, "" nothing.
func (b *bar) at(done int, found string) {
	now := time.Now()
	if !b.e.err.terminal || now.Sub(b.last) < barPause {
		return
	}
	b.last, b.drawn = now, true
	fmt.Fprintf(b.e.stderr, "\r%s\x1b[K", b.line(done, found, now.Sub(b.began)))
}

// line is the bar after so long.
func (b *bar) line(done int, found string, took time.Duration) string {
	if found != "" {
		found = ", " + found
	}
	if b.all <= 0 {
		return fmt.Sprintf("%d deliveries%s", done, found)
	}
	const width = 24
	done = min(done, b.all)
	full := done * width / b.all
	left := ""
	if done > 0 && done < b.all {
		rest := time.Duration(float64(took) / float64(done) * float64(b.all-done))
		left = ", " + rest.Round(time.Second).String() + " left"
	}
	return fmt.Sprintf("%s%s %3d%%  %d of %d%s%s", strings.Repeat("█", full), strings.Repeat("░", width-full), done*100/b.all, done, b.all, found, left)
}

// clear wipes the bar out; the next at draws it again.
func (b *bar) clear() {
	if b.drawn {
		fmt.Fprint(b.e.stderr, "\r\x1b[K")
		b.drawn = false
	}
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
