package ui

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// jobsData is what the list of jobs shows.
type jobsData struct {
	Filter filter
	Hooks  []string
	States []job.State
	Rows   []job.Job
	Next   string
	Newest string
	Query  string
	Now    time.Time
	Sample string
}

func (u *UI) jobs(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	f, s, err := readFilter(r.URL.Query(), v.now)
	if err != nil {
		return nil, err
	}
	found, err := u.backend.Jobs(ctx, s)
	if err != nil {
		return nil, err
	}
	data := jobsData{Filter: f, States: job.States, Rows: found, Query: f.values().Encode(), Now: v.now}
	for _, h := range u.backend.Hooks() {
		data.Hooks = append(data.Hooks, h.Name)
	}
	if len(data.Hooks) > 0 {
		data.Sample = data.Hooks[0]
	}
	if len(found) == pageRows {
		data.Next = f.next("/jobs", found[len(found)-1].ID, s)
	}
	if f.cursor != "" {
		data.Newest = "/jobs?" + data.Query
	}
	return &view{name: "jobs", title: "Jobs", nav: "jobs", data: data}, nil
}

// jobData is what the page of one job shows.
type jobData struct {
	job.Job
	Now       time.Time
	Live      bool // it has not ended: scripts ask again
	Attempts  []attempt
	FollowUps []job.FollowUp
	Reports   []job.Report
	Timeline  []event
	Bar       template.HTML
	Waits     []waitsFor
	Shares    []admin.Share
	Event     string // of its delivery
	CanRetry  bool
	CanCancel bool
	Limit     int
}

// attempt is one try with its output as HTML.
type attempt struct {
	job.Attempt
	HTML    template.HTML
	Running bool
	Open    bool // the last one is shown at once
	Result  string
	Bad     bool
	Log     bool // its whole output is kept
}

// waitsFor is what keeps a job from starting, in words and with links.
type waitsFor struct {
	Text string
	At   time.Time
	By   []string // ids of jobs
}

// event is one line of the timeline.
type event struct {
	At    time.Time
	What  string
	Class string
	Icon  string
	Took  string // until the next
	Link  string
}

func (u *UI) job(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	data, err := u.readJob(ctx, r.PathValue("id"), v.now)
	if err != nil {
		return nil, err
	}
	return &view{name: "job", title: "Job " + short(data.ID), nav: "jobs", data: data}, nil
}

func (u *UI) readJob(ctx context.Context, id string, now time.Time) (*jobData, error) {
	if !isID(id) {
		return nil, store.ErrNotFound
	}
	live, running := u.backend.Output(id) // first: see admin's jobWithOutput
	j, err := u.backend.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	attempts, err := u.backend.Attempts(ctx, id)
	if err != nil {
		return nil, err
	}
	data := &jobData{Job: j, Now: now, Live: !j.State.Terminal(), CanRetry: j.State.Terminal(), CanCancel: !j.State.Terminal()}
	if data.FollowUps, err = u.backend.FollowUps(ctx, id); err != nil {
		return nil, err
	}
	if data.Reports, err = u.backend.Reports(ctx, id); err != nil {
		return nil, err
	}
	if d, err := u.backend.Delivery(ctx, j.Delivery); err == nil {
		data.Event = d.Event
	}
	for i := range attempts {
		last := i == len(attempts)-1
		if last && running && attempts[i].FinishedAt.IsZero() {
			attempts[i].Output = live
		}
		one := attempt{Attempt: attempts[i], HTML: ansi(string(attempts[i].Output)), Running: attempts[i].FinishedAt.IsZero() && !j.State.Terminal(), Open: last}
		one.Result, one.Bad = attemptResult(&one)
		if f, err := u.backend.Log(id, one.N); err == nil {
			one.Log = true
			_ = f.Close() // nothing was written
		}
		data.Attempts = append(data.Attempts, one)
	}
	data.Waits = u.waits(&j)
	if data.Shares, err = admin.Shares(ctx, u.backend, &j); err != nil {
		return nil, err
	}
	data.Timeline = timeline(&j, data.Attempts, data.FollowUps)
	data.Bar = timeBar(&j, data.Attempts, now)
	return data, nil
}

