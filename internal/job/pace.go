package job

import "time"

// Pace is how often something may happen: Limit times in each Per, evenly, of which Burst at
// once. It is the generic cell rate algorithm (ITU-T I.371): one time for each key says all.
type Pace struct {
	Limit int // at least 1
	Per   time.Duration
	Burst int // at least 1
}

// Interval is the time between two that are spread evenly.
func (p Pace) Interval() time.Duration { return max(1, p.Per/time.Duration(max(1, p.Limit))) }

// Take asks to happen now. at is what Take returned for the last one, zero for the first. When
// wait is 0 it happens, and next is to be kept; otherwise nothing changes, and asking again is
// worth while after wait.
func (p Pace) Take(at, now time.Time) (next time.Time, wait time.Duration) {
	step := p.Interval()
	if at.Before(now) || at.Sub(now) > p.Longest() { // further away than it can be: a clock was set
		at = now
	}
	if early := at.Sub(now) - step*time.Duration(max(1, p.Burst)-1); early > 0 {
		return at, early
	}
	return at.Add(step), 0
}

// Spend is Take for what happens in any case.
func (p Pace) Spend(at, now time.Time) time.Time {
	if at.Before(now) || at.Sub(now) > p.Longest() {
		at = now
	}
	return at.Add(p.Interval())
}

// Longest is the longest time for which Take makes anybody wait who asks again: a time that was
// kept and is further away than that comes from a clock that was set.
func (p Pace) Longest() time.Duration { return p.Interval() * time.Duration(max(1, p.Burst)) }
