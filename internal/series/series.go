// Package series remembers, in memory and within a fixed bound, how many deliveries and job ends
// there were over time, and how long acknowledgements took: what charts are drawn from, without a
// question to the store.
//
// Each hook has one ring of buckets for each Span. A bucket is overwritten when its time comes
// around again, so what is kept of a hook has one size, whatever arrives.
package series

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

// Span is how far back a series goes, and in what steps.
type Span struct {
	Name  string // as it stands in a URL
	Step  time.Duration
	Steps int
}

// Length is the time from the first step to the last.
func (s Span) Length() time.Duration { return s.Step * time.Duration(s.Steps) }

// Spans are all there are, the shortest first.
var Spans = []Span{
	{"1h", time.Minute, 60},
	{"24h", 15 * time.Minute, 96},
	{"7d", 2 * time.Hour, 84},
}

// maxHooks bounds how many names have a series; what others bring is only in the sum of all.
const maxHooks = 1000

// All is the name of the sum of all hooks.
const All = ""

// Point is one step of a series.
type Point struct {
	Accepted, Ignored, Duplicate int // deliveries
	Refused                      int // requests that were not taken
	Succeeded, Failed            int // jobs that ended; Failed are those that ended badly
	acks                         [buckets]uint32
}

// Deliveries is how many verified requests there were.
func (p *Point) Deliveries() int { return p.Accepted + p.Ignored + p.Duplicate }

// Add adds what q counted.
func (p *Point) Add(q *Point) {
	p.Accepted += q.Accepted
	p.Ignored += q.Ignored
	p.Duplicate += q.Duplicate
	p.Refused += q.Refused
	p.Succeeded += q.Succeeded
	p.Failed += q.Failed
	for i, n := range q.acks {
		p.acks[i] += n
	}
}

// Acknowledgements are counted in buckets whose bounds double, from a quarter of a millisecond.
const (
	buckets  = 17
	firstAck = 250 * time.Microsecond
)

func ackBucket(took time.Duration) int {
	i := 0
	for bound := firstAck; took > bound && i < buckets-1; bound *= 2 {
		i++
	}
	return i
}

// Ack is the time within which the share q (0 to 1) of the acknowledgements were given, read
// from buckets that double: right within a factor of two. It is false when there were none.
func (p *Point) Ack(q float64) (time.Duration, bool) {
	total := uint32(0)
	for _, n := range p.acks {
		total += n
	}
	if total == 0 {
		return 0, false
	}
	want := q * float64(total)
	seen := 0.0
	low, high := time.Duration(0), firstAck
	for _, n := range p.acks {
		if n > 0 && seen+float64(n) >= want {
			part := (want - seen) / float64(n)
			return low + time.Duration(part*float64(high-low)), true
		}
		seen += float64(n)
		low, high = high, high*2
	}
	return low, true
}

// Series is what happened over a span, oldest first.
type Series struct {
	Span   Span
	From   time.Time // of the first point
	Points []Point
	Known  time.Time // from when on everything was counted; what is before it is a part at most
	Timed  time.Time // from when on refusals, duplicates and acknowledgements were counted
}

// Total is the sum of all points.
func (s *Series) Total() Point {
	var sum Point
	for i := range s.Points {
		sum.Add(&s.Points[i])
	}
	return sum
}

// At is when a point begins.
func (s *Series) At(i int) time.Time { return s.From.Add(time.Duration(i) * s.Span.Step) }

// Book keeps the series of all hooks. Its methods are safe for concurrent use.
type Book struct {
	mu    sync.Mutex
	hooks map[string]*record
	known time.Time
	timed time.Time
}

// record is what is kept of one hook.
type record struct {
	rings [][]slot // by Spans
	last  time.Time
}

type slot struct {
	step  int64 // since 1970; another one means that the slot is free
	point Point
}

// New makes an empty book that counts from now on.
func New(now time.Time) *Book {
	return &Book{hooks: map[string]*record{}, known: now, timed: now}
}

// Delivered counts a delivery. took is how long its acknowledgement took; negative when that is
// not known.
func (b *Book) Delivered(hook string, outcome job.Outcome, took time.Duration, at time.Time) {
	b.count(hook, at, true, func(p *Point) {
		switch outcome {
		case job.Accepted:
			p.Accepted++
		case job.Ignored:
			p.Ignored++
		case job.Duplicate:
			p.Duplicate++
		}
		if took >= 0 {
			p.acks[ackBucket(took)]++
		}
	})
}

// Refused counts a request that was not taken. hook is "" when no hook has its path.
func (b *Book) Refused(hook string, at time.Time) {
	b.count(hook, at, false, func(p *Point) { p.Refused++ })
}

// Ended counts the end of a job; one that has not ended is not counted.
func (b *Book) Ended(hook string, state job.State, at time.Time) {
	switch {
	case state == job.Succeeded:
		b.count(hook, at, false, func(p *Point) { p.Succeeded++ })
	case state.EndedBadly():
		b.count(hook, at, false, func(p *Point) { p.Failed++ })
	}
}

func (b *Book) count(hook string, at time.Time, delivery bool, add func(*Point)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := []string{All}
	if hook != All {
		names = append(names, hook)
	}
	for _, name := range names {
		r := b.hooks[name]
		if r == nil {
			if len(b.hooks) > maxHooks {
				continue
			}
			r = newRecord()
			b.hooks[name] = r
		}
		if delivery && at.After(r.last) {
			r.last = at
		}
		for i, span := range Spans {
			if p := r.at(i, at.UnixNano()/int64(span.Step)); p != nil {
				add(p)
			}
		}
	}
}

func newRecord() *record {
	r := &record{}
	for _, span := range Spans {
		r.rings = append(r.rings, make([]slot, span.Steps))
	}
	return r
}

// at is the point of a step, nil when a later one has its place.
func (r *record) at(ring int, step int64) *Point {
	s := &r.rings[ring][step%int64(len(r.rings[ring]))]
	switch {
	case s.step > step:
		return nil
	case s.step < step:
		*s = slot{step: step}
	}
	return &s.point
}

// Seeded says that everything since at was told, of deliveries and of the ends of jobs.
func (b *Book) Seeded(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at.Before(b.known) {
		b.known = at
	}
}

// Read returns a hook's series, or the sum of all with All, up to the step that now is in.
func (b *Book) Read(hook string, span Span, now time.Time) Series {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := now.UnixNano() / int64(span.Step)
	first := last - int64(span.Steps) + 1
	s := Series{Span: span, From: time.Unix(0, first*int64(span.Step)), Points: make([]Point, span.Steps), Known: b.known, Timed: b.timed}
	r := b.hooks[hook]
	ring := slices.Index(Spans, span)
	if r == nil || ring < 0 {
		return s
	}
	for _, one := range r.rings[ring] {
		if i := one.step - first; i >= 0 && i < int64(span.Steps) {
			s.Points[i] = one.point
		}
	}
	return s
}

// Last is when a hook was last delivered to, zero when that is not known.
func (b *Book) Last(hook string) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.hooks[hook]; r != nil {
		return r.last
	}
	return time.Time{}
}

// Keep forgets hooks that are not among names, so that a configuration that changes its names
// does not fill the book.
func (b *Book) Keep(names map[string]bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.hooks, func(name string, _ *record) bool { return name != All && !names[name] })
}
