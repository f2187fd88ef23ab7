// Package store is the contract every store keeps; its subpackages sqlite and postgres keep it,
// and storetest proves it with one suite for all.
//
// A write method returns nil only once its effect is on disk (committed with an fsync). A write
// that returns an error wrapping ErrUnavailable may or may not have happened: the caller must
// not acknowledge anything, and the sender's retry is absorbed by the delivery's unique key.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// The errors callers branch on; a store wraps them with %w.
var (
	// ErrNotFound: no such delivery or job.
	ErrNotFound = errors.New("not found")
	// ErrFenced: the job is not in the state, or not at the attempt, that the write expects.
	// Somebody else moved it; the write changed nothing.
	ErrFenced = errors.New("job has moved on")
	// ErrUnavailable: the store cannot commit now (disk full, locked, queue full, closing).
	ErrUnavailable = errors.New("store unavailable")
)

// Receipt says what Accept did.
type Receipt struct {
	// Duplicate: the key was taken; nothing was stored and Delivery names the first one.
	Duplicate bool
	Delivery  string
	// Jobs are the new jobs as their controls let them in, those that ended at once too; or
	// under job.RerunFailed the earlier ones that were queued again.
	Jobs []job.Job
}

// StartMark is written before an action begins.
type StartMark struct {
	Job     string
	Attempt int // the job's Attempt + 1, else ErrFenced
	At      time.Time
	Config  string
	Node    string
	// Controls are the rule's: whether the job may still start is decided in the same
	// transaction. Nil decides nothing.
	Controls *job.Controls
	// Company is how many starts and ends, this one among them, are about to be written within a
	// moment: the store may wait as long as that for them to share a commit. 0 is not known.
	Company int
}

// RefusedError says that a job was not started: its controls ended it instead, and that is on
// disk.
type RefusedError struct{ job.Refusal }

// Error implements error.
func (e *RefusedError) Error() string { return string(e.State) + ": " + e.Reason }

// Ended records the end of an attempt and where the job goes next.
type Ended struct {
	Job      string
	Attempt  int // the running attempt, else ErrFenced
	At       time.Time
	ExitCode *int
	Signal   string
	Status   int
	Error    string
	Output   []byte
	Next     job.State // terminal, or Scheduled/Queued for another attempt
	RunAt    time.Time // when Next is Scheduled
	Reason   string
	// SupersededBy is the job that it had to make room for, when Next is Superseded.
	SupersededBy string
	// FollowUps: the job stays running, with Next as its Ending, until Conclude.
	FollowUps bool
	// Controls are the rule's: what a success means for others is kept with it.
	Controls *job.Controls
	Company  int // as of StartMark
}

// Settle ends (or reschedules) a job that waits, without an attempt.
type Settle struct {
	Job          string
	At           time.Time
	Next         job.State // Cancelled, Skipped, Failed, …; or Scheduled, Queued
	RunAt        time.Time // when Next is Scheduled
	Reason       string
	SupersededBy string // the job that took its place, when Next is Superseded
}

// Filter selects deliveries or jobs, newest first. Zero fields do not filter.
type Filter struct {
	Hook, Rule, Event string
	Delivery          string // jobs only
	State             job.State
	Outcome           job.Outcome
	Since, Until      time.Time // ReceivedAt of deliveries, CreatedAt of jobs; [Since, Until)
	Cursor            string    // the id of the last row already seen; rows older than it follow
	Limit             int       // 0 is 50; at most 500
}

// Retention bounds what is kept. Live jobs and their deliveries are never pruned.
type Retention struct {
	For        time.Duration // age at which a delivery and its ended jobs go; 0 keeps them
	Deliveries int           // how many deliveries are kept at most; 0 is no bound
	Audit      int           // how many entries of the audit log are kept at most; 0 is no bound
}

// Pruned is what one slice of retention came to.
type Pruned struct {
	More    bool // there is more to delete
	Untaken []Untaken
}

// Untaken are held deliveries of a hook that retention deleted and that no taker has: what was sent
// in them is lost.
type Untaken struct {
	Hook   string
	State  job.HeldState // job.HeldWaiting or job.HeldRefused
	Number int
}

