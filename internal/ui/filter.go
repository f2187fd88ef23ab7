package ui

import (
	"net/url"
	"time"

	"github.com/google/uuid"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pageRows is how many rows a list has.
const pageRows = 50

// filter is what a list is narrowed to, as its form and its URL have it.
type filter struct {
	Hook, Rule, Event, State, Outcome, Since, Until string
	Match, Grep                                     string // of deliveries: what is looked for in them
	cursor                                          string
}

// readFilter reads a list's query. What is in it and makes no sense is an error: a filter that
// is silently ignored shows the wrong rows.
func readFilter(q url.Values, now time.Time) (filter, store.Filter, error) {
	f := filter{
		Hook: q.Get("hook"), Rule: q.Get("rule"), Event: q.Get("event"), State: q.Get("state"),
		Outcome: q.Get("outcome"), Since: q.Get("since"), Until: q.Get("until"), Match: q.Get("match"), Grep: q.Get("grep"), cursor: q.Get("cursor"),
	}
	s := store.Filter{
		Hook: f.Hook, Rule: f.Rule, Event: f.Event, State: job.State(f.State), Outcome: job.Outcome(f.Outcome),
		Cursor: f.cursor, Limit: pageRows,
	}
	if err := admin.CheckState(s.State); err != nil {
		return f, s, refused("%s", upperFirst(err.Error())+".")
	}
	if err := admin.CheckOutcome(s.Outcome); err != nil {
		return f, s, refused("%s", upperFirst(err.Error())+".")
	}
	if f.cursor != "" && !isID(f.cursor) {
		return f, s, refused("The page asked for does not exist.")
	}
	var err error
	if s.Since, err = admin.ParseTime(f.Since, now); err != nil {
		return f, s, refused("Since: %s.", err.Error())
	}
	if s.Until, err = admin.ParseTime(f.Until, now); err != nil {
		return f, s, refused("Until: %s.", err.Error())
	}
	return f, s, nil
}

func isID(s string) bool {
	id, err := uuid.Parse(s)
	return err == nil && id.String() == s
}

// Any reports whether the list is narrowed at all.
func (f filter) Any() bool { f.cursor = ""; return f != filter{} }

// Searches reports whether deliveries are looked into, which takes its time.
func (f filter) Searches() bool { return f.Match != "" || f.Grep != "" }

// values is the filter as a query.
func (f filter) values() url.Values {
	q := url.Values{}
	for name, value := range map[string]string{
		"hook": f.Hook, "rule": f.Rule, "event": f.Event, "state": f.State, "outcome": f.Outcome, "since": f.Since, "until": f.Until,
		"match": f.Match, "grep": f.Grep,
	} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// next is the URL of the page that follows the row of that id. Its durations became instants, so
// that a page turned later shows the rows that follow.
func (f filter) next(path, last string, s store.Filter) string {
	if !s.Since.IsZero() {
		f.Since = s.Since.UTC().Format(time.RFC3339)
	}
	if !s.Until.IsZero() {
		f.Until = s.Until.UTC().Format(time.RFC3339)
	}
	q := f.values()
	q.Set("cursor", last)
	return path + "?" + q.Encode()
}
