package admin

import (
	"context"
	"io"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Backend is what the API shows and asks for. The daemon implements it; every method is safe
// for concurrent use and keeps to its context.
//
// Errors wrapping store.ErrNotFound, store.ErrFenced and store.ErrUnavailable are answered as
// 404, 409 and 503. Any other error is logged and answered as a 500 that says nothing of it.
type Backend interface {
	Reader
	// Search looks into deliveries for SearchPatience at most. It counts those that the filter selects
	// when it begins, that is without a cursor. A condition that is wrong is a *MatchError.
	Search(ctx context.Context, f store.Filter, s Search) (Found, error)
	// Counts returns how many jobs are in each state that has not ended.
	Counts(ctx context.Context) (map[job.State]int, error)
	// Ready reports whether a delivery could be committed just now: nil, or why not.
	Ready(ctx context.Context) error
	// Output returns what the running attempt of a job has written so far; false when none runs.
	Output(id string) (output []byte, running bool)

	// Log opens the whole output of an attempt, of a job with limits.log. The caller closes it.
	Log(id string, attempt int) (io.ReadCloser, error)

	// Retry gives an ended job another run of attempts, and returns it queued.
	Retry(ctx context.Context, id string) (job.Job, error)
	// Cancel ends a waiting job, or asks a running one to stop. It does not wait for the stop.
	Cancel(ctx context.Context, id string) error
	// SetPause lets a rule (rule "": all of the hook) start nothing, or start again. The hook and
	// the rule must be known, except to take a pause back.
	SetPause(ctx context.Context, hook, rule string, on bool) error
	// Replay makes new jobs of a stored delivery, as the rules decide now, and returns them.
	Replay(ctx context.Context, id string, which ReplayOf) ([]job.Job, error)
	// Explain says what the hooks in force would do with a request. Nothing is run or stored.
	Explain(ctx context.Context, q ExplainRequest) (hook.Explanation, error)
	// CountReplay says what a replay would do, without doing it. StartReplay begins one, or goes on
	// with one of the same filter that was not through; ErrBusy when another one runs. It goes on
	// after a restart. CancelReplay ends the one that runs. Replays are all that are known, newest
	// first.
	CountReplay(ctx context.Context, f job.ReplayFilter) (ReplayCount, error)
	StartReplay(ctx context.Context, who string, q ReplayRequest) (job.Replay, error)
	CancelReplay(ctx context.Context, id string) (job.Replay, error)
	Replays() []job.Replay
	// CatchUp asks a hook's sender for what did not arrive since a time, as ParseTime reads it, ""
	// as far back as the hook goes, and takes it in. It takes a while at most: Caught.More.
	CatchUp(ctx context.Context, hook, since string) (Caught, error)
	// Audit appends to the audit log and returns the entry as it is kept.
	Audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error)
	// Reload reads the configuration again. Problems in it are in the result, not in the error.
	Reload(ctx context.Context) (ReloadResult, error)

	// Push makes a configuration the newest version in the store; a *PushError when it has problems.
	// Configurations are the versions there are, newest first and without content; Configuration is
	// one with it, 0 for the newest.
	Push(ctx context.Context, who string, q PushRequest) (Pushed, error)
	Configurations(ctx context.Context) ([]store.Configuration, error)
	Configuration(ctx context.Context, n int64) (store.Configuration, error)
	// Nodes returns the daemons that share the store, with all also those that ended within a day;
	// none for one that is alone.
	Nodes(ctx context.Context, all bool) ([]store.Node, error)
	// Hooks returns the hooks in file order.
	Hooks() []HookInfo
	// Status returns everything but Jobs, Ready and NotReady, which the handler asks for itself.
	Status() Status
}

// ReplayOf says which rules of a delivery a replay is for.
type ReplayOf string

// Which rules are replayed: all that match, those whose last job of the delivery ended badly, or
// those that made no job of it.
const (
	ReplayAll     ReplayOf = ""
	ReplayFailed  ReplayOf = "failed"
	ReplayMissing ReplayOf = "missing"
)

// Reader is the part of a store that lists and shows.
type Reader interface {
	Delivery(ctx context.Context, id string) (job.Delivery, error)
	Deliveries(ctx context.Context, f store.Filter) ([]job.Delivery, error)
	Job(ctx context.Context, id string) (job.Job, error)
	Jobs(ctx context.Context, f store.Filter) ([]job.Job, error)
	Attempts(ctx context.Context, id string) ([]job.Attempt, error)
	FollowUps(ctx context.Context, id string) ([]job.FollowUp, error)
	// Reports are what the sender was told of a job.
	Reports(ctx context.Context, id string) ([]job.Report, error)
	// Rejects lists refused requests by Hook, Since, Until, Cursor and Limit.
	Rejects(ctx context.Context, f store.Filter) ([]job.Reject, error)
	// AuditLog returns entries of the audit log, newest first: those older than number before, 0
	// for all; most as Filter.Limit. AuditAnchor is what the oldest of them follows.
	AuditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error)
	AuditAnchor(ctx context.Context) (job.AuditAnchor, error)
}

// ReloadResult says what a reload did. With a problem (not only warnings) among Problems
// nothing was changed.
type ReloadResult struct {
	Changed      bool   // another configuration runs now
	Digest       string // of the one that runs now
	Problems     []config.Diagnostic
	NeedsRestart []string // changed keys that only a restart applies
}

// storeWait bounds one question to the store, so that a stuck disk cannot collect requests.
const storeWait = 10 * time.Second
