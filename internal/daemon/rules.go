package daemon

import (
	"context"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/ingress"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/worker"
)

// jobT keeps the store's callback readable where it is wired.
type jobT = job.Job

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

func (r rule) Prepare(d *job.Delivery, j *job.Job, runDir string) (action.Prepared, error) {
	return r.rule.Prepare(d, j, runDir)
}

func (r rule) Retry() job.RetryPolicy        { return r.rule.Retry }
func (r rule) OnInterrupt() string           { return r.rule.OnInterrupt }
func (r rule) Lane() (limit, maxPending int) { return r.rule.Lane() }
func (r rule) OutputLimit() int              { return r.rule.Action.OutputLimit() }

// awaiter lets a hook answer with its jobs' output.
type awaiter struct{ pool *worker.Pool }

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
