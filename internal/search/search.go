// Package search looks through stored deliveries for a condition or a text. It reads them in pages
// and keeps none, so that it needs as little memory for many as for few, and it stops where it is
// told to and says where to go on.
package search

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// Query is what is searched for among the deliveries of a filter. Of an empty part nothing is asked.
type Query struct {
	Match string // a condition, with the names that rules have
	Grep  string // a text, in the body as it arrived or in a line "Name: value" of the headers
}

// IsZero reports whether nothing is asked.
func (q Query) IsZero() bool { return q == Query{} }

// Search is a compiled query. It is immutable.
type Search struct {
	finder *hook.Finder // nil: any
	grep   []byte
}

// Compile compiles a query for deliveries of the hooks of a set (nil: none is known), or of the one
// hook that is named. An error is of the condition, with Where and Advice.
func Compile(q Query, hookName string, set *hook.Set) (*Search, error) {
	s := &Search{grep: []byte(q.Grep)}
	if q.Match != "" {
		var err error
		if s.finder, err = hook.CompileFinder(q.Match, hookName, set); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// wants reports whether a delivery with its body is one of those. The cheaper question comes first.
func (s *Search) wants(d *job.Delivery) (bool, error) {
	if len(s.grep) > 0 && !bytes.Contains(d.Body, s.grep) && !inHeader(d, string(s.grep)) {
		return false, nil
	}
	if s.finder == nil {
		return true, nil
	}
	return s.finder.Matches(d)
}

func inHeader(d *job.Delivery, text string) bool {
	for name, values := range d.Header {
		for _, value := range values {
			if strings.Contains(name+": "+value, text) {
				return true
			}
		}
	}
	return false
}

// Store is what of a store is read.
type Store interface {
	ReadDeliveries(ctx context.Context, f store.Filter, maxBytes int) ([]job.Delivery, error)
}

// Result is how far a search came.
type Result struct {
	Found   []job.Delivery // without bodies, newest first
	Scanned int
	Next    string // the cursor to go on from; "" at the end
	Failed  int    // deliveries whose condition could not be evaluated: they are not found
	Failure string // why, of the first
}

// The bounds of what is held at once: deliveries and bytes of their bodies.
const (
	pageDeliveries = 100
	pageBytes      = 2 << 20
)

// Run searches the deliveries of a filter, newest first, until f.Limit are found, there are no more,
// or for about as long as patience says (0: until the end). It goes on from f.Cursor.
func (s *Search) Run(ctx context.Context, from Store, f store.Filter, patience time.Duration) (Result, error) {
	var r Result
	began, limit := time.Now(), f.Limit
	f.Limit = pageDeliveries
	for {
		list, err := from.ReadDeliveries(ctx, f, pageBytes)
		if errors.Is(err, store.ErrNotFound) && r.Scanned > 0 {
			r.Next = ""
			return r, nil // retention took the last one, and so all that is older
		}
		if err != nil {
			return r, err
		}
		if len(list) == 0 {
			r.Next = ""
			return r, nil
		}
		for i := range list {
			r.look(s, &list[i])
			if len(r.Found) == limit || patience > 0 && time.Since(began) > patience || ctx.Err() != nil {
				return r, nil
			}
		}
		f.Cursor = r.Next
	}
}

func (r *Result) look(s *Search, d *job.Delivery) {
	r.Scanned++
	r.Next = d.ID
	wanted, err := s.wants(d)
	if err != nil {
		if r.Failed++; r.Failed == 1 {
			r.Failure = err.Error()
		}
		return
	}
	if wanted {
		d.Body = nil
		r.Found = append(r.Found, *d)
	}
}
