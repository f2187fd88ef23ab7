package search

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// pages are stored deliveries, newest first, as a store hands them out.
type pages struct {
	all   []job.Delivery
	reads int
	slow  time.Duration // of each page
	gone  bool          // retention takes what is left after the first page
}

func (p *pages) ReadDeliveries(_ context.Context, f store.Filter, _ int) ([]job.Delivery, error) {
	time.Sleep(p.slow)
	if p.reads++; p.gone && p.reads > 1 {
		return nil, store.ErrNotFound
	}
	from := 0
	if f.Cursor != "" {
		from = 1 + slices.IndexFunc(p.all, func(d job.Delivery) bool { return d.ID == f.Cursor })
	}
	return slices.Clone(p.all[from:min(from+f.Limit, len(p.all))]), nil
}

// stored are n deliveries, of which every tenth is large.
func stored(n int) *pages {
	p := &pages{}
	for i := range n {
		body := `{"amount":1}`
		if i%10 == 0 {
			body = `{"amount":5000}`
		}
		p.all = append(p.all, job.Delivery{
			ID: fmt.Sprintf("d%03d", i), Hook: "pay", Method: "POST", Path: "/pay", Body: []byte(body),
			Header: http.Header{"Content-Type": {"application/json"}, "X-Serial": {fmt.Sprint(i)}},
		})
	}
	return p
}

func find(t *testing.T, q Query, from *pages, f store.Filter, patience time.Duration) Result {
	t.Helper()
	s, err := Compile(q, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Run(t.Context(), from, f, patience)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSearch_FindsByConditionAndTextOverManyPages(t *testing.T) {
	for name, c := range map[string]struct {
		q     Query
		found int
	}{
		"a condition":             {Query{Match: "payload.amount > 1000"}, 25},
		"a text of the body":      {Query{Grep: `"amount":5000`}, 25},
		"a line of the headers":   {Query{Grep: "X-Serial: 24"}, 11}, // 24 and 240 to 249
		"both":                    {Query{Match: "payload.amount > 1000", Grep: "X-Serial: 24"}, 1},
		"what is not there":       {Query{Grep: "nowhere"}, 0},
		"nothing: each delivery":  {Query{}, 250},
		"the case of a text says": {Query{Grep: "AMOUNT"}, 0},
	} {
		r := find(t, c.q, stored(250), store.Filter{Limit: 1000}, 0)
		if len(r.Found) != c.found || r.Scanned != 250 || r.Next != "" || r.Failed != 0 {
			t.Errorf("%s: found %d of %d, next %q, %d failed, want %d of 250", name, len(r.Found), r.Scanned, r.Next, r.Failed, c.found)
		}
		for _, d := range r.Found {
			if d.Body != nil {
				t.Errorf("%s: the body of %s is kept", name, d.ID)
			}
		}
	}
}

func TestSearch_GoesOnWhereItStopped(t *testing.T) {
	from := stored(250)
	var ids []string
	f := store.Filter{Limit: 7}
	for range 10 {
		r := find(t, Query{Match: "payload.amount > 1000"}, from, f, 0)
		for _, d := range r.Found {
			ids = append(ids, d.ID)
		}
		if f.Cursor = r.Next; r.Next == "" {
			break
		}
	}
	if len(ids) != 25 || !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != 25 {
		t.Errorf("found %q", ids)
	}
}

func TestSearch_EndsWithItsPatienceAndSaysWhereToGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		from := stored(1000)
		from.slow = time.Second
		r := find(t, Query{Grep: "nowhere"}, from, store.Filter{Limit: 10}, 2500*time.Millisecond)
		if r.Scanned != 201 || r.Next != "d200" {
			t.Errorf("%d scanned, to go on from %q", r.Scanned, r.Next)
		}
	})
}

func TestSearch_ACursorThatRetentionTookIsTheEnd(t *testing.T) {
	from := stored(250)
	from.gone = true
	if r := find(t, Query{}, from, store.Filter{Limit: 1000}, 0); len(r.Found) != 100 || r.Next != "" {
		t.Errorf("found %d, next %q", len(r.Found), r.Next)
	}
	s, err := Compile(Query{}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), from, store.Filter{Limit: 1, Cursor: "d000"}, 0); err == nil {
		t.Error("a cursor that never was is no error")
	}
}

func TestSearch_WhatCannotBeDecidedIsCountedAndNotFound(t *testing.T) {
	from := stored(20)
	from.all[3].Body = []byte(`{"amount":"many"}`)
	r := find(t, Query{Match: "payload.amount > 1000"}, from, store.Filter{Limit: 100}, 0)
	if len(r.Found) != 2 || r.Failed != 1 || r.Failure == "" {
		t.Errorf("found %d, %d failed: %s", len(r.Found), r.Failed, r.Failure)
	}
	if _, err := Compile(Query{Match: "payload.amount >"}, "", nil); err == nil {
		t.Error("a condition that is none is compiled")
	}
}
