package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Search is what is looked for among the deliveries of a filter.
type Search struct {
	Match string // a condition, with the names that rules have
	Grep  string // a text, in the body or in a line "Name: value" of the headers
}

// IsZero reports whether nothing is looked for: every delivery of the filter is meant.
func (s Search) IsZero() bool { return s == Search{} }

// SearchPatience is how long one call searches before it answers with what it found until then, and
// where to go on: its answer comes while there is still somebody who waits for it.
const SearchPatience = time.Second

// Found is how far a search came in one call.
type Found struct {
	Deliveries []job.Delivery // without bodies, newest first; perhaps none
	Scanned    int            // that were looked at
	Total      int            // that the filter selects; 0 when it was not counted
	Next       string         // the cursor to go on from, "" at the end
	Failed     int            // deliveries whose condition could not be evaluated
	Failure    string         // why, of the first
}

// SearchPage is Found as a client gets it.
type SearchPage struct {
	Deliveries             []Delivery
	Scanned, Total, Failed int
	Next, Failure          string
}

// NewSearchPage is the wire form of f.
func NewSearchPage(f Found) SearchPage {
	p := SearchPage{Deliveries: make([]Delivery, len(f.Deliveries)), Scanned: f.Scanned, Total: f.Total, Next: f.Next, Failed: f.Failed, Failure: f.Failure}
	for i := range f.Deliveries {
		p.Deliveries[i] = NewDelivery(&f.Deliveries[i])
	}
	return p
}

// MatchError says what is wrong with a condition that was asked for.
type MatchError struct {
	Source, Message string
	Offset, Width   int // bytes of the source
	Hints           []string
}

// Error implements error.
func (e *MatchError) Error() string { return "match: " + e.Message }

// NewMatchError makes one of an error that has a place, and leaves any other as it is.
func NewMatchError(source string, err error) error {
	var at interface {
		error
		Where() (offset, width int)
		Advice() []string
	}
	if !errors.As(err, &at) {
		return err
	}
	offset, width := at.Where()
	return &MatchError{Source: source, Message: at.Error(), Offset: offset, Width: width, Hints: at.Advice()}
}

// diagnostic is the wire form: its place is in the condition.
func (e *MatchError) diagnostic() Diagnostic {
	begin := e.Source[:min(e.Offset, len(e.Source))]
	return Diagnostic{
		Severity: "problem", File: "match", Line: 1, Column: utf8.RuneCountInString(begin) + 1,
		Message: e.Message, Hints: e.Hints, Source: e.Source, Width: utf8.RuneCountInString(e.Source[len(begin):min(len(begin)+e.Width, len(e.Source))]),
	}
}

// The headers of an answer to a search, beside Link.
const (
	headerScanned = "Tenterhook-Scanned"
	headerTotal   = "Tenterhook-Total"
	headerFailed  = "Tenterhook-Failed"
	headerFailure = "Tenterhook-Failure"
)

// search answers a listing that looks into deliveries. It may end before the limit is reached: the
// Link header says where to go on.
func (a *api) search(w http.ResponseWriter, r *http.Request, f store.Filter, s Search) {
	found, err := a.backend.Search(r.Context(), f, s)
	var bad *MatchError
	if errors.As(err, &bad) {
		writeProblem(w, Problem{Status: http.StatusBadRequest, Detail: bad.Error(), Problems: []Diagnostic{bad.diagnostic()}})
		return
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	page := NewSearchPage(found)
	w.Header().Set(headerScanned, strconv.Itoa(page.Scanned))
	if page.Total > 0 {
		w.Header().Set(headerTotal, strconv.Itoa(page.Total))
	}
	if page.Failed > 0 {
		w.Header().Set(headerFailed, strconv.Itoa(page.Failed))
		w.Header().Set(headerFailure, url.QueryEscape(page.Failure)) // a header is ASCII
	}
	if page.Next != "" {
		f.Cursor = page.Next
		q := encodeFilter(f)
		encodeSearch(q, s)
		w.Header().Set("Link", "<"+r.URL.Path+"?"+q.Encode()+`>; rel="next"`)
	}
	a.writeJSON(w, r, page.Deliveries)
}

func parseSearch(q url.Values) Search { return Search{Match: q.Get("match"), Grep: q.Get("grep")} }

func encodeSearch(q url.Values, s Search) {
	for name, value := range map[string]string{"match": s.Match, "grep": s.Grep} {
		if value != "" {
			q.Set(name, value)
		}
	}
}

// Search looks for deliveries; one call looks for SearchPatience only, and the page says where to
// go on. A condition that is wrong is a *MatchError.
func (c *Client) Search(ctx context.Context, f store.Filter, s Search) (SearchPage, error) {
	var p SearchPage
	if s.IsZero() {
		list, next, err := c.Deliveries(ctx, f)
		return SearchPage{Deliveries: list, Scanned: len(list), Next: next}, err
	}
	q := encodeFilter(f)
	encodeSearch(q, s)
	h, err := c.call(ctx, http.MethodGet, "deliveries?"+q.Encode(), &p.Deliveries)
	if err != nil {
		return p, matchErrorOf(err)
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(cmp.Or(h.Get(name), "0"))
		return n
	}
	p.Scanned, p.Total, p.Failed, p.Next = number(headerScanned), number(headerTotal), number(headerFailed), nextCursor(h)
	p.Failure, _ = url.QueryUnescape(h.Get(headerFailure))
	return p, nil
}

// matchErrorOf makes a MatchError of the problem that one became on the wire.
func matchErrorOf(err error) error {
	var p *Problem
	if !errors.As(err, &p) || len(p.Problems) != 1 || p.Problems[0].File != "match" {
		return err
	}
	d := p.Problems[0]
	characters := []rune(d.Source)
	from := min(max(0, d.Column-1), len(characters))
	to := min(from+max(1, d.Width), len(characters))
	return &MatchError{Source: d.Source, Message: d.Message, Offset: len(string(characters[:from])), Width: len(string(characters[from:to])), Hints: d.Hints}
}
