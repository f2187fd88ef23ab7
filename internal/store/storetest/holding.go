package storetest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// hold stores deliveries that are held.
func (f fixture) hold(hook string, n int) (ids []string) {
	f.Helper()
	for i := range n {
		d := newDelivery(hook, fmt.Sprintf("%s-%d", hook, i))
		d.Held = &job.Held{At: epoch, Scheme: "https", Host: "hooks.example.com", RawPath: "/a%2fb", Sealed: []byte{0, 1, byte(i)}}
		f.accept(d)
		ids = append(ids, d.ID)
	}
	return ids
}

func (f fixture) taken(t job.Taking) (ids []string) {
	f.Helper()
	for _, d := range value(f.store.TakeHeld(f.context(), t)) {
		ids = append(ids, d.ID)
	}
	return ids
}

// byHook orders what was lost: a store tells of it in any order.
func byHook(all []store.Untaken) []store.Untaken {
	slices.SortFunc(all, func(a, b store.Untaken) int {
		return cmp.Or(cmp.Compare(a.Hook, b.Hook), cmp.Compare(a.State, b.State))
	})
	return all
}

var holding = []testCase{
	{"what is held is handed out to one at a time, oldest first, until it is settled", func(f fixture) {
		a := f.hold("a", 4)
		f.hold("b", 1)
		t := job.Taking{Hooks: []string{"a", "none"}, Taker: "laptop", Most: 2, Bytes: 1 << 20, At: epoch, Until: epoch.Add(time.Minute)}
		got := value(f.store.TakeHeld(f.context(), t))
		f.equal("handed out", []string{got[0].ID, got[1].ID}, a[:2])
		f.equal("Held", *got[1].Held, job.Held{
			Delivery: a[1], State: job.HeldWaiting, Taker: "laptop", Tries: 1, Until: t.Until, At: epoch,
			Scheme: "https", Host: "hooks.example.com", RawPath: "/a%2fb", Sealed: []byte{0, 1, 1},
		})
		f.equal("body", string(got[0].Body), string(newDelivery("a", "").Body))
		t.Taker, t.Most, t.Bytes = "server", 10, 1
		f.equal("to another, bounded", f.taken(t), a[2:3])
		t.Bytes = 1 << 20
		f.equal("the last", f.taken(t), a[3:])
		f.equal("nothing", f.taken(t), []string(nil))
		f.equal("who has them", value(f.store.HeldCounts(f.context(), epoch)), []job.HeldCount{
			{Hook: "a", Waiting: 4, With: map[string]int{"laptop": 2, "server": 2}, Oldest: epoch}, {Hook: "b", Waiting: 1, Oldest: epoch},
		})
		f.equal("and after the lease", value(f.store.HeldCounts(f.context(), epoch.Add(time.Minute)))[0], job.HeldCount{Hook: "a", Waiting: 4, Oldest: epoch})
		f.store = f.reopen()
		end := job.HeldEnd{Hooks: []string{"b"}, Deliveries: a, State: job.HeldAcknowledged, At: epoch}
		f.equal("of another hook", value(f.store.SettleHeld(f.context(), end)), 0)
		end.Hooks, end.Deliveries = []string{"a", "b"}, []string{a[0], "nonsense", job.NewID()}
		f.equal("acknowledged", value(f.store.SettleHeld(f.context(), end)), 1)
		f.equal("again", value(f.store.SettleHeld(f.context(), end)), 0)
		f.equal("refused", value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: end.Hooks, Deliveries: a[1:2], State: job.HeldRefused, Reason: "forged", At: epoch})), 1)
		f.equal("released by another", value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: end.Hooks, Deliveries: a[2:3], State: job.HeldWaiting, Taker: "laptop", At: epoch})), 0)
		f.equal("released", value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: end.Hooks, Deliveries: a, State: job.HeldWaiting, Taker: "server", At: epoch})), 2)
		f.equal("counts", value(f.store.HeldCounts(f.context(), epoch)), []job.HeldCount{
			{Hook: "a", Waiting: 2, Refused: 1, Oldest: epoch}, {Hook: "b", Waiting: 1, Oldest: epoch},
		})
		f.equal("once more", f.taken(t), a[2:])
		t.At, t.Until = epoch.Add(time.Minute), epoch.Add(2*time.Minute)
		f.equal("after the lease", f.taken(t), a[2:])
		held := value(f.store.Holding(f.context(), a[1]))
		f.equal("refused is kept", []any{held.State, held.Reason}, []any{job.HeldRefused, "forged"})
		f.equal("a late acknowledgement", value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: end.Hooks, Deliveries: a[2:], State: job.HeldAcknowledged, At: epoch})), 2)
		f.equal("a person", value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: end.Hooks, Deliveries: a[:2], State: job.HeldWaiting, Again: true, At: epoch})), 2)
		f.equal("handed out again", f.taken(t), a[:2])
		if _, err := f.store.Holding(f.context(), f.accept(newDelivery("x", "")).Delivery); !errors.Is(err, store.ErrNotFound) {
			f.Errorf("Holding of another: %v", err)
		}
	}},
	{"a duplicate of what is held is not held", func(f fixture) {
		f.hold("a", 1)
		d := newDelivery("a", "a-0")
		d.Held = &job.Held{At: epoch}
		f.equal("duplicate", f.accept(d).Duplicate, true)
		f.equal("counts", value(f.store.HeldCounts(f.context(), epoch))[0].Waiting, 1)
	}},
	{"what is held is pruned when it is too old, not when there is too much", func(f fixture) {
		ids := f.hold("a", 3)
		value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: []string{"a"}, Deliveries: ids[:1], State: job.HeldAcknowledged, At: epoch}))
		for range 3 {
			pruned := value(f.store.Prune(f.context(), store.Retention{Deliveries: 1}, epoch.Add(time.Hour)))
			f.equal("lost", pruned.Untaken, []store.Untaken(nil))
		}
		f.equal("kept", f.deliveries(store.Filter{}), []string{ids[2], ids[1]})
		value(f.store.SettleHeld(f.context(), job.HeldEnd{Hooks: []string{"a"}, Deliveries: ids[1:2], State: job.HeldRefused, At: epoch}))
		f.hold("b", 2)
		f.accept(newDelivery("c", ""))
		pruned := value(f.store.Prune(f.context(), store.Retention{For: time.Minute}, epoch.Add(time.Hour)))
		f.equal("what nobody took", byHook(pruned.Untaken), []store.Untaken{{Hook: "a", State: job.HeldRefused, Number: 1}, {Hook: "a", State: job.HeldWaiting, Number: 1}, {Hook: "b", State: job.HeldWaiting, Number: 2}})
		f.equal("kept by age", f.deliveries(store.Filter{}), []string(nil))
		f.equal("counts", value(f.store.HeldCounts(f.context(), epoch)), []job.HeldCount(nil))
	}},
}
