package admin

import (
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/job"
)

// The structs of this file are the JSON of the API, of the command line's --json and, later, of
// its event stream. Their field names are an interface: they change only by addition.

// Time is an instant as programs read it: RFC 3339 in UTC with milliseconds. The zero Time is
// null.
type Time struct{ time.Time }

// timeLayout has exactly three digits of a second.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// String returns the instant as the JSON has it, without quotes; "" when zero.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(timeLayout)
}

// MarshalJSON implements json.Marshaler.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON implements json.Unmarshaler. It takes every RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, strings.Trim(string(b), `"`))
	*t = Time{at}
	return err
}

// Delivery is one verified request, as lists show it.
type Delivery struct {
	ID         string   `json:"id"`
	Hook       string   `json:"hook"`
	Key        string   `json:"key"`
	Event      string   `json:"event"`
	ReceivedAt Time     `json:"received_at"`
	Outcome    string   `json:"outcome"`
	Origin     string   `json:"origin"`
	Method     string   `json:"method"`
	Path       string   `json:"path"`
	IP         string   `json:"ip"`
	Size       int      `json:"size"`   // of the body, in bytes
	Secret     int      `json:"secret"` // position of the secret that matched; -1: the scheme has none
	Config     string   `json:"config"`
	Jobs       []string `json:"jobs"`
}

// DeliveryDetail is one delivery with everything but its body.
type DeliveryDetail struct {
	Delivery
	Query    string              `json:"query"`
	Headers  map[string][]string `json:"headers"`
	Withheld []string            `json:"withheld"` // headers that carried a signature or secret: not kept
	Params   map[string]string   `json:"params"`
	Rules    []RuleVerdict       `json:"rules"`
	Held     *Held               `json:"held"` // how it is with one that is held for others; null for any other
}

// Held is how it is with a delivery that is held for others to take.
type Held struct {
	State     job.HeldState `json:"state"`      // waiting, acknowledged, refused
	Taker     string        `json:"taker"`      // who was given it last; "" for nobody yet
	Tries     int           `json:"tries"`      // how often it was handed out
	UntilAt   Time          `json:"until_at"`   // until when nobody else is given it; null when nobody has it
	ChangedAt Time          `json:"changed_at"` // when any of this last changed
	Reason    string        `json:"reason"`     // why it was refused
}

// RuleVerdict is what one rule said of a delivery when it arrived, and the values that decided,
// whatever the configuration says since.
type RuleVerdict struct {
	Rule    string          `json:"rule"`
	Verdict job.Verdict     `json:"verdict"`
	Error   string          `json:"error"`
	Match   string          `json:"match"`  // its condition then; "" is always
	Values  []job.RuleValue `json:"values"` // of the condition's parts that were evaluated, in source order
	Cut     bool            `json:"cut"`    // there were more values than are kept
}

// Job is one rule that matched one delivery.
type Job struct {
	ID             string    `json:"id"`
	Delivery       string    `json:"delivery"`
	Hook           string    `json:"hook"`
	Rule           string    `json:"rule"`
	State          job.State `json:"state"`
	Reason         string    `json:"reason"`
	Attempt        int       `json:"attempt"`
	RunAt          Time      `json:"run_at"`
	CreatedAt      Time      `json:"created_at"`
	StartedAt      Time      `json:"started_at"`
	FinishedAt     Time      `json:"finished_at"`
	ExitCode       *int      `json:"exit_code"`
	Error          string    `json:"error"`
	ConcurrencyKey string    `json:"concurrency_key"`
	SupersededBy   string    `json:"superseded_by"`
	ReplayOf       string    `json:"replay_of"`
	Node           string    `json:"node"`
	Target         string    `json:"target,omitempty"` // the one node that it is for; * while there is none yet
	// Ending is the state a running job will have when its follow-ups are over.
	Ending job.State `json:"ending,omitempty"`
}

// JobDetail is one job with its attempts, first to last, and what followed them.
type JobDetail struct {
	Job
	Keys      *job.Keys  `json:"keys,omitempty"`   // of its flow controls
	Shares    []Share    `json:"shares,omitempty"` // of each node, this job's too, when each of several runs one
	Attempts  []Attempt  `json:"attempts"`
	FollowUps []FollowUp `json:"follow_ups"`
	Reports   []Report   `json:"reports"` // what the sender was told of it
}

// Report is how far a sender was told of a job.
type Report struct {
	To      string `json:"to"`      // github-status, …
	Reached string `json:"reached"` // the job's state that was told last, waiting before it starts; "" for none yet
	Open    bool   `json:"open"`    // there may be more to tell
	At      Time   `json:"at"`      // of the last try
	Tries   int    `json:"tries"`   // that failed since
	NextAt  Time   `json:"next_at"` // of the next try, when the last failed
	Error   string `json:"error"`   // of the last try
	Remote  string `json:"remote"`  // the id of a deployment
}

