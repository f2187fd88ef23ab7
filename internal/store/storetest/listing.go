package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

var listing = []testCase{
	{"lists page newest first without gaps", paging},
	{"lists are bounded", func(f fixture) {
		d := newDelivery("deploy", "")
		f.accept(d, slices.Repeat([]string{"a"}, 510)...)
		for limit, want := range map[int]int{0: 50, -3: 50, 7: 7, 500: 500, 100_000: 500} {
			if got := len(f.jobs(store.Filter{Limit: limit})); got != want {
				f.Errorf("Limit %d lists %d jobs, want %d", limit, got, want)
			}
		}
		for range 60 {
			f.accept(newDelivery("deploy", ""))
		}
		f.equal("number of deliveries without a limit", len(f.deliveries(store.Filter{})), 50)
	}},
	{"lists between times page without gaps", func(f fixture) {
		want := map[string]int{}
		for i := range 40 { // some at the same time, and not all in order
			d := newDelivery("deploy", "")
			d.ReceivedAt = epoch.Add(time.Duration(i/3-i%2) * time.Minute)
			f.accept(d)
			if !d.ReceivedAt.Before(epoch.Add(2*time.Minute)) && d.ReceivedAt.Before(epoch.Add(11*time.Minute)) {
				want[d.ID] = 1
			}
		}
		got := map[string]int{}
		filter := store.Filter{Since: epoch.Add(2 * time.Minute), Until: epoch.Add(11 * time.Minute), Limit: 4}
		for page := f.deliveries(filter); len(page) > 0; page = f.deliveries(filter) {
			for _, id := range page {
				got[id]++
			}
			filter.Cursor = page[len(page)-1]
		}
		f.equal("how often each is listed", got, want)
	}},
	{"a cursor that names nothing is not found", func(f fixture) {
		j := f.one()
		for _, cursor := range []string{"x", job.NewID(), j.ID} {
			if _, err := f.store.Deliveries(f.context(), store.Filter{Cursor: cursor}); !errors.Is(err, store.ErrNotFound) {
				f.Errorf("Deliveries after %q: %v", cursor, err)
			}
		}
		if _, err := f.store.Jobs(f.context(), store.Filter{Cursor: j.Delivery}); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Jobs after a delivery: %v", err)
		}
	}},
	{"filters keep what they name", filters},
	{"bodies are read in pages that end early", bodies},
	{"what actions see of deliveries is read for many at once, up to a bound", inputs},
	{"live jobs come in order and counts agree", func(f fixture) {
		var want []string
		counts := map[job.State]int{job.Scheduled: 0, job.Queued: 0, job.Running: 0}
		for range 3 {
			for _, s := range job.States {
				j := f.one()
				f.take(j.ID, s)
				if !s.Terminal() {
					want = append(want, j.ID)
					counts[s]++
				}
			}
		}
		f.equal("Live", ids(f.live()), want)
		got, err := f.store.Counts(f.context())
		f.ok(err)
		f.equal("Counts", got, counts)
	}},
	{"live jobs are many", func(f fixture) {
		want := 2500
		for range want / 500 {
			f.accept(newDelivery("deploy", ""), slices.Repeat([]string{"a"}, 500)...)
		}
		last, n := int64(0), 0
		f.ok(f.store.Live(f.context(), func(j job.Job) bool {
			if j.Seq <= last {
				f.Fatalf("Seq %d follows %d", j.Seq, last)
			}
			last = j.Seq
			n++
			return true
		}))
		f.equal("number of live jobs", n, want)
		for _, most := range []int{900, 1500, 2400} {
			n := 0
			f.ok(f.store.Live(f.context(), func(job.Job) bool { n++; return n < most }))
			f.equal("calls until it is told to stop", n, most)
		}
	}},
	{"reading live jobs stops when it is told to", func(f fixture) {
		f.accept(newDelivery("deploy", ""), "a", "b", "c")
		n := 0
		f.ok(f.store.Live(f.context(), func(job.Job) bool { n++; return n < 2 }))
		f.equal("calls", n, 2)
	}},
}

