// Package job defines what is kept about a webhook after it was verified, and the rules its
// states follow: a Delivery (one request, kept as it arrived) makes Jobs (one rule that
// matched), and a Job has Attempts. The package holds no SQL and starts no goroutines.
//
// A job moves queued → running → an end state, or from running through scheduled back to
// running while its rule still grants attempts. Only a durable start mark moves a job into
// running, and only a recorded finish moves it out; the start mark is committed before the
// action begins, so no attempt can begin twice.
package job

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// State is where a job stands. Every job ends in exactly one terminal state.
type State string

// The states of a job. Scheduled and Queued wait, Running runs, the others are ends.
const (
	Scheduled   State = "scheduled"   // waits for RunAt: a retry's pause
	Queued      State = "queued"      // waits for a worker or for its lane
	Running     State = "running"     // its start mark is on disk
	Succeeded   State = "succeeded"   // the action ended well
	Failed      State = "failed"      // the action ended badly, and no attempt is left
	TimedOut    State = "timed_out"   // ended by its timeout, and no attempt is left
	Cancelled   State = "cancelled"   // ended by a person
	Superseded  State = "superseded"  // a later job took its place
	Skipped     State = "skipped"     // its lane had no room
	Stale       State = "stale"       // a newer event had already started
	Expired     State = "expired"     // could not start in time
	Interrupted State = "interrupted" // cut off by a crash or stop, and not run again
)

// States lists every state in the order a person reads them.
var States = []State{Scheduled, Queued, Running, Succeeded, Failed, TimedOut, Cancelled, Superseded, Skipped, Stale, Expired, Interrupted}

// Terminal reports whether a job in this state is over.
func (s State) Terminal() bool {
	switch s {
	case Scheduled, Queued, Running:
		return false
	}
	return true
}

// EndedBadly reports whether a redelivery under on_duplicate: rerun_failed gives a job in this
// state a new attempt. A job a person cancelled stays cancelled.
func (s State) EndedBadly() bool {
	return s == Failed || s == TimedOut || s == Interrupted
}

// Outcome says what became of a delivery.
type Outcome string

// The outcomes of a delivery. A duplicate is answered but not stored again.
const (
	Accepted  Outcome = "accepted"  // stored, at least one rule matched
	Ignored   Outcome = "ignored"   // stored, no rule matched
	Duplicate Outcome = "duplicate" // an earlier delivery has the same key
)

// Verdict is what one rule said of one delivery.
type Verdict string

// The verdicts of a rule. An evaluation error is neither a match nor a no: nothing runs, and it
// is shown.
const (
	Match   Verdict = "match"
	NoMatch Verdict = "no_match"
	Error   Verdict = "error"
)

// RuleVerdict is one line of a delivery's decision: small enough to be stored with it.
type RuleVerdict struct {
	Rule    string  `json:"rule"`
	Verdict Verdict `json:"verdict"`
	Error   string  `json:"error,omitempty"`
	// Match is the rule's condition as it was, "" for a rule without one.
	Match string `json:"match,omitempty"`
	// Values are what the parts of the rule's condition came to, in the order in which they are
	// written; those that were not evaluated are not there.
	Values []RuleValue `json:"values,omitempty"`
	// Cut: there were more values than are kept with a delivery.
	Cut bool `json:"cut,omitempty"`
}

// RuleValue is a part of a rule's condition and what it came to.
type RuleValue struct {
	Expr  string          `json:"expr"`  // as it is written
	Value json.RawMessage `json:"value"` // JSON; of a long value, text that says how it begins
	Error string          `json:"error,omitempty"`
}

// OnDuplicate says what a second delivery of the same key does.
type OnDuplicate string

// The policies for a duplicate.
const (
	Skip        OnDuplicate = "skip"         // nothing
	RerunFailed OnDuplicate = "rerun_failed" // jobs that ended badly get a new attempt
)

