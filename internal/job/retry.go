package job

import (
	"math"
	"math/rand/v2"
	"time"
)

// RetryPolicy says how often and how far apart a job is tried.
type RetryPolicy struct {
	Attempts int           // in all, at least 1
	Initial  time.Duration // pause after the first attempt
	Factor   float64       // of each further pause
	Max      time.Duration // bound of a pause
	Jitter   bool          // full jitter: a pause is uniform in [0, computed]
}

// Next returns the pause after attempt n (counted from 1) ended badly, and whether there is a
// further attempt at all. A wait the other side asked for (after, from Retry-After) is honoured
// up to Max and never shortened by jitter.
func (p RetryPolicy) Next(n int, after time.Duration) (pause time.Duration, again bool) {
	if n >= p.Attempts {
		return 0, false
	}
	if after > 0 {
		return min(after, p.Max), true
	}
	computed := float64(p.Initial) * math.Pow(p.Factor, float64(n-1))
	pause = p.Max
	if computed < float64(p.Max) {
		pause = time.Duration(computed)
	}
	if p.Jitter && pause > 0 {
		pause = rand.N(pause + 1)
	}
	return pause, true
}