func paging(f fixture) {
	var wantDeliveries, wantJobs []string
	for range 13 {
		d := newDelivery("deploy", "")
		r := f.accept(d, "a", "b")
		wantDeliveries = append(wantDeliveries, d.ID)
		wantJobs = append(wantJobs, ids(r.Jobs)...)
	}
	slices.Reverse(wantDeliveries)
	slices.Reverse(wantJobs)
	for name, list := range map[string]struct {
		page func(store.Filter) []string
		want []string
	}{"Deliveries": {f.deliveries, wantDeliveries}, "Jobs": {f.jobs, wantJobs}} {
		var got []string
		filter := store.Filter{Limit: 5}
		for range 20 {
			page := list.page(filter)
			got = append(got, page...)
			if len(page) < 5 {
				break
			}
			filter.Cursor = page[len(page)-1]
		}
		f.equal(name+" by pages", got, list.want)
	}
}

// filters stores deliveries that differ in one thing each and asks for each of them.
func filters(f fixture) {
	var stored []*job.Delivery
	var jobs []job.Job
	for i := range 4 {
		d := newDelivery(fmt.Sprint("hook", i%2), "")
		d.Event, d.ReceivedAt = fmt.Sprint("event", i%3), epoch.Add(time.Duration(i)*time.Hour)
		rules := []string{"a", "b"}
		if i == 3 {
			d.Outcome, rules = job.Ignored, nil
		}
		jobs = append(jobs, f.accept(d, rules...).Jobs...)
		stored = append(stored, d)
	}
	f.take(jobs[0].ID, job.Failed) // delivery 0, rule a
	f.take(jobs[3].ID, job.Failed) // delivery 1, rule b
	for _, c := range []struct {
		name       string
		filter     store.Filter
		deliveries []int
		jobs       []int
	}{
		{"hook", store.Filter{Hook: "hook1"}, []int{3, 1}, []int{3, 2}},
		{"event", store.Filter{Event: "event0"}, []int{3, 0}, []int{1, 0}},
		{"outcome", store.Filter{Outcome: job.Ignored}, []int{3}, nil},
		{"rule", store.Filter{Rule: "b"}, []int{2, 1, 0}, []int{5, 3, 1}},
		{"state", store.Filter{State: job.Failed}, []int{1, 0}, []int{3, 0}},
		{"rule in state", store.Filter{Rule: "a", State: job.Failed}, []int{0}, []int{0}},
		{"unknown state", store.Filter{State: "lost"}, nil, nil},
		{"since", store.Filter{Since: epoch.Add(2 * time.Hour)}, []int{3, 2}, []int{5, 4}},
		{"until", store.Filter{Until: epoch.Add(2 * time.Hour)}, []int{1, 0}, []int{3, 2, 1, 0}},
		{"since and until", store.Filter{Since: epoch.Add(time.Hour), Until: epoch.Add(2 * time.Hour)}, []int{1}, []int{3, 2}},
		{"hook and cursor", store.Filter{Hook: "hook1", Limit: 1}, []int{3}, []int{3}},
	} {
		f.equal("Deliveries by "+c.name, f.deliveries(c.filter), pick(c.deliveries, func(i int) string { return stored[i].ID }))
		f.equal("Jobs by "+c.name, f.jobs(c.filter), pick(c.jobs, func(i int) string { return jobs[i].ID }))
	}
	f.equal("Jobs of a delivery", f.jobs(store.Filter{Delivery: stored[1].ID}), []string{jobs[3].ID, jobs[2].ID})
	f.equal("Jobs of no delivery", f.jobs(store.Filter{Delivery: "x"}), []string(nil))
}

func pick(indices []int, id func(int) string) []string {
	var ids []string
	for _, i := range indices {
		ids = append(ids, id(i))
	}
	return ids
}

