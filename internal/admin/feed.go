package admin

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of events.
const (
	EventDelivery = "delivery" // a Delivery that was taken in, duplicates too
	EventJob      = "job"      // a Job after each change of its state
	EventReject   = "reject"   // a Reject, also when it stands for one request more
	EventReload   = "reload"   // a ReloadEvent
	EventPause    = "pause"    // a PauseEvent
	EventReplay   = "replay"   // a Replay as it goes on
	EventAudit    = "audit"    // an AuditEntry
	EventMissed   = "missed"   // a Missed: some were lost, lists must be read again
)

// EventKinds are all kinds that GET events can be asked for.
var EventKinds = []string{EventDelivery, EventJob, EventReject, EventReload, EventPause, EventReplay, EventAudit}

// The bounds of a Feed.
const (
	feedLength = 4096 // events that are remembered, for all readers together
	// feedStays is how long events are remembered once nobody listens, for a page that comes back.
	feedStays   = time.Minute
	mostStreams = 64 // event streams open at once, jobs' streams among them
	mostOfOne   = 32 // of these, of one who asks
)

// Feed is what happens, for those who listen. It is a ring that each reader follows at its own
// pace: one that is too slow loses the oldest and is told so, and costs nobody else anything.
// While nobody listens it keeps nothing. All methods are safe for concurrent use.
type Feed struct {
	boot   string // makes ids of an earlier run unknown
	closed chan struct{}
	idle   atomic.Bool

	mu      sync.Mutex
	ring    [feedLength]*event
	first   uint64 // number of the oldest event there is
	next    uint64 // number of the one to come
	readers map[*reader]struct{}
	left    time.Time // when the last reader left
	open    map[string]int
	streams int
}

// event is one thing that happened. It is put into JSON when the first reader wants it.
type event struct {
	kind, job string
	hook      string // of a job: known once it is JSON
	make      func(context.Context) (any, error)
	relayed   bool // it happened elsewhere

	once sync.Once
	body []byte
	err  error
}

// NewFeed makes a Feed that nobody listens to.
func NewFeed() *Feed {
	f := &Feed{
		boot: strconv.FormatInt(time.Now().UnixMicro(), 36), closed: make(chan struct{}), first: 1, next: 1,
		readers: map[*reader]struct{}{}, open: map[string]int{},
	}
	f.idle.Store(true)
	return f
}

// Heard reports whether somebody may read what is published now.
func (f *Feed) Heard() bool { return !f.idle.Load() }

// Publish says that something happened to a hook ("" for none). data makes its wire form when
// somebody wants to read it; it may be called from any goroutine and never when nobody listens.
func (f *Feed) Publish(kind, hook string, data func(context.Context) (any, error)) {
	f.publish(&event{kind: kind, hook: hook, make: data})
}

// PublishJob is Publish for a change of a job.
func (f *Feed) PublishJob(id string, data func(context.Context) (Job, error)) {
	f.publish(&event{kind: EventJob, job: id, make: func(ctx context.Context) (any, error) { return data(ctx) }})
}

func (f *Feed) publish(e *event) {
	if f.idle.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.readers) == 0 && time.Since(f.left) > feedStays {
		f.idle.Store(true)
		clear(f.ring[:])
		f.next++ // this one is lost
		f.first = f.next
		return
	}
	f.ring[f.next%feedLength] = e
	f.next++
	if f.next-f.first > feedLength {
		f.first = f.next - feedLength
	}
	for r := range f.readers {
		select {
		case r.wake <- struct{}{}:
		default: // it is told already
		}
	}
}

// Relayed is an event of another daemon's feed.
type Relayed struct {
	Kind, Hook, Job string
	Body            []byte // JSON
}

// PublishRelayed is Publish for what happened elsewhere; nil stands for some that were lost.
func (f *Feed) PublishRelayed(all []Relayed) {
	if all == nil {
		body, _ := encode(Missed{}) // of a number: it cannot fail
		all = []Relayed{{Kind: EventMissed, Body: body}}
	}
	for _, r := range all {
		e := &event{kind: r.Kind, hook: r.Hook, job: r.Job, body: r.Body, relayed: true}
		e.once.Do(func() {}) // it is JSON already
		f.publish(e)
	}
}