// FollowUp is one try of an action of on_success, on_failure or on_cancel.
type FollowUp struct {
	Event      string `json:"event"`
	Attempt    int    `json:"attempt"` // that it followed
	Step       int    `json:"step"`    // its place in the list, from 1
	Try        int    `json:"try"`
	Kind       string `json:"kind"` // run, exec, http
	StartedAt  Time   `json:"started_at"`
	FinishedAt Time   `json:"finished_at"`
	ExitCode   *int   `json:"exit_code"`
	Signal     string `json:"signal"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	Output     string `json:"output"`
}

// Pause is a rule that starts nothing for now; Rule "" is every rule of the hook.
type Pause struct {
	Hook   string `json:"hook"`
	Rule   string `json:"rule"`
	Since  Time   `json:"since"`
	Reason string `json:"reason"`
}

// NewPause is the wire form of p.
func NewPause(p job.Pause) Pause { return Pause{p.Hook, p.Rule, Time{p.Since}, p.Reason} }

// Attempt is one try of a job. Bytes of the output that are not UTF-8 are U+FFFD here; the
// exact bytes are at jobs/{id}/output.
type Attempt struct {
	N          int    `json:"n"`
	StartedAt  Time   `json:"started_at"`
	FinishedAt Time   `json:"finished_at"`
	ExitCode   *int   `json:"exit_code"`
	Signal     string `json:"signal"`
	Status     int    `json:"status"`
	Error      string `json:"error"`
	Output     string `json:"output"`
}

// Diagnostic is one problem or warning of a configuration.
type Diagnostic struct {
	Severity string   `json:"severity"` // problem, warning
	File     string   `json:"file"`
	Line     int      `json:"line"`   // from 1; 0 when it has no place
	Column   int      `json:"column"` // from 1, in characters
	Message  string   `json:"message"`
	Hints    []string `json:"hints"`
	Source   string   `json:"source"`         // the line, with secrets masked
	Width    int      `json:"width,omitzero"` // characters of it that the problem is about
}

// Reload is the answer to POST reload.
type Reload struct {
	Changed      bool         `json:"changed"`
	Digest       string       `json:"digest"` // of the configuration that runs now
	Problems     []Diagnostic `json:"problems"`
	NeedsRestart []string     `json:"needs_restart"` // what was changed and is not applied, such as "server.listen"
}

// Status is how the daemon is.
type Status struct {
	Version   string `json:"version"`
	PID       int    `json:"pid"`
	StartedAt Time   `json:"started_at"`
	LastRunAt Time   `json:"last_run_at"` // when the run before was last known to listen; null on the first run
	// Gaps are the latest times in which no delivery was taken, newest first.
	Gaps []Gap `json:"gaps"`
	// Expected are the hooks that expect deliveries, in the order of the file.
	Expected []Expected `json:"expected"`
	// Sources are where hooks take deliveries from, in the order of the file.
	Sources []Source `json:"sources"`
	// Held are the hooks whose deliveries others take, in the order of the file.
	Held     []HeldStatus `json:"held"`
	Listen   []string     `json:"listen"`
	Store    string       `json:"store"`
	Config   ConfigStatus `json:"config"`
	Hooks    int          `json:"hooks"`
	Node     string       `json:"node"`  // what this daemon is called
	Fleet    bool         `json:"fleet"` // others can be on its store
	Workers  int          `json:"workers"`
	Ready    bool         `json:"ready"`
	NotReady string       `json:"not_ready"` // why not, in words
	// Jobs counts those that have not ended, by state.
	Jobs map[job.State]int `json:"jobs"`
	// Secrets are those of all hooks, in the order of the file.
	Secrets []SecretStatus `json:"secrets"`
	// Paused are the rules that start nothing.
	Paused []Pause `json:"paused"`
	// Traffic is what came in during this run.
	Traffic Traffic `json:"traffic"`
	// Streams is how many event streams are open.
	Streams int `json:"streams"`
}

// Gap is a time in which no delivery was taken: what a sender did not repeat is lost.
type Gap struct {
	From    Time    `json:"from"`
	To      Time    `json:"to"`
	Seconds float64 `json:"seconds"`
}

// Source is how it is with where a hook takes its deliveries from.
type Source struct {
	Hook        string `json:"hook"`
	Kind        string `json:"kind"`         // smee, gosmee, tenterhook, poll
	ConnectedAt Time   `json:"connected_at"` // since when; null while it is not
	LastAt      Time   `json:"last_at"`      // when the last delivery came in this run
	Taken       int64  `json:"taken"`        // in this run
	Refused     int64  `json:"refused"`      // in this run: not genuine, or not readable
	Held        *int   `json:"held"`         // what waits there; null where it does not say
	Problem     string `json:"problem"`
	LostAt      Time   `json:"lost_at"`   // when the connection was last lost in this run, or could not be made; null for never
	Lost        string `json:"lost"`      // why
	Elsewhere   bool   `json:"elsewhere"` // another daemon on the store takes from it
}

// HeldStatus is how it is with a hook whose deliveries are held for others.
type HeldStatus struct {
	Hook     string        `json:"hook"`
	Waiting  int           `json:"waiting"` // with those that a taker has
	Taken    int           `json:"taken"`   // that a taker has and has not acknowledged
	Refused  int           `json:"refused"` // by a taker; they are kept
	Lost     int64         `json:"lost"`    // in this run: retention deleted them before a taker had them
	Most     int           `json:"most"`    // beyond it senders are told to come again
	OldestAt Time          `json:"oldest_at"`
	Takers   []TakerStatus `json:"takers"`
}

// TakerStatus is who may take a hook's deliveries.
type TakerStatus struct {
	Name   string `json:"name"`
	SeenAt Time   `json:"seen_at"` // when it last asked in this run; null for never
	Has    int    `json:"has"`     // of this hook, that it has and has not acknowledged
	Taken  int64  `json:"taken"`   // of this hook, in this run
	// Refused is how many of this hook it refused in this run.
	Refused int64 `json:"refused"`
}

// Expected is how it is with a hook that expects deliveries.
type Expected struct {
	Hook         string  `json:"hook"`
	Every        float64 `json:"every"`         // seconds
	Grace        float64 `json:"grace"`         // seconds
	LastAt       Time    `json:"last_at"`       // when the last expected delivery came; null for never
	DueAt        Time    `json:"due_at"`        // when the next is overdue, or was
	MissingSince Time    `json:"missing_since"` // since when none came, once that is too long; null otherwise
}

// Traffic is what came in since the daemon started.
type Traffic struct {
	Outcomes map[job.Outcome]int64 `json:"outcomes"`
	Refused  map[string]int64      `json:"refused"` // by what the sender was told
	LastAt   Time                  `json:"last_at"` // when a delivery was last answered; null for never
	Ack      *AckTimes             `json:"ack"`     // null before the first
}

// AckTimes are how long senders waited for the answer that their delivery is on disk, in
// milliseconds.
type AckTimes struct {
	Of      int     `json:"of"` // so many of the latest
	Median  float64 `json:"median_ms"`
	P95     float64 `json:"p95_ms"`
	P99     float64 `json:"p99_ms"`
	Longest float64 `json:"longest_ms"`
}

// SecretStatus is how one of a hook's secrets is used. Nothing of it is shown but its position.
type SecretStatus struct {
	Hook      string `json:"hook"`
	Position  int    `json:"position"`   // from 0, as in the configuration
	Of        int    `json:"of"`         // so many the hook has; more than one while it is rotated
	LastMatch Time   `json:"last_match"` // in this run of the daemon; null for never
}

// ConfigStatus is which configuration runs and how the last reload went.
type ConfigStatus struct {
	Files        []string     `json:"files"`
	Digest       string       `json:"digest"`
	LoadedAt     Time         `json:"loaded_at"`      // when what runs now was loaded
	LastReloadAt Time         `json:"last_reload_at"` // of the last try, also one that was refused
	LastReloadOK bool         `json:"last_reload_ok"`
	Problems     []Diagnostic `json:"problems"` // of the last try
	NeedsRestart []string     `json:"needs_restart"`
}

// HookInfo is one hook as configured, with nothing of its secrets but their number.
type HookInfo struct {
	Name     string     `json:"name"`
	Path     string     `json:"path"`
	Provider string     `json:"provider"`
	Scheme   string     `json:"scheme"`
	Methods  []string   `json:"methods"`
	MaxBody  int64      `json:"max_body"` // bytes
	Enabled  bool       `json:"enabled"`
	Open     bool       `json:"open"` // verify: none
	Secrets  int        `json:"secrets"`
	Paused   bool       `json:"paused"`
	Rules    []RuleInfo `json:"rules"`
}

// RuleInfo is one rule of a hook.
type RuleInfo struct {
	Name        string  `json:"name"`
	Match       string  `json:"match"` // the expression; "" matches everything
	Action      string  `json:"action"`
	Timeout     float64 `json:"timeout"` // seconds
	Attempts    int     `json:"attempts"`
	Concurrency int     `json:"concurrency"` // jobs of one key at once; 0 is no bound
	On          string  `json:"on"`          // where it runs among several nodes: any node, one node with a label, each of them
	Paused      bool    `json:"paused"`
}

// NewDelivery is the wire form of d.
func NewDelivery(d *job.Delivery) Delivery {
	return Delivery{
		ID: d.ID, Hook: d.Hook, Key: d.Key, Event: d.Event, ReceivedAt: Time{d.ReceivedAt},
		Outcome: string(d.Outcome), Origin: d.Origin, Method: d.Method, Path: d.Path, IP: d.IP,
		Size: d.Size, Secret: d.Secret, Config: d.Config, Jobs: slices.Clone(d.JobIDs),
	}
}

// NewDeliveryDetail is the wire form of d with everything but its body.
func NewDeliveryDetail(d *job.Delivery) DeliveryDetail {
	header := d.Header
	if header == nil {
		header = http.Header{}
	}
	detail := DeliveryDetail{
		Delivery: NewDelivery(d), Query: d.Query, Headers: header,
		Withheld: d.Withheld, Params: d.Params, Rules: newRuleVerdicts(d.Verdicts),
	}
	if h := d.Held; h != nil {
		detail.Held = &Held{State: h.State, Taker: h.Taker, Tries: h.Tries, UntilAt: Time{h.Until}, ChangedAt: Time{h.At}, Reason: h.Reason}
	}
	return detail
}

func newRuleVerdicts(verdicts []job.RuleVerdict) []RuleVerdict {
	out := make([]RuleVerdict, len(verdicts))
	for i, v := range verdicts {
		out[i] = RuleVerdict(v)
	}
	return out
}

// NewJob is the wire form of j.
func NewJob(j *job.Job) Job {
	return Job{
		ID: j.ID, Delivery: j.Delivery, Hook: j.Hook, Rule: j.Rule, State: j.State, Reason: j.Reason,
		Attempt: j.Attempt, RunAt: Time{j.RunAt}, CreatedAt: Time{j.CreatedAt},
		StartedAt: Time{j.StartedAt}, FinishedAt: Time{j.FinishedAt}, ExitCode: j.ExitCode, Error: j.Error,
		ConcurrencyKey: j.ConcurrencyKey, SupersededBy: j.SupersededBy, ReplayOf: j.ReplayOf, Node: j.Node, Target: j.Target,
		Ending: j.Ending,
	}
}

// NewReports are the wire form of what a sender was told.
func NewReports(reports []job.Report) []Report {
	out := []Report{}
	for _, r := range reports {
		out = append(out, Report{
			To: r.To, Reached: r.Reached, Open: r.Open, At: Time{r.At}, Tries: r.Tries, NextAt: Time{r.NextAt}, Error: r.Error, Remote: r.Remote,
		})
	}
	return out
}

// NewJobDetail is the wire form of j with its attempts and what followed them.
func NewJobDetail(j *job.Job, attempts []job.Attempt, followUps []job.FollowUp) JobDetail {
	detail := JobDetail{Job: NewJob(j)}
	if j.Keys != (job.Keys{}) {
		detail.Keys = &j.Keys
	}
	for i := range attempts {
		detail.Attempts = append(detail.Attempts, newAttempt(&attempts[i]))
	}
	for i := range followUps {
		detail.FollowUps = append(detail.FollowUps, newFollowUp(&followUps[i]))
	}
	return detail
}

func newFollowUp(u *job.FollowUp) FollowUp {
	return FollowUp{
		Event: u.Event, Attempt: u.Attempt, Step: u.Step, Try: u.Try, Kind: u.Kind, StartedAt: Time{u.StartedAt}, FinishedAt: Time{u.FinishedAt},
		ExitCode: u.ExitCode, Signal: u.Signal, Status: u.Status, Error: u.Error, Output: text(u.Output),
	}
}

func newAttempt(a *job.Attempt) Attempt {
	return Attempt{
		N: a.N, StartedAt: Time{a.StartedAt}, FinishedAt: Time{a.FinishedAt}, ExitCode: a.ExitCode,
		Signal: a.Signal, Status: a.Status, Error: a.Error, Output: text(a.Output),
	}
}

// text is b as a string that JSON can hold.
func text(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return strings.ToValidUTF8(string(b), "�")
}

// NewDiagnostics is the wire form of a configuration's problems and warnings.
func NewDiagnostics(all []config.Diagnostic) []Diagnostic {
	var out []Diagnostic
	for _, d := range all {
		out = append(out, Diagnostic{
			Severity: d.Severity.String(), File: d.Pos.File, Line: d.Pos.Line, Column: d.Pos.Col,
			Message: d.Message, Hints: d.Hints, Source: d.Source, Width: d.Width,
		})
	}
	return out
}
