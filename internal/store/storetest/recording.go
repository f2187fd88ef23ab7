package storetest

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// audit appends n entries.
func (f *fixture) audit(n int) (entries []job.AuditEntry) {
	f.Helper()
	for i := range n {
		e, err := f.store.Audit(f.context(), job.AuditEntry{At: epoch, Who: "uid 0", Remote: "@", Action: "retry", Subject: fmt.Sprint(i), Detail: "d", Result: "ok"})
		f.ok(err)
		entries = append(entries, e)
	}
	return entries
}

// checkAudit follows the whole chain and returns how many entries it has.
func (f *fixture) checkAudit() int {
	f.Helper()
	var check job.AuditCheck
	for before := int64(0); ; {
		page, err := f.store.AuditLog(f.context(), before, 7)
		f.ok(err)
		for _, e := range page {
			f.ok(check.Add(e))
			before = e.N
		}
		if len(page) == 0 {
			break
		}
	}
	anchor, err := f.store.AuditAnchor(f.context())
	f.ok(err)
	n, _, err := check.Close(anchor)
	f.ok(err)
	return n
}

func reject(n int) job.Reject {
	at := epoch.Add(time.Duration(n) * time.Second)
	return job.Reject{
		ID: job.NewID(), At: at, IP: "192.0.2.7", Hook: []string{"deploy", ""}[n%2], Status: 401, Error: "verification_failed", Reason: "signature is wrong",
		Size: -1, Count: n + 1, LastAt: at.Add(time.Millisecond),
	}
}

var recording = []testCase{
	{"the audit log is a chain that a restart goes on with", func(f fixture) {
		first := f.audit(2)
		f.store = f.reopen()
		entries := append(first, f.audit(1)...)
		f.equal("AuditLog", value(f.store.AuditLog(f.context(), 0, 0)), []job.AuditEntry{entries[2], entries[1], entries[0]})
		f.equal("a page", value(f.store.AuditLog(f.context(), 3, 1)), []job.AuditEntry{entries[1]})
		f.equal("numbers", []int64{entries[0].N, entries[2].N}, []int64{1, 3})
		f.equal("entries", f.checkAudit(), 3)
	}},
	{"entries written at once are one chain", func(f fixture) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { f.audit(5) })
		}
		all.Wait()
		f.equal("entries", f.checkAudit(), 40)
	}},
	{"what retention leaves of the audit log can be followed", func(f fixture) {
		f.audit(30)
		f.pruneAll(store.Retention{Audit: 4}, epoch)
		f.equal("entries", f.checkAudit(), 4)
		f.audit(1)
		f.store = f.reopen()
		f.equal("entries", f.checkAudit(), 5)
		f.pruneAll(store.Retention{Audit: 1}, epoch)
		f.equal("entries", f.checkAudit(), 1)
	}},
	{"rejects are listed newest first and bounded", func(f fixture) {
		all := []job.Reject{reject(0), reject(1), reject(2), reject(3)}
		f.ok(f.store.KeepRejects(f.context(), all[:3], 10))
		all[2].Count, all[2].LastAt = 99, epoch.Add(time.Hour)
		f.ok(f.store.KeepRejects(f.context(), all[2:], 3))
		f.store = f.reopen()
		list := func(filter store.Filter) []job.Reject { return value(f.store.Rejects(f.context(), filter)) }
		f.equal("Rejects", list(store.Filter{}), []job.Reject{all[3], all[2], all[1]})
		f.equal("of a hook", list(store.Filter{Hook: "deploy"}), []job.Reject{all[2]})
		f.equal("a page", list(store.Filter{Cursor: all[3].ID, Limit: 1}), []job.Reject{all[2]})
		f.equal("since", list(store.Filter{Since: all[3].At}), []job.Reject{all[3]})
		if _, err := f.store.Rejects(f.context(), store.Filter{Cursor: all[0].ID}); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("a cursor that is gone: %v", err)
		}
	}},
	{"replays are remembered with how far they are", func(f fixture) {
		a := job.Replay{
			ID: job.NewID(), Who: "uid 0", Asked: job.ReplayFilter{Hook: "deploy", Which: "failed", Since: "24h"}, Since: epoch, Until: epoch.Add(time.Hour),
			Status: job.ReplayRunning, CreatedAt: epoch, Total: 9,
		}
		b := job.Replay{ID: job.NewID(), Status: job.ReplayDone, CreatedAt: epoch}
		f.ok(f.store.KeepReplay(f.context(), a))
		f.ok(f.store.KeepReplay(f.context(), b))
		a.Done, a.Last, a.UpdatedAt = 3, job.NewID(), epoch.Add(time.Second)
		f.ok(f.store.KeepReplay(f.context(), a))
		f.store = f.reopen()
		f.equal("Replays", value(f.store.Replays(f.context())), []job.Replay{b, a})
	}},
	{"how far sources have been read is remembered until it is forgotten", func(f fixture) {
		a, b := job.Position{Hook: "a", Source: "smee:1", Place: "1-0"}, job.Position{Hook: "b", Source: "gosmee:2", Place: "x\x00"}
		f.ok(f.store.SetPosition(f.context(), b, true))
		f.ok(f.store.SetPosition(f.context(), a, true))
		a.Place = "2-0"
		f.ok(f.store.SetPosition(f.context(), a, true))
		f.store = f.reopen()
		f.equal("Positions", value(f.store.Positions(f.context())), []job.Position{a, b})
		f.ok(f.store.SetPosition(f.context(), a, false))
		f.equal("Positions", value(f.store.Positions(f.context())), []job.Position{b})
	}},
	{"what hooks expect is remembered until it is forgotten", func(f fixture) {
		a := job.Expectation{Hook: "backup", Since: epoch}
		b := job.Expectation{Hook: "deploy", Since: epoch, Last: epoch.Add(time.Hour), Silent: epoch.Add(time.Hour)}
		f.ok(f.store.SetExpectation(f.context(), b, true))
		f.ok(f.store.SetExpectation(f.context(), a, true))
		a.Last = epoch.Add(time.Minute)
		f.ok(f.store.SetExpectation(f.context(), a, true))
		f.store = f.reopen()
		f.equal("Expectations", value(f.store.Expectations(f.context())), []job.Expectation{a, b})
		f.ok(f.store.SetExpectation(f.context(), a, false))
		f.equal("Expectations", value(f.store.Expectations(f.context())), []job.Expectation{b})
	}},
	{"spans in which deliveries were taken are remembered as they grow", func(f fixture) {
		a := job.Listened{ID: job.NewID(), Since: epoch, Until: epoch}
		b := job.Listened{ID: job.NewID(), Since: epoch.Add(time.Hour), Until: epoch.Add(time.Hour)}
		f.ok(f.store.KeepListened(f.context(), a))
		f.ok(f.store.KeepListened(f.context(), b))
		a.Until = epoch.Add(time.Minute)
		f.ok(f.store.KeepListened(f.context(), a))
		f.store = f.reopen()
		f.equal("Listened", value(f.store.Listened(f.context())), []job.Listened{b, a})
		if err := f.store.KeepListened(f.context(), job.Listened{ID: "1", Since: epoch, Until: epoch}); err == nil {
			f.Errorf("a span without an id was kept")
		}
	}},
}

// value drops the error of a call whose value a comparison shows to be wrong then.
func value[T any](v T, _ error) T { return v }