// Follow calls do with what happens here, some at a time and not what PublishRelayed brought, until
// ctx ends or do returns an error. What is lost because do is slow is an event of its own.
func (f *Feed) Follow(ctx context.Context, do func([]Relayed) error) error {
	r, _ := f.read("")
	defer r.close()
	for {
		select {
		case <-r.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-f.closed:
			return nil
		}
		for {
			events, lost := r.take()
			var out []Relayed
			if lost > 0 {
				body, _ := encode(Missed{Events: lost}) // of a number: it cannot fail
				out = append(out, Relayed{Kind: EventMissed, Body: body})
			}
			for _, e := range events {
				if e.relayed {
					continue
				}
				if body, err := e.json(ctx); err == nil {
					out = append(out, Relayed{e.kind, e.hook, e.job, body})
				}
			}
			if len(events) == 0 && lost == 0 {
				break
			}
			if len(out) == 0 {
				continue
			}
			if err := do(out); err != nil {
				return err
			}
		}
	}
}

// Close ends all streams. What is published later is dropped.
func (f *Feed) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
}

var errTooManyStreams = errors.New("too many event streams are open")

// enter counts a stream of who; leave must be called when it ends.
func (f *Feed) enter(who string) (leave func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.streams >= mostStreams || f.open[who] >= mostOfOne {
		return nil, errTooManyStreams
	}
	f.streams++
	f.open[who]++
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.streams--
		if f.open[who]--; f.open[who] == 0 {
			delete(f.open, who)
		}
	}, nil
}

// Streams is how many streams are open.
func (f *Feed) Streams() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.streams
}

// reader follows a Feed. It is used by one goroutine.
type reader struct {
	feed *Feed
	at   uint64 // number of the event to read next
	wake chan struct{}
}

// read begins to follow: after the event with an id that the feed gave, or from now on. missed
// reports that there was something after that id which is gone.
func (f *Feed) read(after string) (r *reader, missed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.idle.Load() {
		f.next++ // what happened meanwhile, if anything
		f.first = f.next
		f.idle.Store(false)
	}
	r = &reader{feed: f, at: f.next, wake: make(chan struct{}, 1)}
	f.readers[r] = struct{}{}
	if after == "" {
		return r, false
	}
	boot, number, _ := strings.Cut(after, "-")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || boot != f.boot || n+1 < f.first || n >= f.next {
		return r, true
	}
	r.at = n + 1
	r.wake <- struct{}{} // there may be something already
	return r, false
}

func (r *reader) close() {
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	delete(r.feed.readers, r)
	r.feed.left = time.Now()
}

// take returns what has happened since, some of it at a time, and how many events were lost
// before it.
func (r *reader) take() (events []numbered, lost uint64) {
	const most = 64
	r.feed.mu.Lock()
	defer r.feed.mu.Unlock()
	if r.at < r.feed.first {
		lost = r.feed.first - r.at
		r.at = r.feed.first
	}
	for r.at < r.feed.next && len(events) < most {
		id := r.feed.boot + "-" + strconv.FormatUint(r.at, 10)
		events = append(events, numbered{r.feed.ring[r.at%feedLength], id})
		r.at++
	}
	return events, lost
}

// numbered is an event with the id that a reader comes back with.
type numbered struct {
	*event
	id string
}

// json is the event on the wire. What it is made of may be gone: that is an error.
func (e *event) json(ctx context.Context) ([]byte, error) {
	e.once.Do(func() {
		// Not the reader's own end: others read the same event.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeWait)
		defer cancel()
		v, err := e.make(ctx)
		if j, ok := v.(Job); ok {
			e.hook = j.Hook
		}
		if err == nil {
			e.body, err = encode(v)
		}
		if err != nil {
			e.err = fmt.Errorf("%s event: %w", e.kind, err)
		}
	})
	return e.body, e.err
}

// encode is v as the API writes it.
func encode(v any) ([]byte, error) {
	return json.Marshal(v, json.FormatNilSliceAsNull(false), json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}
