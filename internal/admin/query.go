package admin

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// The bounds of a list.
const (
	DefaultLimit = 50
	MaxLimit     = 500
)

var (
	deliveryFilters = []string{"hook", "rule", "state", "event", "outcome", "since", "until", "limit", "cursor", "match", "grep"}
	jobFilters      = []string{"hook", "rule", "state", "event", "delivery", "since", "until", "limit", "cursor"}
)

// parseQuery reads a request's query. A parameter that is not among known, that is given twice
// or whose text is broken is an error: a filter that is silently ignored shows the wrong rows.
func parseQuery(raw string, known []string) (url.Values, error) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, fmt.Errorf("the query cannot be read: %w", err)
	}
	for name, values := range q {
		if !slices.Contains(known, name) {
			if len(known) == 0 {
				return nil, fmt.Errorf("unknown query parameter %q: none is taken here", name)
			}
			return nil, fmt.Errorf("unknown query parameter %q: known are %s", name, strings.Join(known, ", "))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("query parameter %q is given more than once", name)
		}
	}
	return q, nil
}

// parseFilter reads a list's filter; its errors are for the one who asked.
func parseFilter(q url.Values, now time.Time) (store.Filter, error) {
	f := store.Filter{
		Hook: q.Get("hook"), Rule: q.Get("rule"), Event: q.Get("event"),
		Delivery: q.Get("delivery"), Cursor: q.Get("cursor"), Limit: DefaultLimit,
		State: job.State(q.Get("state")), Outcome: job.Outcome(q.Get("outcome")),
	}
	if err := CheckState(f.State); err != nil {
		return f, err
	}
	if err := CheckOutcome(f.Outcome); err != nil {
		return f, err
	}
	for name, id := range map[string]string{"cursor": f.Cursor, "delivery": f.Delivery} {
		if id != "" && !isID(id) {
			return f, fmt.Errorf("%s is not an id", name)
		}
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > MaxLimit {
			return f, fmt.Errorf("limit must be a number from 1 to %d", MaxLimit)
		}
		f.Limit = n
	}
	var err error
	if f.Since, err = ParseTime(q.Get("since"), now); err != nil {
		return f, fmt.Errorf("since: %w", err)
	}
	if f.Until, err = ParseTime(q.Get("until"), now); err != nil {
		return f, fmt.Errorf("until: %w", err)
	}
	return f, nil
}

// encodeFilter is the query that parseFilter reads as f.
func encodeFilter(f store.Filter) url.Values {
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	set("hook", f.Hook)
	set("rule", f.Rule)
	set("event", f.Event)
	set("delivery", f.Delivery)
	set("state", string(f.State))
	set("outcome", string(f.Outcome))
	set("cursor", f.Cursor)
	if !f.Since.IsZero() {
		set("since", f.Since.UTC().Format(time.RFC3339Nano))
	}
	if !f.Until.IsZero() {
		set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.Limit > 0 {
		set("limit", strconv.Itoa(f.Limit))
	}
	return q
}

// CheckState reports whether s is a job's state, or "".
func CheckState(s job.State) error {
	if s == "" || slices.Contains(job.States, s) {
		return nil
	}
	names := make([]string, len(job.States))
	for i, s := range job.States {
		names[i] = string(s)
	}
	return fmt.Errorf("state must be one of %s", strings.Join(names, ", "))
}

// CheckOutcome reports whether o is a delivery's outcome, or "".
func CheckOutcome(o job.Outcome) error {
	switch o {
	case "", job.Accepted, job.Ignored, job.Duplicate:
		return nil
	}
	return fmt.Errorf("outcome must be one of %s, %s, %s", job.Accepted, job.Ignored, job.Duplicate)
}

// ParseTime reads an instant: RFC 3339, or a duration before now such as 90s, 24h or 7d. "" is
// the zero time.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, ok := parseDuration(s); ok {
		return now.Add(-ago), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.Year() >= 1 && t.Year() <= 9999 {
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%q is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 24h or 7d", s)
}

// parseDuration is time.ParseDuration with days, up to 100 years and not negative.
func parseDuration(s string) (time.Duration, bool) {
	const bound = 100 * 365 * 24 * time.Hour
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 0 || n > int(bound/(24*time.Hour)) {
			return 0, false
		}
		return time.Duration(n) * 24 * time.Hour, true
	}
	d, err := time.ParseDuration(s)
	return d, err == nil && d >= 0 && d <= bound
}

// isID reports whether s has the form of an id. Only the canonical form counts: the store
// compares text.
func isID(s string) bool {
	u, err := uuid.Parse(s)
	return err == nil && u.String() == s
}
