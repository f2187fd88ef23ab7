package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// ErrBusy says that something is under way of which there is one at a time. It is answered as 409.
var ErrBusy = errors.New("busy")

// ErrRefused says that what is asked for cannot be. It is answered as 422 with its text.
var ErrRefused = errors.New("refused")

// The bounds of a replay's pace, in deliveries a second.
const (
	DefaultRate = 20.0
	MostRate    = 1000.0
	LeastRate   = 0.0001
)

// ReplayRequest is what POST replays takes. The filter's fields stand beside the others.
type ReplayRequest struct {
	job.ReplayFilter
	Rate   float64 `json:"rate,omitzero"`    // deliveries a second; 0 is 20, at most 1000
	DryRun bool    `json:"dry_run,omitzero"` // count only
	Fresh  bool    `json:"fresh,omitzero"`   // begin anew, although the same was cancelled before it was through
}

// Check reports what is wrong with q. A request that names no filter at all is.
func (q *ReplayRequest) Check() error {
	f := &q.ReplayFilter
	for name, value := range map[string]string{"hook": f.Hook, "rule": f.Rule, "event": f.Event, "since": f.Since, "until": f.Until} {
		if len(value) > mostFilter {
			return fmt.Errorf("%s is longer than %d bytes", name, mostFilter)
		}
	}
	switch f.Which {
	case string(ReplayAll), string(ReplayFailed), string(ReplayMissing):
	default:
		return errors.New("which must be failed or missing, or be left out")
	}
	if err := CheckState(f.State); err != nil {
		return err
	}
	if err := CheckOutcome(f.Outcome); err != nil {
		return err
	}
	if q.Rate < 0 || q.Rate > MostRate || q.Rate != 0 && q.Rate < LeastRate {
		return fmt.Errorf("rate is a number of deliveries a second, from %g to %g", LeastRate, MostRate)
	}
	if *f == (job.ReplayFilter{}) {
		return errors.New("the filter is empty, that would be every delivery there is: say at least since, or which")
	}
	if f.Match != "" && f.Hook == "" {
		return errors.New("match needs a hook, whose names it uses")
	}
	return nil
}

// mostFilter bounds a word of a filter, in bytes.
const mostFilter = 512

// ReplayCount is what a dry run found.
type ReplayCount struct {
	DryRun     bool `json:"dry_run"`    // always true
	Deliveries int  `json:"deliveries"` // that the filter finds
	Jobs       int  `json:"jobs"`       // that would be made of them now
	Errors     int  `json:"errors"`     // deliveries that could not be decided on
	// Unfinished is the id of a replay of the same that was cancelled or runs, "" for none: asking
	// for it goes on with that one.
	Unfinished string `json:"unfinished"`
}

// Replay is how far a replay of many deliveries is.
type Replay struct {
	ID         string           `json:"id"`
	Who        string           `json:"who"`
	Status     job.ReplayStatus `json:"status"`
	Reason     string           `json:"reason"`
	Asked      job.ReplayFilter `json:"asked"`
	Since      Time             `json:"since"`
	Until      Time             `json:"until"`
	Rate       float64          `json:"rate"` // deliveries a second
	CreatedAt  Time             `json:"created_at"`
	UpdatedAt  Time             `json:"updated_at"`
	FinishedAt Time             `json:"finished_at"`
	Total      int              `json:"total"` // deliveries; 0 until they are counted
	Done       int              `json:"done"`
	Made       int              `json:"made"`    // new jobs
	Skipped    int              `json:"skipped"` // deliveries without a new job
	Failed     int              `json:"failed"`  // deliveries that could not be decided on
	Last       string           `json:"last"`    // the delivery decided on last
}

// NewReplay is the wire form of r.
func NewReplay(r *job.Replay) Replay {
	return Replay{
		ID: r.ID, Who: r.Who, Status: r.Status, Reason: r.Reason, Asked: r.Asked, Since: Time{r.Since}, Until: Time{r.Until}, Rate: r.Rate,
		CreatedAt: Time{r.CreatedAt}, UpdatedAt: Time{r.UpdatedAt}, FinishedAt: Time{r.FinishedAt},
		Total: r.Total, Done: r.Done, Made: r.Made, Skipped: r.Skipped, Failed: r.Failed, Last: r.Last,
	}
}

