package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/job"
)

// outcome is where a job goes after an attempt.
type outcome struct {
	next   job.State
	pause  time.Duration // when next is Scheduled
	reason string
	by     string // the job it made room for, when next is Superseded
}

// decide says where a job goes after its n-th attempt, counted from 1 in its run of attempts, by
// what ended it and by the rule's policy.
func decide(rule Rule, n int, e end) outcome {
	switch {
	case e.Err == nil:
		// Also when somebody cancelled it: that came too late.
		return outcome{next: job.Succeeded, reason: leftovers(e.Leftovers)}
	case e.cancelled != "":
		return outcome{next: job.Cancelled, reason: e.cancelled}
	case e.overtakenBy != "":
		return outcome{next: job.Superseded, reason: "ended for a newer job", by: e.overtakenBy}
	case errors.Is(e.Err, action.ErrStopping) && !e.begun:
		return outcome{next: job.Queued, reason: e.Err.Error() + " before it began; it is run again"}
	case errors.Is(e.Err, action.ErrStopping) || errors.Is(e.Err, action.ErrLost):
		return interrupted(rule, n, e.Err.Error())
	}
	reason := e.Err.Error()
	policy := rule.Retry()
	pause, again := policy.Next(n, e.RetryAfter)
	switch {
	case again && !e.Final:
		reason = fmt.Sprintf("%s; attempt %d of %d in %s", reason, n+1, policy.Attempts, short(pause))
		return outcome{next: job.Scheduled, pause: pause, reason: reason}
	case again:
		reason += "; a further attempt would end the same"
	case policy.Attempts > 1:
		reason = fmt.Sprintf("%s; attempt %d of %d", reason, n, policy.Attempts)
	}
	if e.TimedOut {
		return outcome{next: job.TimedOut, reason: reason}
	}
	return outcome{next: job.Failed, reason: reason}
}

// interrupted is where a job goes whose n-th attempt was cut off, not by its own fault. A rule
// that asks for on_interrupt: retry has at least one further attempt, also if it grants none to
// attempts that fail.
func interrupted(rule Rule, n int, reason string) outcome {
	if rule.OnInterrupt() == "retry" && n < max(2, rule.Retry().Attempts) {
		return outcome{next: job.Queued, reason: reason + "; it is run again"}
	}
	return outcome{next: job.Interrupted, reason: reason}
}

func leftovers(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "1 process that was left over was ended"
	default:
		return fmt.Sprintf("%d processes that were left over were ended", n)
	}
}

// short is a pause as a person says it.
func short(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	default:
		return d.Round(time.Millisecond)
	}
}
