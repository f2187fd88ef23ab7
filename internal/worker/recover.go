package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Report is what Recover found.
type Report struct {
	Waiting     int // jobs that waited and wait on
	Interrupted int // attempts that were cut off and are not run again
	Requeued    int // attempts that were cut off and are run again
	Swept       int // processes that were left over and were ended
}

// Recover takes up what the run before left, before anything runs: what waited waits again, in
// its order; processes of attempts that were cut off are ended, and then each such job becomes
// what its rule's on_interrupt says.
func (p *Pool) Recover(ctx context.Context) (Report, error) {
	var report Report
	var cut []job.Job
	var waiting []job.Job
	err := p.o.Store.Live(ctx, func(j job.Job) bool {
		if j.State == job.Running {
			cut = append(cut, j)
		} else {
			waiting = append(waiting, j)
		}
		return true
	})
	if err != nil {
		return report, fmt.Errorf("read live jobs: %w", err)
	}
	if report.Swept, err = p.sweep(ctx, cut); err != nil {
		return report, fmt.Errorf("end left-over processes: %w", err)
	}
	for _, j := range cut {
		again, err := p.cutOff(ctx, j)
		if err != nil {
			return report, fmt.Errorf("record job %s as cut off: %w", j.ID, err)
		}
		if again == nil {
			report.Interrupted++
			continue
		}
		report.Requeued++
		waiting = append(waiting, *again)
	}
	report.Waiting = len(waiting) - report.Requeued
	p.addInOrder(waiting)
	return report, nil
}

func (p *Pool) sweep(ctx context.Context, cut []job.Job) (int, error) {
	if p.o.Sweep == nil || len(cut) == 0 {
		return 0, nil
	}
	ids := make([]string, len(cut))
	for i, j := range cut {
		ids[i] = j.ID
	}
	return p.o.Sweep(ctx, ids)
}

// cutOff records an attempt that a crash ended. The job is returned when it has a further one.
func (p *Pool) cutOff(ctx context.Context, j job.Job) (*job.Job, error) {
	const reason = "cut off when the daemon died; how far it came is not known"
	to := outcome{next: job.Interrupted, reason: reason}
	if rule, ok := p.o.Rules().Rule(j.Hook, j.Rule); ok {
		before := j
		before.Attempt-- // the attempt that was cut off is counted by interrupted
		to = interrupted(&run{job: before}, rule, reason)
	}
	ended := store.Ended{Job: j.ID, Attempt: j.Attempt, At: time.Now(), Error: reason, Next: to.next, Reason: to.reason}
	if err := p.o.Store.Finish(ctx, ended); err != nil {
		return nil, err
	}
	p.report(&run{job: j}, j.Attempt, to, 0)
	if to.next.Terminal() {
		return nil, nil
	}
	j.State, j.Reason = to.next, to.reason
	return &j, nil
}
