package sqlite

import "time"

// jump is how far the wall clock may move against the monotonic one before it is not believed.
const jump = time.Hour

// clock tells the wall time and the time since some fixed moment, which never jumps. Tests set
// both; the zero clock is the system's.
type clock struct {
	wall      func() time.Time
	monotonic func() time.Duration
}

func (c *clock) setDefaults() {
	if c.wall == nil {
		c.wall = time.Now
	}
	if c.monotonic == nil {
		start := time.Now()
		c.monotonic = func() time.Duration { return time.Since(start) }
	}
}

// jumpGuard notices when somebody sets the wall clock. A suspended machine looks the same, and
// is treated the same: what follows from it is only delay.
type jumpGuard struct {
	clock clock
	wall  time.Time     // at the last look
	mono  time.Duration // at the last look
	total time.Duration // of all jumps
}

func newJumpGuard(c clock) jumpGuard {
	return jumpGuard{clock: c, wall: c.wall().Round(0), mono: c.monotonic()}
}

// look returns how far the wall clock jumped since the last look, or 0.
func (g *jumpGuard) look() time.Duration {
	wall, mono := g.clock.wall().Round(0), g.clock.monotonic()
	moved := wall.Sub(g.wall) - (mono - g.mono)
	g.wall, g.mono = wall, mono
	if moved.Abs() <= jump {
		return 0
	}
	g.total += moved
	return moved
}

// steady returns t without the jumps seen since the store was opened, so that a key neither
// expires early nor lives again because somebody set the clock.
func (g *jumpGuard) steady(t time.Time) time.Time {
	g.look()
	return t.Add(-g.total)
}
