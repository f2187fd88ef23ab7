package daemon

import (
	"slices"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// recentAcks is how many of the latest answers the figures of status are made from.
const recentAcks = 1024

// traffic is what came in during this run, for status. It is safe for concurrent use.
type traffic struct {
	mu       sync.Mutex
	outcomes map[job.Outcome]int64
	refused  map[string]int64 // by what the sender was told, of which there are few
	last     time.Time        // when the latest delivery was answered
	acks     []time.Duration  // a ring of the latest
	next     int
}

func newTraffic() *traffic {
	return &traffic{outcomes: map[job.Outcome]int64{}, refused: map[string]int64{}}
}

func (t *traffic) delivered(outcome job.Outcome, took time.Duration) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[outcome]++
	t.last = now
	if len(t.acks) < recentAcks {
		t.acks = append(t.acks, took)
		return
	}
	t.acks[t.next] = took
	t.next = (t.next + 1) % recentAcks
}

// collected counts a delivery that no sender waited for: from a source, or its sender's list.
func (t *traffic) collected(outcome job.Outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.outcomes[outcome]++
	t.last = time.Now()
}

func (t *traffic) refuse(reason string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[reason]++
}

// status is the traffic in figures.
func (t *traffic) status() admin.Traffic {
	t.mu.Lock()
	out := admin.Traffic{Outcomes: map[job.Outcome]int64{}, Refused: map[string]int64{}, LastAt: admin.Time{Time: t.last}}
	for outcome, n := range t.outcomes {
		out.Outcomes[outcome] = n
	}
	for reason, n := range t.refused {
		out.Refused[reason] = n
	}
	acks := slices.Clone(t.acks)
	t.mu.Unlock()
	slices.Sort(acks)
	if n := len(acks); n > 0 {
		at := func(percent int) float64 { return float64(acks[min(n-1, n*percent/100)].Microseconds()) / 1000 }
		out.Ack = &admin.AckTimes{Of: n, Median: at(50), P95: at(95), P99: at(99), Longest: float64(acks[n-1].Microseconds()) / 1000}
	}
	return out
}
