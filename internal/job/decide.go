package job

import (
	"fmt"
	"strconv"
	"time"
)

// Control is a flow control that remembers something of a key.
type Control string

// The controls that a Ledger keeps records of.
const (
	ControlOnce      Control = "once"       // Job succeeded
	ControlSequence  Control = "sequence"   // Job started, and Value is its By
	ControlRateLimit Control = "rate_limit" // At is what Pace.Take returned
	ControlThrottle  Control = "throttle"   // the same
	ControlDebounce  Control = "debounce"   // Job waits; the burst began at At; Count and Bytes are what it holds
)

// Record is what a control remembers of a key.
type Record struct {
	Job     string
	At      time.Time
	Value   string
	Count   int
	Bytes   int
	Expires time.Time // from when on it means nothing
}

// Ledger holds the records of one rule. A store implements it inside the transaction that writes
// what is decided, so that two deliveries never decide on the same record at once.
type Ledger interface {
	// Recall is false when there is no record, or when it has expired.
	Recall(c Control, key string) (Record, bool, error)
	Keep(c Control, key string, r Record) error
	// Debounced returns a job that waits for its burst to end; false for one that does not (any more).
	Debounced(id string) (Job, bool, error)
}

// sequenceWindow is how long the newest start of a sequence is remembered after it.
const sequenceWindow = 365 * 24 * time.Hour

// Arrive decides, before a new job is stored, what its rule's controls make of it: once,
// sequence, rate_limit, debounce, in this order. It changes the job's State, Reason, RunAt,
// SupersededBy and Burst. When an earlier job of the burst is affected, that is returned as it
// is to be from now on: superseded, or with another RunAt.
func Arrive(j *Job, bytes int, l Ledger, now time.Time) (earlier *Job, err error) {
	c := j.Controls
	if c == nil {
		return nil, nil
	}
	refusal, err := guard(j.ID, j.Keys, c, l)
	if err != nil || refusal != nil {
		j.refuse(refusal)
		return nil, err
	}
	if c.RateLimit != nil {
		r, _, err := l.Recall(ControlRateLimit, j.Keys.RateLimit)
		if err != nil {
			return nil, err
		}
		next, wait := c.RateLimit.Take(r.At, now)
		if wait > 0 {
			j.refuse(&Refusal{State: Skipped, Reason: fmt.Sprintf("over its rate limit of %d per %s", c.RateLimit.Limit, shortly(c.RateLimit.Per))})
			return nil, nil
		}
		if err := l.Keep(ControlRateLimit, j.Keys.RateLimit, Record{Job: j.ID, At: next, Expires: next}); err != nil {
			return nil, err
		}
	}
	if c.Debounce != nil {
		return debounce(j, bytes, l, now)
	}
	return nil, nil
}

// Refusal ends a job that its controls do not let start.
type Refusal struct {
	State  State // Skipped or Stale
	Reason string
	By     string // the job it is refused for, "" for none
}

func (j *Job) refuse(r *Refusal) {
	if r != nil {
		j.State, j.Reason, j.SupersededBy = r.State, r.Reason, r.By
	}
}

// Begin decides, before an attempt of a job starts, whether it still may: once, sequence. When it
// may, what its start means for others is kept.
func Begin(id string, k Keys, c *Controls, l Ledger, now time.Time) (*Refusal, error) {
	if c == nil {
		return nil, nil
	}
	if refusal, err := guard(id, k, c, l); err != nil || refusal != nil {
		return refusal, err
	}
	if c.Sequence && k.Sequence != "" {
		if err := l.Keep(ControlSequence, k.Sequence, Record{Job: id, Value: k.By, Expires: now.Add(sequenceWindow)}); err != nil {
			return nil, err
		}
	}
	if c.Throttle == nil || k.Throttle == "" {
		return nil, nil
	}
	// Whether it is too early was decided by who holds the lane; here it is remembered.
	r, _, err := l.Recall(ControlThrottle, k.Throttle)
	if err != nil {
		return nil, err
	}
	next := c.Throttle.Spend(r.At, now)
	return nil, l.Keep(ControlThrottle, k.Throttle, Record{Job: id, At: next, Expires: next})
}

