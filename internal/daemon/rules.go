package daemon

import (
	"context"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// rules shows the pool the set in force as the little it needs.
type rules struct{ set *hook.Set }

func (d *Daemon) rules() worker.Rules { return rules{d.hooks()} }

func (r rules) Digest() string { return r.set.Digest() }

func (r rules) Rule(hook, name string) (worker.Rule, bool) {
	found := r.set.Rule(hook, name)
	if found == nil {
		return nil, false
	}
	return rule{found}, true
}

type rule struct{ rule *hook.Rule }

func (r rule) Prepare(d *job.Delivery, burst []job.Delivery, j *job.Job, dirs action.Dirs) (action.Prepared, error) {
	return r.rule.Prepare(d, burst, j, dirs)
}

func (r rule) KeepsAll() bool           { return r.rule.KeepsAll() }
func (r rule) Kind() string             { return r.rule.Action.Kind() }
func (r rule) Survives() bool           { return r.rule.Action.Survives() }
func (r rule) Retry() job.RetryPolicy   { return r.rule.Retry }
func (r rule) OnInterrupt() string      { return r.rule.OnInterrupt }
func (r rule) Lane(j *job.Job) job.Lane { return r.rule.Lane(j) }
func (r rule) Controls() *job.Controls  { return r.rule.Controls() }
func (r rule) OutputLimit() int         { return r.rule.Action.OutputLimit() }

func (r rule) After(end job.State) (string, []worker.FollowUp) {
	event, actions := r.rule.After(end)
	out := make([]worker.FollowUp, len(actions))
	for i, u := range actions {
		out[i] = followUp{r.rule, u}
	}
	return event, out
}

type followUp struct {
	rule *hook.Rule
	u    hook.FollowUp
}

func (f followUp) Kind() string           { return f.u.Action.Kind() }
func (f followUp) Retry() job.RetryPolicy { return f.u.Retry }
func (f followUp) OutputLimit() int       { return f.u.Action.OutputLimit() }

func (f followUp) Prepare(d *job.Delivery, j *job.Job, end worker.JobEnd, dirs action.Dirs) (action.Prepared, error) {
	return f.rule.PrepareFollowUp(f.u, d, j, &hook.JobEnd{
		ID: j.ID, Error: end.Error, Output: end.Output, ExitCode: end.ExitCode, Attempt: end.Attempt,
	}, dirs)
}

// awaiter lets a hook answer with its jobs' output.
type awaiter struct{ pool runner }

func (a awaiter) Expect(ids []string) (func(context.Context) ([]ingress.Finished, bool), func()) {
	e := a.pool.Expect(ids)
	wait := func(ctx context.Context) ([]ingress.Finished, bool) {
		ends, ok := e.Wait(ctx)
		out := make([]ingress.Finished, len(ends))
		for i, end := range ends {
			out[i] = ingress.Finished{Job: end.Job, State: end.State, Output: end.Output}
		}
		return out, ok
	}
	return wait, e.Release
}