// startReplay begins a replay, or counts what it would do. The same asked for twice is one replay.
func (a *api) startReplay(w http.ResponseWriter, r *http.Request) error {
	var q ReplayRequest
	if err := a.readBody(w, r, &q); err != nil {
		return err
	}
	if err := q.Check(); err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return err
	}
	if q.DryRun {
		noteOf(r).none = true
		count, err := a.backend.CountReplay(r.Context(), q.ReplayFilter)
		if err != nil {
			a.fail(w, r, err)
			return err
		}
		count.DryRun = true
		a.writeJSON(w, r, count)
		return nil
	}
	noteOf(r).detail = describe(q.ReplayFilter)
	replay, err := a.backend.StartReplay(r.Context(), whoIs(r), q)
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	noteOf(r).subject = replay.ID
	w.Header().Set("Location", prefix+"replays/"+replay.ID)
	a.writeStatus(w, r, http.StatusAccepted, NewReplay(&replay))
	return nil
}

// describe is a filter in one line, for the audit log.
func describe(f job.ReplayFilter) string {
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(text)
}

func (a *api) replays(w http.ResponseWriter, r *http.Request, q url.Values) {
	f, err := parseFilter(q, a.now())
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	list := []Replay{}
	for _, one := range a.backend.Replays() {
		if (f.Cursor == "" || one.ID < f.Cursor) && len(list) < f.Limit {
			list = append(list, NewReplay(&one))
		}
	}
	if len(list) > 0 {
		linkNext(w, r, f, len(list), list[len(list)-1].ID)
	}
	a.writeJSON(w, r, list)
}

func (a *api) showReplay(w http.ResponseWriter, r *http.Request, _ url.Values) {
	id, ok := known(w, r)
	if !ok {
		return
	}
	for _, one := range a.backend.Replays() {
		if one.ID == id {
			a.writeJSON(w, r, NewReplay(&one))
			return
		}
	}
	a.fail(w, r, fmt.Errorf("replay %s: %w", id, store.ErrNotFound))
}

func (a *api) cancelReplay(w http.ResponseWriter, r *http.Request) error {
	id, ok := known(w, r)
	if !ok {
		return store.ErrNotFound
	}
	replay, err := a.backend.CancelReplay(r.Context(), id)
	if err != nil {
		a.fail(w, r, err)
		return err
	}
	a.writeJSON(w, r, NewReplay(&replay))
	return nil
}

// readBody reads the JSON that a request must bring, strictly. It has answered when it fails.
func (a *api) readBody(w http.ResponseWriter, r *http.Request, into any) error {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != mediaJSON {
		refuse(w, http.StatusUnsupportedMediaType, "the body must be application/json")
		return errors.New("the body is not application/json")
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
		return err
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body cannot be read")
		return err
	}
	if err := json.Unmarshal(body, into, json.RejectUnknownMembers(true)); err != nil {
		refuse(w, http.StatusBadRequest, "the body: "+bodyFault(err))
		return err
	}
	return nil
}

// bodyFault says of a body that cannot be read what its author can mend, in the words of JSON.
func bodyFault(err error) string {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		if errors.Is(err, jsontext.ErrDuplicateName) {
			return fmt.Sprintf("member %q is there twice", syntax.JSONPointer)
		}
		return fmt.Sprintf("no JSON, at byte %d", syntax.ByteOffset)
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	switch {
	case !ok:
		return "it cannot be read"
	case errors.Is(wrong.Err, json.ErrUnknownName):
		return fmt.Sprintf("unknown member %q", wrong.JSONPointer)
	case wrong.JSONPointer == "":
		return fmt.Sprintf("it cannot be a %s", kindWords[wrong.JSONKind])
	case wrong.Err != nil && wrong.JSONKind == '"':
		return fmt.Sprintf("%q: %v", wrong.JSONPointer, wrong.Err)
	}
	return fmt.Sprintf("%q cannot be a %s", wrong.JSONPointer, kindWords[wrong.JSONKind])
}

// kindWords are the kinds of JSON values by what they begin with.
var kindWords = map[jsontext.Kind]string{
	'n': "null", 'f': "boolean", 't': "boolean", '"': "string", '0': "number", '{': "object", '[': "list",
}

// note is what a change says of itself for the audit log.
type note struct {
	subject, detail string
	none            bool // nothing was changed, or could have been
}

type noteKey struct{}

// noteOf returns the note of a request that changing let in.
func noteOf(r *http.Request) *note {
	n, ok := r.Context().Value(noteKey{}).(*note)
	if !ok {
		return &note{}
	}
	return n
}

func (n *note) in(ctx context.Context) context.Context { return context.WithValue(ctx, noteKey{}, n) }