// Went counts a held delivery that was deleted.
func (p *Pruned) Went(hook string, state job.HeldState) {
	if state == job.HeldAcknowledged {
		return
	}
	for i := range p.Untaken {
		if u := &p.Untaken[i]; u.Hook == hook && u.State == state {
			u.Number++
			return
		}
	}
	p.Untaken = append(p.Untaken, Untaken{hook, state, 1})
}

// Store is the whole contract. Consumers declare the few methods they need themselves; only the
// conformance suite and the wiring see all of it.
type Store interface {
	// Accept stores d and jobs in one transaction, unless d.Key is taken for d.Hook within its
	// window. It sets the jobs' Seq. What the jobs' Controls make of them is decided in the same
	// transaction by job.Arrive. The bodies may be compressed before they are stored. The bytes of
	// d.Body must not change any more, also after an error: they may still be on their way to disk.
	Accept(ctx context.Context, d *job.Delivery, jobs []job.Job) (Receipt, error)
	// Start commits the start mark of the next attempt of a waiting job, or returns a
	// *RefusedError.
	Start(ctx context.Context, m StartMark) error
	// Finish records the end of a running attempt and the job's next state in one transaction.
	Finish(ctx context.Context, e Ended) error
	// BeginFollowUp commits the start of a follow-up of a running job that has an Ending, before
	// its action begins. EndFollowUp records its end. Both are ErrFenced for any other job.
	BeginFollowUp(ctx context.Context, id string, u job.FollowUp) error
	EndFollowUp(ctx context.Context, id string, u job.FollowUp) error
	// Conclude ends a running job that has an Ending.
	Conclude(ctx context.Context, id string, at time.Time) error
	// SetPause keeps or, with on false, forgets that a rule is paused.
	SetPause(ctx context.Context, p job.Pause, on bool) error
	// Settle ends a waiting job.
	Settle(ctx context.Context, s Settle) error
	// Requeue gives an ended job another run of attempts, and returns it queued.
	Requeue(ctx context.Context, id, reason string, at time.Time) (job.Job, error)
	// Replay gives a stored delivery further jobs, and returns those that were stored: a rule that
	// has a live job of the delivery gets none. What Controls say of arrivals is not asked.
	Replay(ctx context.Context, delivery string, jobs []job.Job) ([]job.Job, error)
	// Audit appends to the audit log: it seals the entry after the newest, in the same
	// transaction, and returns it.
	Audit(ctx context.Context, e job.AuditEntry) (job.AuditEntry, error)
	// KeepRejects stores refused requests, in the place of those with the same ID, and deletes
	// the oldest beyond most. It gives way to every other write.
	KeepRejects(ctx context.Context, rejects []job.Reject, most int) error
	// KeepReplay stores a replay, in the place of the one with its ID, and forgets the oldest
	// beyond job.MostReplays.
	KeepReplay(ctx context.Context, r job.Replay) error
	// KeepListened stores a span in which deliveries were taken, in the place of the one with its
	// ID, and forgets the oldest beyond job.MostListened.
	KeepListened(ctx context.Context, span job.Listened) error
	// SetExpectation keeps or, with on false, forgets what is remembered of a hook that expects
	// deliveries.
	SetExpectation(ctx context.Context, e job.Expectation, on bool) error
	// SetPosition keeps or, with on false, forgets how far the source of a hook has been read.
	SetPosition(ctx context.Context, p job.Position, on bool) error
	// TakeHeld hands out deliveries that are held and that nobody has, oldest first, with their bodies
	// and Held, and keeps them from others until t.Until.
	TakeHeld(ctx context.Context, t job.Taking) ([]job.Delivery, error)
	// SettleHeld says what became of held deliveries, and returns for how many that is news.
	SettleHeld(ctx context.Context, e job.HeldEnd) (int, error)
	// SetReport keeps how far a report of a job is: one that is closed stays open while the job is not
	// at what it Reached.
	SetReport(ctx context.Context, r job.Report) error
	// Prune deletes one small slice of what retention no longer keeps and of expired keys. It
	// reports whether there is more to do.
	Prune(ctx context.Context, r Retention, now time.Time) (Pruned, error)

	// Delivery returns one delivery with its body and JobIDs.
	Delivery(ctx context.Context, id string) (job.Delivery, error)
	// Inputs returns deliveries with what actions see of them: JobIDs, Verdicts and Withheld may be
	// left out. Their order is the store's. Missing are those that are not stored, and those whose
	// bodies would be more than maxBytes, alone or with the others.
	Inputs(ctx context.Context, ids []string, maxBytes int) ([]job.Delivery, error)
	// Deliveries lists deliveries without bodies, with JobIDs.
	Deliveries(ctx context.Context, f Filter) ([]job.Delivery, error)
	// ReadDeliveries lists deliveries like Deliveries, with their bodies, for who reads through many.
	// A page ends early once its bodies are maxBytes together; only an empty page is the end.
	ReadDeliveries(ctx context.Context, f Filter, maxBytes int) ([]job.Delivery, error)
	// CountDeliveries returns how many deliveries a filter selects, whatever its Cursor and Limit.
	CountDeliveries(ctx context.Context, f Filter) (int, error)
	Job(ctx context.Context, id string) (job.Job, error)
	Jobs(ctx context.Context, f Filter) ([]job.Job, error)
	// Attempts returns a job's attempts, first to last, with their output.
	Attempts(ctx context.Context, id string) ([]job.Attempt, error)
	// FollowUps returns a job's follow-ups in the order they began, with their output.
	FollowUps(ctx context.Context, id string) ([]job.FollowUp, error)
	// Burst returns the deliveries of the jobs that a job took in, oldest first, its own last,
	// with their bodies.
	Burst(ctx context.Context, id string) ([]job.Delivery, error)
	// Pauses returns what is paused, by hook and rule.
	Pauses(ctx context.Context) ([]job.Pause, error)
	// AuditLog returns entries of the audit log, newest first: those older than number before, 0
	// for all; most is as Filter.Limit.
	AuditLog(ctx context.Context, before int64, most int) ([]job.AuditEntry, error)
	// AuditAnchor returns the last entry of the audit log that Prune took away.
	AuditAnchor(ctx context.Context) (job.AuditAnchor, error)
	// Rejects lists refused requests, newest first, by Hook, Since, Until, Cursor and Limit.
	Rejects(ctx context.Context, f Filter) ([]job.Reject, error)
	// Replays returns the replays that are remembered, newest first.
	Replays(ctx context.Context) ([]job.Replay, error)
	// Listened returns the spans that are remembered, newest first.
	Listened(ctx context.Context) ([]job.Listened, error)
	// Expectations returns what is remembered of hooks that expect deliveries, by hook.
	Expectations(ctx context.Context) ([]job.Expectation, error)
	// Positions returns how far sources have been read, by hook.
	Positions(ctx context.Context) ([]job.Position, error)
	// Holding returns how it is with a held delivery, and ErrNotFound for any other.
	Holding(ctx context.Context, delivery string) (job.Held, error)
	// HeldCounts returns how many deliveries wait for a taker or were refused, by hook, and who has
	// them now.
	HeldCounts(ctx context.Context, now time.Time) ([]job.HeldCount, error)
	// DueReports returns reports whose job is not at what they Reached, and whose NextAt has come.
	DueReports(ctx context.Context, now time.Time, most int) ([]job.Report, error)
	// Reports returns the reports of a job.
	Reports(ctx context.Context, job string) ([]job.Report, error)
	// Throttles calls yield for each throttle that is not over, with what job.Pace keeps of it.
	Throttles(ctx context.Context, yield func(hook, rule, key string, at time.Time)) error
	// Live calls yield for every job that has not ended, in Seq order, until it returns false.
	Live(ctx context.Context, yield func(job.Job) bool) error
	// Counts returns how many jobs are in each state that has not ended.
	Counts(ctx context.Context) (map[job.State]int, error)

	// Ready reports whether the store could commit just now: nil, or why not.
	Ready(ctx context.Context) error
	// Close waits for writes under way, refuses further ones, and releases the files.
	Close() error
}
