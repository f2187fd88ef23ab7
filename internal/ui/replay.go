package ui

import (
	"context"
	"net/http"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// replayData is the preview of a replay.
type replayData struct {
	*deliveryData
	Choices []replayChoice
}

// replayChoice is one way to replay, with the rules that would get a job.
type replayChoice struct {
	Which admin.ReplayOf
	Name  string
	About string
	Rules []string
}

// replayPage shows what a replay would run, before anything does.
func (u *UI) replayPage(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	data, err := u.readDelivery(ctx, r.PathValue("id"), v.now)
	if err != nil {
		return nil, err
	}
	shown := replayData{deliveryData: data}
	for _, choice := range []replayChoice{
		{Which: admin.ReplayAll, Name: "every rule that matches now"},
		{Which: admin.ReplayFailed, Name: "only what failed", About: "rules whose last job of this delivery ended badly"},
		{Which: admin.ReplayMissing, Name: "only what is missing", About: "rules that made no job of it before"},
	} {
		for i := range data.Decisions {
			if d := &data.Decisions[i]; d.Now == job.Match && isWanted(d, choice.Which) {
				choice.Rules = append(choice.Rules, d.Rule)
			}
		}
		shown.Choices = append(shown.Choices, choice)
	}
	return &view{name: "replay", title: "Replay delivery " + short(data.ID), nav: "deliveries", data: shown}, nil
}

// isWanted says whether a replay gives a rule that matches a job: the daemon decides it again
// when it is done.
func isWanted(d *decision, which admin.ReplayOf) bool {
	if d.Job != nil && !d.Job.State.Terminal() {
		return false
	}
	switch which {
	case admin.ReplayFailed:
		return d.Job != nil && d.Job.State.EndedBadly()
	case admin.ReplayMissing:
		return d.Job == nil
	}
	return true
}

func (u *UI) replay(r *http.Request, v *visit) (to, said string, err error) {
	id := r.PathValue("id")
	if !isID(id) {
		return "", "", store.ErrNotFound
	}
	which := admin.ReplayOf(r.PostFormValue("which"))
	if which != admin.ReplayAll && which != admin.ReplayFailed && which != admin.ReplayMissing {
		return "", "", refused("There is no replay of %q.", string(which))
	}
	jobs, err := u.backend.Replay(r.Context(), id, which)
	if err != nil {
		return "", "", err
	}
	switch len(jobs) {
	case 0:
		return "/deliveries/" + id, "Nothing to replay: no rule matches, or its job still waits or runs.", nil
	case 1:
		return "/jobs/" + jobs[0].ID, "Replayed: this is the new job.", nil
	}
	return "/deliveries/" + id, "Replayed: " + plural(len(jobs), "new job", "new jobs") + ".", nil
}