// bodies reads through deliveries with bodies of many sizes, in pages.
func bodies(f fixture) {
	want := map[string][]byte{}
	var newestFirst []string
	for i := range 40 {
		d := newDelivery([]string{"deploy", "other"}[i%2], "")
		d.Body = bytes.Repeat([]byte{byte(i)}, i*300)
		d.Size = len(d.Body)
		f.accept(d, "build")
		if d.Hook == "deploy" {
			want[d.ID] = d.Body
			newestFirst = append([]string{d.ID}, newestFirst...)
		}
	}
	filter := store.Filter{Hook: "deploy", Limit: 7}
	n, err := f.store.CountDeliveries(f.context(), filter)
	f.ok(err)
	f.equal("CountDeliveries", n, 20)
	for _, maxBytes := range []int{0, 10_000, 1 << 30} {
		var got []string
		filter.Cursor = ""
		for {
			page, err := f.store.ReadDeliveries(f.context(), filter, maxBytes)
			f.ok(err)
			if len(page) == 0 {
				break
			}
			size := 0
			for i, d := range page {
				if i > 0 && size >= maxBytes || i >= filter.Limit {
					f.Errorf("with maxBytes %d a page goes on behind %d bytes and %d deliveries", maxBytes, size, i)
				}
				if !bytes.Equal(d.Body, want[d.ID]) || len(d.JobIDs) != 1 {
					f.Errorf("delivery %s came with %d bytes and jobs %v", d.ID, len(d.Body), d.JobIDs)
				}
				size += len(d.Body)
				got = append(got, d.ID)
			}
			filter.Cursor = page[len(page)-1].ID
		}
		f.equal("all pages", got, newestFirst)
	}
	if _, err := f.store.ReadDeliveries(f.context(), store.Filter{Cursor: job.NewID()}, 1); !errors.Is(err, store.ErrNotFound) {
		f.Errorf("ReadDeliveries after nothing: %v", err)
	}
}

// inputs reads what actions see of some deliveries, with and without room for them.
func inputs(f fixture) {
	var all []string
	want := map[string]*job.Delivery{}
	for i := range 40 {
		d := newDelivery("deploy", string([]byte{'k', byte(i), 0xff}))
		d.Event, d.Path, d.Query = "push", "/deploy", "a=1"
		d.Header, d.Params = map[string][]string{"X-A": {"1", "\xff"}}, map[string]string{"id": "7"}
		d.Body = bytes.Repeat([]byte{byte(i)}, 100*i)
		d.Size = len(d.Body)
		f.accept(d, "build", "other")
		all, want[d.ID] = append(all, d.ID), d
	}
	read := func(maxBytes int, ids ...string) (total int) {
		got, err := f.store.Inputs(f.context(), ids, maxBytes)
		f.ok(err)
		seen := map[string]bool{}
		for _, d := range got {
			w := want[d.ID]
			if w == nil || seen[d.ID] || !slices.Contains(ids, d.ID) {
				f.Fatalf("delivery %q was not asked for", d.ID)
			}
			seen[d.ID] = true
			f.equal("body", string(d.Body), string(w.Body))
			f.equal("what an action sees", []any{d.Hook, d.Key, d.Event, d.Origin, d.Method, d.Path, d.Query, d.IP, d.Header, d.Params, d.Size, d.ReceivedAt},
				[]any{w.Hook, w.Key, w.Event, w.Origin, w.Method, w.Path, w.Query, w.IP, w.Header, w.Params, w.Size, w.ReceivedAt.Truncate(time.Microsecond)})
			total += d.Size
		}
		if total > maxBytes {
			f.Errorf("bodies of %d bytes with room for %d", total, maxBytes)
		}
		return total
	}
	f.equal("one", read(math.MaxInt, all[7]), 700)
	f.equal("all of them, and some that are none", read(1<<30, append([]string{job.NewID(), "x", ""}, all...)...), 78000)
	f.equal("one without room", read(699, all[7]), 0)
	f.equal("two, one of which is too large", read(1000, all[7], all[30]), 700)
	if got := read(10_000, all...); got < 6100 { // a further one, of at most 3,900, has no room
		f.Errorf("bodies of %d bytes with room for 10000", got)
	}
	f.equal("none", read(1<<30), 0)
}