func attemptResult(a *attempt) (result string, bad bool) {
	switch {
	case a.Running:
		return "running", false
	case a.Signal != "":
		return "ended by " + a.Signal, true
	case a.ExitCode != nil:
		return "exit " + strconv.Itoa(*a.ExitCode), *a.ExitCode != 0
	case a.Status != 0:
		return "HTTP " + strconv.Itoa(a.Status), a.Error != ""
	case a.Error != "":
		return "failed", true
	case a.FinishedAt.IsZero():
		return "cut off", true
	}
	return "done", false
}

// waits says what a job waits for.
func (u *UI) waits(j *job.Job) []waitsFor {
	if j.State != job.Queued && j.State != job.Scheduled {
		return nil
	}
	w, ok := u.backend.Wait(j.ID)
	if !ok {
		return []waitsFor{{Text: "It is about to start."}}
	}
	ahead := ""
	if w.Ahead > 0 {
		ahead = "; " + plural(w.Ahead, "job", "jobs") + " of this lane before it"
	}
	switch w.For {
	case job.WaitTime:
		return []waitsFor{{Text: timeWait(j), At: w.Until}}
	case job.WaitPause:
		return []waitsFor{{Text: "Its hook or rule is paused" + ahead + "."}}
	case job.WaitLane:
		return []waitsFor{{Text: "Its lane " + strconv.Quote(clean(j.ConcurrencyKey)) + " is held" + ahead + ", by", By: w.By}}
	case job.WaitOnce:
		return []waitsFor{{Text: "A job with the same once key " + strconv.Quote(clean(j.Keys.Once)) + " runs."}}
	case job.WaitTurn:
		return []waitsFor{{Text: plural(w.Ahead, "job", "jobs") + " of this rule start before it, when a worker is free."}}
	case job.WaitNode:
		return []waitsFor{{Text: "It waits for " + clean(w.On.String()) + ": none is up" + ahead + "."}}
	}
	if w.On != (job.Site{}) {
		return []waitsFor{{Text: "It waits for a free worker of " + clean(w.On.String()) + "."}}
	}
	return []waitsFor{{Text: "It waits for a free worker."}}
}

// timeWait says why a job waits for a moment.
func timeWait(j *job.Job) string {
	switch {
	case j.Attempt > j.Since:
		return "Attempt " + strconv.Itoa(j.Attempt) + " ended badly: " + j.Reason + ". The next one starts"
	case j.Keys.Debounce != "" || strings.Contains(j.Reason, "debounce"):
		return "Debounce waits for the burst to end. It starts"
	case j.Keys.Throttle != "":
		return "Throttle spreads the starts of this rule. It starts"
	}
	return "It is not due. It starts"
}

// timeline is a job's life in order.
func timeline(j *job.Job, attempts []attempt, followUps []job.FollowUp) []event {
	out := []event{{At: j.CreatedAt, What: "queued", Class: "wait", Icon: "queue"}}
	if j.ReplayOf != "" {
		out[0].What, out[0].Link = "queued by a replay of job "+short(j.ReplayOf), "/jobs/"+j.ReplayOf
	}
	for i := range attempts {
		a := &attempts[i]
		out = append(out, event{At: a.StartedAt, What: fmt.Sprintf("attempt %d started", a.N), Class: "run", Icon: "run"})
		if a.FinishedAt.IsZero() {
			continue
		}
		end := event{At: a.FinishedAt, What: fmt.Sprintf("attempt %d: %s", a.N, a.Result), Class: "ok", Icon: "ok"}
		if a.Bad {
			end.Class, end.Icon = "bad", "bad"
		}
		if a.Error != "" && !strings.Contains(end.What, a.Error) {
			end.What += ", " + a.Error
		}
		out = append(out, end)
	}
	for i := range followUps {
		f := &followUps[i]
		e := event{At: f.StartedAt, What: fmt.Sprintf("%s %d (%s)", f.Event, f.Step, f.Kind), Class: "run", Icon: "next"}
		if f.Error != "" {
			e.What, e.Class = e.What+": "+f.Error, "bad"
		}
		out = append(out, e)
	}
	if j.State.Terminal() {
		e := event{At: j.FinishedAt, What: strings.ReplaceAll(string(j.State), "_", " "), Class: looks[j.State][0], Icon: looks[j.State][1]}
		if j.Reason != "" {
			e.What += ": " + j.Reason
		}
		if j.SupersededBy != "" {
			e.What, e.Link = "superseded by job "+short(j.SupersededBy), "/jobs/"+j.SupersededBy
		}
		out = append(out, e)
	}
	for i := range out[:len(out)-1] {
		if gap := out[i+1].At.Sub(out[i].At); gap >= time.Millisecond {
			out[i].Took = span(gap)
		}
	}
	return out
}

