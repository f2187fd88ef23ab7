package hook

import (
	"time"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/expression"
	"github.com/tenterhook/tenterhook/internal/job"
)

// afterSpec is what runs after a job.
type afterSpec struct {
	OnSuccess config.Node `yaml:"on_success" doc:"Actions that follow a job that succeeded, in order."`
	OnFailure config.Node `yaml:"on_failure" doc:"Actions that follow a job that failed, timed out or was cut off."`
	OnCancel  config.Node `yaml:"on_cancel" doc:"Actions that follow a job that a person or a newer job ended."`
}

// followUpSpec is what an action that follows has beside its own keys.
type followUpSpec struct {
	Retry *retrySpec `yaml:"retry" doc:"Further tries after one that failed."`
}

// FollowUp is one action of on_success, on_failure or on_cancel.
type FollowUp struct {
	Action action.Action
	Retry  job.RetryPolicy
}

// JobEnd is what follow-ups see of the job that ended.
type JobEnd = expression.JobFacts

// mostFollowUps is how many actions can follow one end.
const mostFollowUps = 20

// The pauses between the tries of a follow-up. They are short: the job keeps its place meanwhile.
const (
	firstFollowUpPause   = time.Second
	longestFollowUpPause = time.Minute
	followUpTries        = 3
)

func compileAfter(r *Rule, spec *afterSpec, node config.Node, scope expression.Scope, c Context, d *config.Diagnostics) {
	scope.Job = true
	for _, list := range []struct {
		event string
		node  config.Node
	}{{"on_success", spec.OnSuccess}, {"on_failure", spec.OnFailure}, {"on_cancel", spec.OnCancel}} {
		if list.node.IsZero() {
			continue
		}
		if list.node.Kind() != config.KindList {
			d.Errorf(list.node, "%s is a list of actions, found %s", list.event, list.node.Kind()).Hint("%s: [{run: ./notify.sh}]", list.event)
			continue
		}
		items := list.node.List()
		if len(items) > mostFollowUps {
			d.Errorf(list.node, "%s has at most %d actions, found %d", list.event, mostFollowUps, len(items))
		}
		for _, item := range items {
			if u := compileFollowUp(r, item, scope, c, d); u != nil {
				r.after[list.event] = append(r.after[list.event], *u)
			}
		}
	}
}

func compileFollowUp(r *Rule, node config.Node, scope expression.Scope, c Context, d *config.Diagnostics) *FollowUp {
	if node.Kind() != config.KindMap {
		d.Errorf(node, "an action is a mapping with run:, exec: or http:")
		return nil
	}
	node = withDefaults(node, c.Defaults.Without(ruleOnly...))
	m := node.Map(d)
	var spec followUpSpec
	m.Decode(&spec)
	a := action.Compile(m, node, action.Context{
		Dir: c.Dir, Scope: scope, Diagnostics: d, Hook: r.Hook.Name, Rule: r.Name, Mask: c.masks,
	})
	m.Close()
	if a == nil {
		return nil
	}
	if a.Survives() {
		d.Errorf(node.Find("survive"), "survive is for the rule's own action: what follows it goes on after a restart anyway")
	}
	policy := a.Retry()
	policy.Attempts = min(policy.Attempts, followUpTries)
	policy.Initial, policy.Max = firstFollowUpPause, longestFollowUpPause
	return &FollowUp{Action: a, Retry: compileRetry(spec.Retry, node.Find("retry"), policy, d)}
}

// After returns the actions that follow an end of a job, and under which key they are written.
// A job that a person ended, or a newer one, was cancelled; one that never ran has none.
func (r *Rule) After(end job.State) (event string, actions []FollowUp) {
	switch end {
	case job.Succeeded:
		event = "on_success"
	case job.Failed, job.TimedOut, job.Interrupted:
		event = "on_failure"
	case job.Cancelled, job.Superseded:
		event = "on_cancel"
	}
	return event, r.after[event]
}