// Delivery is one verified request, kept as it arrived.
type Delivery struct {
	ID          string        // UUIDv7
	Hook        string        // the hook's name
	Key         string        // identity at the sender; unique per hook within Window; "" is never a duplicate
	Window      time.Duration // how long Key is remembered
	OnDuplicate OnDuplicate   // what a delivery does that finds Key taken
	Event       string        // the provider's event type, or ""
	ReceivedAt  time.Time
	Outcome     Outcome
	Origin      string // how it came: one of the Origin words
	Method      string
	Path        string // as routed, without the query
	Query       string // raw
	IP          string
	Header      http.Header // without the withheld ones
	Withheld    []string    // names of headers that carried a signature or secret and were not kept
	Params      map[string]string
	Body        []byte        // raw bytes; the store may compress them
	Size        int           // len(Body), also when Body was not loaded
	Secret      int           // position of the secret that matched, from 0; -1 when the scheme has none
	Config      string        // digest of the configuration that decided
	Verdicts    []RuleVerdict // lists are without their conditions and values
	JobIDs      []string      // filled by reads, oldest first
	// Held is set of a delivery that is held for another daemon, when it is stored and when it is
	// handed out; see store.Store.Holding.
	Held *Held
}

// The Origin of a delivery.
const (
	OriginRequest = "request" // it arrived at the listener
	OriginCatchup = "catchup" // the sender's API told of it
	OriginPull    = "pull"    // it was taken from where it waited
)

// Position is how far a source has been read that can go on from there.
type Position struct {
	Hook   string
	Source string // which; another source of the hook begins anew
	Place  string // in the source's own words
}

// Job is one rule that matched one delivery.
type Job struct {
	ID             string // UUIDv7
	Seq            int64  // the store's own order: jobs of one lane start in this order
	Delivery       string // id
	Hook, Rule     string
	State          State
	Reason         string // why it is in State, in words
	Attempt        int    // the last attempt that started; 0 before the first
	RunAt          time.Time
	CreatedAt      time.Time
	StartedAt      time.Time // of the last attempt; zero before the first
	FinishedAt     time.Time // zero until terminal
	ExitCode       *int      // of the last attempt, nil when it has none
	Error          string    // of the last attempt
	Reports        string    // what a sender is told of it: words of report:, with commas between; set of new jobs alone
	ConcurrencyKey string    // "" when the rule has no concurrency; otherwise the lane
	SupersededBy   string
	ReplayOf       string
	Node           string
	// Since is the attempt number at which the current run of attempts began: a rerun by a
	// person or a redelivery sets it to Attempt, so that retry.attempts counts afresh.
	Since int
	// Keys are what the rule's flow controls made of the delivery.
	Keys Keys
	// Burst is the first job of the burst that debounce collected this one in, "" for none.
	Burst string
	// Ending is the end of a running job whose last attempt is over and whose on_success,
	// on_failure or on_cancel still runs; "" otherwise.
	Ending State
	// Target is the one node that it is for, by name, or Somewhere; "" for whichever its rule allows.
	Target string
	// Every is the label of a new job that each node with it gets: Spread does that. It is not stored.
	Every string
	// Controls are the rule's, for the store's decision on a new job. They are not stored.
	Controls *Controls
}

// Attempt is one try of a job.
type Attempt struct {
	N          int
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	ExitCode   *int
	Signal     string // the signal that ended the process, "" if none
	Status     int    // of an HTTP action's answer, 0 if none
	Error      string
	Output     []byte // head and tail, bounded by the action
	Config     string // digest of the configuration that ran it
}

// FollowUp is one try of an action of on_success, on_failure or on_cancel.
type FollowUp struct {
	Attempt    int    // of the job that it followed
	Step       int    // its place in the list, from 1
	Try        int    // from 1
	Event      string // on_success, on_failure or on_cancel
	Kind       string // of the action: run, exec, http
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	ExitCode   *int
	Signal     string
	Status     int
	Error      string
	Output     []byte
}

// Pause is a rule that starts nothing for now; Rule "" is every rule of the hook.
type Pause struct {
	Hook, Rule string
	Since      time.Time
	Reason     string
}

// NewID returns a UUIDv7: sortable by time, unique without coordination.
func NewID() string {
	return uuid.Must(uuid.NewV7()).String()
}

// Requeued reports whether somebody has queued the job again: it is then in its lane since then,
// and not since it was stored. One that had not begun before is not told from others once it has.
func (j *Job) Requeued() bool {
	return j.Since > 0 || j.Attempt == 0 && j.State == Queued && j.RunAt.After(j.CreatedAt)
}