// timeBar draws how a job's time went: waiting, and each attempt.
func timeBar(j *job.Job, attempts []attempt, now time.Time) template.HTML {
	end := j.FinishedAt
	if end.IsZero() {
		end = now
	}
	total := end.Sub(j.CreatedAt)
	if total <= 0 || len(attempts) == 0 {
		return ""
	}
	var b strings.Builder
	x := func(t time.Time) float64 {
		return max(0, min(600, 600*float64(t.Sub(j.CreatedAt))/float64(total)))
	}
	ran := time.Duration(0)
	for i := range attempts {
		a := &attempts[i]
		stop := a.FinishedAt
		if stop.IsZero() {
			stop = end
		}
		class := "ok"
		switch {
		case a.Running:
			class = "run"
		case a.Bad:
			class = "bad"
		}
		ran += stop.Sub(a.StartedAt)
		fmt.Fprintf(&b, `<rect class="b-%s" x="%.1f" y="0" width="%.1f" height="14"><title>attempt %d, %s</title></rect>`,
			class, x(a.StartedAt), max(2, x(stop)-x(a.StartedAt)), a.N, span(stop.Sub(a.StartedAt)))
	}
	return template.HTML(fmt.Sprintf(`<svg class="timebar" viewBox="0 0 600 14" preserveAspectRatio="none" role="img" aria-label="%s in all, of which it ran %s"><rect class="b-wait" width="600" height="14"><title>waited %s</title></rect>`,
		span(total), span(ran), span(max(0, total-ran))) + b.String() + `</svg>`)
}

// jobOutput answers the exact output of an attempt as plain text.
func (u *UI) jobOutput(r *http.Request, v *visit) (*view, error) {
	ctx, cancel := context.WithTimeout(r.Context(), storeWait)
	defer cancel()
	data, err := u.readJob(ctx, r.PathValue("id"), v.now)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(fall(r.URL.Query().Get("attempt"), "0"))
	if err != nil {
		return nil, refused("attempt must be a number.")
	}
	for i := range data.Attempts {
		if a := &data.Attempts[i]; a.N == n || n == 0 && i == len(data.Attempts)-1 {
			v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			v.w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s-%d.log"`, data.ID, a.N))
			u.writeOutput(v.w, data.ID, a)
			return nil, nil
		}
	}
	return nil, store.ErrNotFound
}

// writeOutput writes all of an attempt's output where limits.log kept it, else what the store has.
func (u *UI) writeOutput(w io.Writer, id string, a *attempt) {
	if f, err := u.backend.Log(id, a.N); err == nil {
		_, _ = io.Copy(w, f) // a client that went away needs no answer
		_ = f.Close()        // nothing was written
		return
	}
	_, _ = w.Write(a.Output)
}

func (u *UI) retry(r *http.Request, _ *visit) (to, said string, err error) {
	id := r.PathValue("id")
	if !isID(id) {
		return "", "", store.ErrNotFound
	}
	if _, err := u.backend.Retry(r.Context(), id); err != nil {
		return "", "", err
	}
	return "/jobs/" + id, "The job is queued again.", nil
}

func (u *UI) cancel(r *http.Request, _ *visit) (to, said string, err error) {
	id := r.PathValue("id")
	if !isID(id) {
		return "", "", store.ErrNotFound
	}
	if err := u.backend.Cancel(r.Context(), id); err != nil {
		return "", "", err
	}
	return "/jobs/" + id, "The job was told to stop.", nil
}
