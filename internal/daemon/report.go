package daemon

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/crashpoint"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/sender"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The times of reporting to senders.
const (
	reportLook = time.Second // between looks for what is due
	reportMost = 100         // at one look
	// reportsAtOnce are told at the same time: one slow API does not keep the others waiting for long.
	reportsAtOnce = 4
	reportTime    = 40 * time.Second // of one report
	// The pauses after a failure: the first, and the longest. What failed so often is given up.
	reportPause   = 5 * time.Second
	reportLongest = 30 * time.Minute
	reportTries   = 50
)

// runReports tells senders what becomes of jobs, until ctx ends. What is to be told is in the store, so
// that nothing of it is lost, and no job waits for it. Each look takes what a job is then: of one that
// has ended no sender hears any more that it waits.
func (d *Daemon) runReports(ctx context.Context) {
	atOnceAndEvery(ctx, reportLook, nil, func() {
		for d.reporting() && d.pool.Leads() && ctx.Err() == nil && d.reportDue(ctx) {
		}
	})
}

// reporting says whether any rule reports.
func (d *Daemon) reporting() bool {
	return slices.ContainsFunc(d.hooks().Hooks(), func(h *hook.Hook) bool {
		return slices.ContainsFunc(h.Rules, func(r *hook.Rule) bool { return len(r.Reports) > 0 })
	})
}

// reportDue tells what is due, and reports whether there was as much as one look takes. A job is told
// of once at a time: all of a look are over before the next.
func (d *Daemon) reportDue(ctx context.Context) bool {
	due, err := d.store.DueReports(ctx, time.Now(), reportMost)
	if err != nil {
		if ctx.Err() == nil {
			d.log.Warn("not known what senders are to be told", "error", err)
		}
		return false
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, reportsAtOnce)
	for _, r := range due {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			d.reportOne(ctx, r)
		})
	}
	all.Wait()
	return len(due) == reportMost
}

// reportOne tells of one job, and keeps what came of it.
func (d *Daemon) reportOne(ctx context.Context, r job.Report) {
	stage := job.Stage(r.State)
	crashpoint.Reach(crashpoint.BeforeTold)
	within, cancel := context.WithTimeout(ctx, reportTime)
	remote, err := d.report(within, r)
	cancel()
	crashpoint.Reach(crashpoint.AfterTold)
	if ctx.Err() != nil && err != nil {
		return // at the next start
	}
	r.At, r.Error, r.NextAt = time.Now(), "", time.Time{}
	if remote != "" {
		r.Remote = remote
	}
	var busy *sender.BusyError
	var no *notReported
	switch {
	case err == nil:
		r.Reached, r.Tries = stage, 0
	case errors.As(err, &busy):
		r.Error, r.NextAt = err.Error(), busy.Until
	case errors.As(err, &no), sender.Final(err), r.Tries+1 >= reportTries:
		r.Reached, r.Error = stage, err.Error()
		d.log.Warn("sender not told of a job", "hook", r.Hook, "rule", r.Rule, "job", r.Job, "state", r.State, "error", err)
	default:
		pause := min(reportLongest, reportPause<<min(r.Tries, 16))
		r.Tries, r.Error, r.NextAt = r.Tries+1, err.Error(), r.At.Add(pause/2+rand.N(pause))
		d.log.Info("sender not told of a job, tried again", "hook", r.Hook, "rule", r.Rule, "job", r.Job, "state", r.State, "at", r.NextAt.UTC(), "error", err)
	}
	r.Open = r.Reached != stage || !r.State.Terminal()
	if err := d.store.SetReport(context.WithoutCancel(ctx), r); err != nil {
		d.log.Warn("what a sender was told is not stored, it will be told again", "job", r.Job, "error", err)
	}
}

// notReported says that there is nothing to tell, and never will be.
type notReported struct{ why string }

// Error implements error.
func (e *notReported) Error() string { return e.why }

// report tells what a job is.
func (d *Daemon) report(ctx context.Context, r job.Report) (remote string, err error) {
	rule := d.hooks().Rule(r.Hook, r.Rule)
	if rule == nil || r.N >= len(rule.Reports) || rule.Reports[r.N].To != r.To || rule.Hook.API == nil {
		return "", &notReported{"the rule reports no more"}
	}
	p := rule.Reports[r.N]
	if said(p, r.Reached) == said(p, job.Stage(r.State)) {
		return "", nil // it reads the same there
	}
	told, err := d.tellOf(ctx, rule, p, r)
	if err != nil {
		return "", err
	}
	api := rule.Hook.API
	target, ok := api.Allows(told.Repo)
	switch {
	case told.Repo == "" || !sender.IsSHA(told.Status.SHA):
		return "", &notReported{"the delivery names no repository and commit: report.repo and report.sha say which"}
	case !ok:
		return "", &notReported{"the delivery's repository is none of api.target"}
	}
	o := rule.Hook.Options(target)
	o.Patience = time.Second
	opened, err := api.Kind.Open(o)
	if err != nil {
		return "", &notReported{err.Error()}
	}
	if p.Deployment {
		deploys, ok := opened.(sender.Deploying)
		if !ok {
			return "", &notReported{"the target has no deployments"}
		}
		return deploys.Deployment(ctx, told.Status)
	}
	reports, ok := opened.(sender.Reporting)
	if !ok {
		return "", &notReported{"the target has no statuses"}
	}
	return "", reports.Status(ctx, told.Status)
}

// tellOf is what there is to say of a job.
func (d *Daemon) tellOf(ctx context.Context, rule *hook.Rule, p *hook.Report, r job.Report) (t hook.Told, err error) {
	delivery, err := d.store.Delivery(ctx, r.Delivery)
	if err == nil {
		var j job.Job
		if j, err = d.store.Job(ctx, r.Job); err == nil {
			if t, err = rule.Tell(p, &delivery, &j); err != nil {
				return t, &notReported{err.Error()}
			}
			t.Status.State, t.Status.Description = statusOf(r.State), describe(&j, r.State)
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		return t, &notReported{"the delivery is not kept any more"}
	}
	if r.Remote != "" {
		t.Status.Remote = r.Remote
	}
	return t, err
}

// said is how a stage reads at the sender: a commit's status there is pending until the job has ended.
func said(p *hook.Report, stage string) string {
	if !p.Deployment && stage == string(job.Running) && !strings.HasPrefix(p.To, "gitlab") {
		return job.StageWaiting
	}
	return stage
}

func statusOf(s job.State) sender.StatusState {
	switch s {
	case job.Scheduled, job.Queued:
		return sender.StatusPending
	case job.Running:
		return sender.StatusRunning
	case job.Succeeded:
		return sender.StatusSuccess
	case job.Failed, job.TimedOut:
		return sender.StatusFailure
	case job.Interrupted, job.Expired:
		return sender.StatusError
	}
	return sender.StatusCancelled // cancelled, superseded, skipped, stale
}

// mostDescription is GitHub's bound.
const mostDescription = 140

// describe says where a job stands, with nothing of its output.
func describe(j *job.Job, s job.State) string {
	text := strings.ReplaceAll(string(s), "_", " ")
	switch {
	case s == job.Succeeded && !j.StartedAt.IsZero() && j.FinishedAt.After(j.StartedAt):
		text += " in " + j.FinishedAt.Sub(j.StartedAt).Round(time.Second).String()
	case s == job.Failed && j.ExitCode != nil:
		text += ": exit status " + strconv.Itoa(*j.ExitCode)
	}
	if j.Attempt > 1 {
		text += fmt.Sprintf(", attempt %d", j.Attempt)
	}
	return text[:min(len(text), mostDescription)]
}
