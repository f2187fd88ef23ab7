package ingress

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
)

var someTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// refused is the n-th refusal of its kind, a second after the one before.
func refused(n int, ip string) job.Reject {
	return job.Reject{At: someTime.Add(time.Duration(n) * time.Second), IP: ip, Hook: "site", Status: 401, Error: "verification_failed", Size: int64(n)}
}

func TestRejects_CountWhatIsAlikeWithinAMinute(t *testing.T) {
	var told []int
	r := NewRejects(func(x job.Reject) { told = append(told, x.Count) })
	for n := range 3 {
		r.Add(refused(n, "192.0.2.1"))
	}
	r.Add(refused(3, "192.0.2.2"))
	r.Add(refused(61, "192.0.2.1"))
	var got []string
	for _, x := range r.List() {
		got = append(got, fmt.Sprintf("%s x%d size %d after %s", x.IP, x.Count, x.Size, x.LastAt.Sub(x.At)))
	}
	want := []string{"192.0.2.1 x1 size 61 after 0s", "192.0.2.2 x1 size 3 after 0s", "192.0.2.1 x3 size 2 after 2s"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]int{1, 2, 3, 1, 1}, told); diff != "" {
		t.Error(diff)
	}
}

func TestRejects_AFloodFromEverywhereIsBounded(t *testing.T) {
	told := 0
	r := NewRejects(func(job.Reject) { told++ })
	for n := range 100_000 {
		r.Add(job.Reject{At: someTime, IP: fmt.Sprint(n), Reason: string(make([]byte, 5000))})
	}
	changed, unlisted := r.Changes()
	if listed := len(r.List()); listed > MostRejects || len(changed)+unlisted != 100_000 || told != len(changed) || len(r.like) > MostRejects {
		t.Errorf("%d listed, %d changed, %d unlisted, %d told", listed, len(changed), unlisted, told)
	}
	// The pace allows a few more while the test runs.
	if len(changed) > rejectsBurst+200 {
		t.Errorf("%d of them were listed", len(changed))
	}
	if got := len(r.List()[0].Reason); got > mostReason+len("…") {
		t.Errorf("a reason of %d bytes is kept", got)
	}
	if again, unlisted := r.Changes(); len(again) != 0 || unlisted != 0 {
		t.Errorf("%d changes are told twice, %d unlisted", len(again), unlisted)
	}
}

func TestRejects_KeepTheNewest(t *testing.T) {
	r := NewRejects(nil)
	kept := make([]job.Reject, MostRejects)
	for i := range kept {
		kept[i] = job.Reject{ID: job.NewID(), IP: fmt.Sprint("old ", i)}
	}
	r.Restore(kept)
	r.Add(refused(0, "a"))
	r.Add(refused(0, "b"))
	all := r.List()
	if len(all) != MostRejects || all[0].IP != "b" || all[1].IP != "a" || all[2].IP != "old 0" || all[MostRejects-1].IP != "old 997" {
		t.Errorf("%d: %s %s %s … %s", len(all), all[0].IP, all[1].IP, all[2].IP, all[len(all)-1].IP)
	}
}
