package admin

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The headers of jobs/{id}/output.
const (
	headerState   = "Tenterhook-Job-State"
	headerAttempt = "Tenterhook-Attempt"
)

// jobOutput answers the exact output of the last attempt, or of ?attempt=n; of a running one,
// what it has written so far.
func (a *api) jobOutput(w http.ResponseWriter, r *http.Request, q url.Values) {
	out, ok := a.output(w, r, q)
	if !ok {
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set(headerState, string(out.State))
	w.Header().Set(headerAttempt, strconv.Itoa(out.Attempt))
	_, _ = w.Write(out.Body) // a client that went away needs no answer
}

// attemptOf reads ?attempt=n, 0 when it is not there.
func attemptOf(w http.ResponseWriter, q url.Values) (n int, ok bool) {
	s := q.Get("attempt")
	if s == "" {
		return 0, true
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		refuse(w, http.StatusBadRequest, "attempt must be a number from 1")
		return 0, false
	}
	return n, true
}

// jobLog answers the whole output of the last attempt, or of ?attempt=n, where the rule's
// limits.log keeps it.
func (a *api) jobLog(w http.ResponseWriter, r *http.Request, q url.Values) {
	out, ok := a.output(w, r, q)
	if !ok {
		return
	}
	f, err := a.backend.Log(r.PathValue("id"), out.Attempt)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	defer func() { _ = f.Close() }() // nothing was written
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.Copy(w, f) // a client that went away needs no answer
}

// output picks the output that a request names, and answers one that names none.
func (a *api) output(w http.ResponseWriter, r *http.Request, q url.Values) (out Output, ok bool) {
	id, ok := known(w, r)
	if !ok {
		return Output{}, false
	}
	n, ok := attemptOf(w, q)
	if !ok {
		return Output{}, false
	}
	j, attempts, err := a.jobWithOutput(r.Context(), id)
	if err == nil {
		out, err = PickOutput(&j, attempts, n)
	}
	if err != nil {
		a.fail(w, r, err)
		return Output{}, false
	}
	return out, true
}

// PickOutput returns the output of attempt n of j, or of the last when n is 0: nothing when the
// job has not started yet. The error wraps store.ErrNotFound when there is no attempt n.
func PickOutput(j *job.Job, attempts []job.Attempt, n int) (Output, error) {
	if n == 0 && len(attempts) == 0 {
		return Output{State: j.State}, nil
	}
	at := len(attempts) - 1
	if n != 0 {
		at = slices.IndexFunc(attempts, func(a job.Attempt) bool { return a.N == n })
	}
	if at < 0 {
		return Output{}, fmt.Errorf("attempt %d of job %s: %w", n, j.ID, store.ErrNotFound)
	}
	return Output{State: j.State, Attempt: attempts[at].N, Body: attempts[at].Output}, nil
}

// jobWithOutput returns a job and its attempts, the running one with what it has written so
// far. The live output is asked for first and the attempts last: an attempt that ends in between
// is found finished, with its output in the store.
func (a *api) jobWithOutput(ctx context.Context, id string) (job.Job, []job.Attempt, error) {
	live, running := a.backend.Output(id)
	j, err := a.backend.Job(ctx, id)
	if err != nil {
		return job.Job{}, nil, err
	}
	attempts, err := a.backend.Attempts(ctx, id)
	if err != nil {
		return job.Job{}, nil, err
	}
	if last := len(attempts) - 1; running && last >= 0 && attempts[last].FinishedAt.IsZero() {
		attempts[last].Output = live
	}
	return j, attempts, nil
}