// Succeed keeps that a job succeeded, for those of the same key.
func Succeed(id string, k Keys, c *Controls, l Ledger, now time.Time) error {
	if c == nil || c.Once == nil || k.Once == "" {
		return nil
	}
	return l.Keep(ControlOnce, k.Once, Record{Job: id, Expires: now.Add(c.Once.Window)})
}

// guard refuses a job whose key had its success, and one that is older than what has started.
func guard(id string, k Keys, c *Controls, l Ledger) (*Refusal, error) {
	if c.Once != nil && k.Once != "" {
		r, ok, err := l.Recall(ControlOnce, k.Once)
		if err != nil {
			return nil, err
		}
		if ok && r.Job != id {
			return &Refusal{Skipped, fmt.Sprintf("once: another job succeeded for %q", k.Once), r.Job}, nil
		}
	}
	if c.Sequence && k.Sequence != "" {
		r, ok, err := l.Recall(ControlSequence, k.Sequence)
		if err != nil {
			return nil, err
		}
		if ok && CompareMoments(k.By, r.Value) < 0 {
			return &Refusal{Stale, fmt.Sprintf("a newer one has started for %q: %s is before %s", k.Sequence, momentText(k.By), momentText(r.Value)), r.Job}, nil
		}
	}
	return nil, nil
}

// debounce lets a job begin a burst, or take over or join the one that waits.
func debounce(j *Job, bytes int, l Ledger, now time.Time) (*Job, error) {
	d := j.Controls.Debounce
	r, ok, err := l.Recall(ControlDebounce, j.Keys.Debounce)
	var earlier Job
	if err == nil && ok {
		earlier, ok, err = l.Debounced(r.Job)
	}
	if err != nil {
		return nil, err
	}
	over := !earlier.RunAt.After(now) // it waits for something else by now, and others must not push it back
	if !ok || over || r.At.After(now) || d.Keep == KeepAll && (r.Count >= MaxBurst || r.Bytes+bytes > MaxBurstBytes) {
		r = Record{At: now}
		earlier.ID = ""
	}
	r.Count++
	r.Bytes += bytes
	runAt := now.Add(d.Quiet)
	if latest := r.At.Add(d.MaxWait); runAt.After(latest) {
		runAt = latest
	}
	j.State, j.RunAt, j.Reason, j.Burst = Scheduled, runAt, "debounced: waits for quiet", j.ID
	r.Job = j.ID
	var moved *Job
	if earlier.ID != "" {
		moved, j.Burst = &earlier, earlier.Burst
		if d.Keep == KeepFirst {
			r.Job = earlier.ID
			earlier.RunAt = runAt
			j.State, j.RunAt, j.Reason, j.SupersededBy = Superseded, now, "debounced: the first of the burst runs", earlier.ID
		} else {
			earlier.State, earlier.Reason, earlier.SupersededBy = Superseded, supersededInBurst(d.Keep), j.ID
			earlier.FinishedAt = now
			j.Reason = "debounced: the last of " + strconv.Itoa(r.Count) + ", waits for quiet"
		}
	}
	r.Expires = runAt.Add(d.MaxWait) // whether it still waits, the job itself says
	return moved, l.Keep(ControlDebounce, j.Keys.Debounce, r)
}

func supersededInBurst(k Keep) string {
	if k == KeepAll {
		return "debounced: the last of the burst runs, with this one's payload too"
	}
	return "debounced: a later one of the burst runs"
}

// shortly is a duration without the parts that are zero: 1m, not 1m0s.
func shortly(d time.Duration) string {
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}} {
		if d >= u.unit && d%u.unit == 0 {
			return strconv.FormatInt(int64(d/u.unit), 10) + u.name
		}
	}
	return d.String()
}
