package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/job"
)

// value is event data that is there already.
func value(v any) func(context.Context) (any, error) {
	return func(context.Context) (any, error) { return v, nil }
}

func number(f *Feed, n int) { f.Publish(EventPause, "site", value(n)) }

// drain reads what waits as text, and how many were lost.
func drain(r *reader) (got []string, lost uint64) {
	for {
		events, gone := r.take()
		lost += gone
		if len(events) == 0 {
			return got, lost
		}
		for _, e := range events {
			body, _ := e.json(context.Background())
			got = append(got, string(body))
		}
	}
}

func TestFeed_AReaderSeesWhatComesAfterIt(t *testing.T) {
	f := NewFeed()
	number(f, 1)
	r, missed := f.read("")
	defer r.close()
	number(f, 2)
	number(f, 3)
	got, lost := drain(r)
	if diff := cmp.Diff([]string{"2", "3"}, got); diff != "" || missed || lost != 0 {
		t.Errorf("missed %t, lost %d: %s", missed, lost, diff)
	}
}

func TestFeed_OneThatIsTooSlowIsToldHowManyItLost(t *testing.T) {
	f := NewFeed()
	slow, _ := f.read("")
	defer slow.close()
	for n := range feedLength + 10 {
		number(f, n)
	}
	got, lost := drain(slow)
	if lost != 10 || len(got) != feedLength || got[0] != "10" {
		t.Errorf("lost %d, got %d from %s", lost, len(got), got[0])
	}
}

func TestFeed_WhoComesBackGoesOnWhereItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFeed()
		r, _ := f.read("")
		number(f, 1)
		events, _ := r.take()
		id := events[0].id
		r.close()
		time.Sleep(feedStays / 2)
		number(f, 2)

		r, missed := f.read(id)
		if got, lost := drain(r); missed || lost != 0 || len(got) != 1 || got[0] != "2" {
			t.Errorf("after a moment: %v, missed %t, lost %d", got, missed, lost)
		}
		r.close()
		time.Sleep(2 * feedStays)
		number(f, 3) // nobody listens any more
		if f.Heard() {
			t.Error("the feed still keeps what nobody reads")
		}
		r, missed = f.read(id)
		defer r.close()
		if got, _ := drain(r); !missed || len(got) != 0 {
			t.Errorf("after long: %v, missed %t", got, missed)
		}
	})
}

func TestFeed_IdsOfAnotherRunAndNonsenseAreMissed(t *testing.T) {
	f := NewFeed()
	for _, id := range []string{"abc-1", f.boot + "-99", f.boot + "-x", "-", f.boot, strings.Repeat("9", 1000)} {
		r, missed := f.read(id)
		r.close()
		if !missed {
			t.Errorf("%q is known", id)
		}
	}
}

func TestFeed_StreamsAreBounded(t *testing.T) {
	f := NewFeed()
	var leave []func()
	for _, who := range []string{"a", "b"} {
		for range mostOfOne {
			l, err := f.enter(who)
			if err != nil {
				t.Fatal(err)
			}
			leave = append(leave, l)
		}
		if _, err := f.enter(who); !errors.Is(err, errTooManyStreams) {
			t.Errorf("one more of %s: %v", who, err)
		}
	}
	if _, err := f.enter("c"); !errors.Is(err, errTooManyStreams) {
		t.Errorf("one more of all: %v", err)
	}
	leave[0]()
	l, err := f.enter("c")
	if err != nil {
		t.Fatal(err)
	}
	l()
	for _, l := range leave[1:] {
		l()
	}
	if f.streams != 0 || len(f.open) != 0 {
		t.Errorf("%d streams are left, of %v", f.streams, f.open)
	}
}

// sse is one event of a stream.
type sse struct{ id, kind, data string }

// sseReader reads a stream.
type sseReader struct {
	t    *testing.T
	body io.ReadCloser
	*bufio.Reader
}

// listen opens a stream. It is closed when the test ends.
func (d *door) listen(path string, header ...string) *sseReader {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), "GET", "http://"+d.addr+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		req.Header.Set(name, value)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		b, _ := io.ReadAll(resp.Body)
		d.t.Fatalf("%s: %s %s", path, resp.Status, b)
	}
	r := &sseReader{d.t, resp.Body, bufio.NewReader(resp.Body)}
	if line, err := r.ReadString('\n'); err != nil || line != "retry: 2000\n" {
		d.t.Fatalf("%q, %v", line, err)
	}
	return r
}

// next reads the next event.
func (r *sseReader) next() (e sse) {
	r.t.Helper()
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			r.t.Fatalf("after %+v: %v", e, err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "id":
			e.id = value
		case "event":
			e.kind = value
		case "data":
			e.data = value
		case "":
			if e != (sse{}) {
				return e
			}
		}
	}
}

func TestEvents_TellWhatIsAskedFor(t *testing.T) {
	f := NewFeed()
	d := open(t, sample(), Options{Feed: f})
	all, some := d.listen(prefix+"events"), d.listen(prefix+"events?kind=job,reject&hook=site")
	f.PublishJob(id(9), func(context.Context) (Job, error) { return Job{ID: id(9), Hook: "other"}, nil })
	f.Publish(EventReload, "", value(ReloadEvent{OK: true}))
	f.PublishJob(id(8), func(context.Context) (Job, error) { return Job{}, errors.New("it is gone") })
	f.PublishJob(id(7), func(context.Context) (Job, error) { return Job{ID: id(7), Hook: "site", Reason: "two\nlines"}, nil })
	var kinds []string
	for range 3 {
		e := all.next()
		kinds = append(kinds, e.kind)
		if e.id == "" {
			t.Errorf("%+v has no id", e)
		}
	}
	if diff := cmp.Diff([]string{"job", "reload", "job"}, kinds); diff != "" {
		t.Error(diff)
	}
	if e := some.next(); e.kind != "job" || !strings.Contains(e.data, `"hook":"site"`) || !strings.Contains(e.data, `two\nlines`) {
		t.Errorf("%+v", e)
	}
	for _, query := range []string{"kind=job,nonsense", "kind=missed", "hook=a&hook=b", "x=1"} {
		if got := d.ask("GET", prefix+"events?"+query); got.status != 400 {
			t.Errorf("%s: %d %s", query, got.status, got.body)
		}
	}
}

func TestEvents_WhoComesBackGoesOnOrHearsThatItMissed(t *testing.T) {
	f := NewFeed()
	d := open(t, sample(), Options{Feed: f})
	first := d.listen(prefix + "events")
	number(f, 1)
	seen := first.next()
	number(f, 2)
	for _, r := range []*sseReader{
		d.listen(prefix+"events", "Last-Event-ID: "+seen.id),
		d.listen(prefix + "events?after=" + seen.id),
	} {
		if e := r.next(); e.data != "2" {
			t.Errorf("%+v", e)
		}
	}
	if e := d.listen(prefix+"events", "Last-Event-ID: of-another-run").next(); e.kind != "missed" || e.data != `{"events":0}` {
		t.Errorf("%+v", e)
	}
}

func TestEvents_OutliveTheServersTimeLimitsAndEndWithTheFeed(t *testing.T) {
	f := NewFeed()
	d := openWith(t, sample(), Options{Feed: f}, func(s *http.Server) {
		s.ReadTimeout, s.WriteTimeout = 50*time.Millisecond, 50*time.Millisecond
	})
	r := d.listen(prefix + "events")
	limit := time.NewTimer(200 * time.Millisecond) // the time must pass: it is the server's own
	<-limit.C
	number(f, 1)
	if e := r.next(); e.data != "1" {
		t.Errorf("%+v", e)
	}
	f.Close()
	if rest, err := io.ReadAll(r.Reader); err != nil || len(rest) != 0 {
		t.Errorf("the end: %q, %v", rest, err)
	}
	f.Close() // once more does nothing
}

func TestEvents_TooManyStreamsAreRefused(t *testing.T) {
	f := NewFeed()
	d := open(t, sample(), Options{Feed: f})
	for range mostOfOne {
		d.listen(prefix + "events")
	}
	if got := d.ask("GET", prefix+"events"); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := d.ask("GET", prefix+"jobs"); got.status != 200 {
		t.Errorf("the rest of the API: %d", got.status)
	}
}

func TestEvents_AreClosedToStrangers(t *testing.T) {
	d := open(t, sample(), Options{Token: []byte("t0ken")})
	for _, path := range []string{"events", "jobs/" + id(11) + "/stream", "rejects", "audit"} {
		if got := d.ask("GET", prefix+path); got.status != 401 {
			t.Errorf("%s: %d", path, got.status)
		}
		if got := d.ask("GET", prefix+path, "Host: evil.example", "Authorization: Bearer t0ken"); got.status != 421 {
			t.Errorf("%s by a foreign name: %d", path, got.status)
		}
	}
}

func TestJobStream_TellsOutputAndStatesToTheEnd(t *testing.T) {
	b, f := sample(), NewFeed()
	d := open(t, b, Options{Feed: f})
	r := d.listen(prefix + "jobs/" + id(12) + "/stream")
	first := r.next()
	if first.kind != "output" || first.data != `{"attempt":1,"offset":0,"left_out":0,"text":"so far\n"}` {
		t.Errorf("%+v", first)
	}
	if e := r.next(); e.kind != "state" || !strings.Contains(e.data, `"state":"running"`) {
		t.Errorf("%+v", e)
	}
	b.change(func() { b.live[id(12)] = []byte("so far\nand é"[:len("so far\nand é")-1]) })
	if e := r.next(); e.data != `{"attempt":1,"offset":7,"left_out":0,"text":"and "}` {
		t.Errorf("half a character is told: %+v", e)
	}
	b.change(func() {
		delete(b.live, id(12))
		b.jobs[0].State, b.jobs[0].FinishedAt = job.Succeeded, noon
		b.attempts[id(12)][0] = job.Attempt{N: 1, StartedAt: noon, FinishedAt: noon, Output: []byte("so far\nand é\xff")}
	})
	f.PublishJob(id(12), func(context.Context) (Job, error) { return Job{}, nil })
	if e := r.next(); e.data != `{"attempt":1,"offset":11,"left_out":0,"text":"é�"}` {
		t.Errorf("%+v", e)
	}
	if e := r.next(); e.kind != "state" || !strings.Contains(e.data, `"state":"succeeded"`) {
		t.Errorf("%+v", e)
	}
	if e := r.next(); e.kind != "end" {
		t.Errorf("%+v", e)
	}
	if rest, err := io.ReadAll(r.Reader); err != nil || len(rest) != 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

func TestJobStream_OfAnEndedJobTellsAllAttempts(t *testing.T) {
	d := open(t, sample(), Options{})
	r := d.listen(prefix + "jobs/" + id(11) + "/stream")
	var got []string
	for range 4 {
		e := r.next()
		got = append(got, e.kind)
	}
	if diff := cmp.Diff([]string{"output", "output", "state", "end"}, got); diff != "" {
		t.Error(diff)
	}
	if got := d.ask("GET", prefix+"jobs/"+id(99)+"/stream"); got.status != 404 {
		t.Errorf("no such job: %d", got.status)
	}
	if got := d.ask("GET", prefix+"jobs/nonsense/stream"); got.status != 404 {
		t.Errorf("no id: %d", got.status)
	}
}

func TestJobFollower_TellsWhatWasLeftOut(t *testing.T) {
	kept := "head\n[… 100 bytes left out …]\ntail"
	s := &stream{}
	f := &jobFollower{stream: s}
	if err := f.output(1, []byte(kept), false); err != nil {
		t.Fatal(err)
	}
	if err := f.output(1, []byte(kept), true); err != nil {
		t.Fatal(err)
	}
	want := "event: output\ndata: " + `{"attempt":1,"offset":0,"left_out":0,"text":"head"}` + "\n\n" +
		"event: output\ndata: " + `{"attempt":1,"offset":104,"left_out":100,"text":"tail"}` + "\n\n"
	if diff := cmp.Diff(want, s.buf.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStream_AReaderThatTakesNothingIsCutOff(t *testing.T) {
	var deadlines atomic.Int32
	s := &stream{w: nil, ctl: http.NewResponseController(&stuck{&deadlines})}
	s.w = &stuck{&deadlines}
	s.send("", "job", []byte("1"))
	if err := s.flush(); err == nil || deadlines.Load() != 1 {
		t.Errorf("%v after %d deadlines", err, deadlines.Load())
	}
}

// stuck is a connection that lets nothing through.
type stuck struct{ deadlines *atomic.Int32 }

func (s *stuck) Header() http.Header { return http.Header{} }
func (s *stuck) WriteHeader(int)     {}
func (s *stuck) Write([]byte) (int, error) {
	return 0, errors.New("i/o timeout")
}

func (s *stuck) SetWriteDeadline(at time.Time) error {
	if until := time.Until(at); until <= 0 || until > writeWait {
		return fmt.Errorf("a deadline in %s", until)
	}
	s.deadlines.Add(1)
	return nil
}

func TestRejectsAndAudit_AreListedWithTheirPages(t *testing.T) {
	b := sample()
	b.rejects = []job.Reject{{ID: id(31), At: noon, IP: "192.0.2.9", Status: 404, Error: "not_found", Size: -1, Count: 2, LastAt: noon}}
	d := open(t, b, Options{})
	got := d.ask("GET", prefix+"rejects?hook=site&limit=1")
	want := `[{"id":"` + id(31) + `","at":"2026-01-02T12:00:00.123Z","ip":"192.0.2.9","hook":"","status":404,"error":"not_found",` +
		`"reason":"not_found","size":-1,"count":2,"last_at":"2026-01-02T12:00:00.123Z"}]` + "\n"
	if diff := cmp.Diff(want, got.body); diff != "" || b.filter.Hook != "site" || !strings.Contains(got.header.Get("Link"), "cursor="+id(31)) {
		t.Errorf("%s, Link %q", diff, got.header.Get("Link"))
	}
	for range 3 {
		d.ask("POST", prefix+"jobs/"+id(11)+"/retry")
	}
	page := d.ask("GET", prefix+"audit?limit=2")
	if !strings.Contains(page.body, `"n":3`) || !strings.Contains(page.body, `"n":2`) || !strings.Contains(page.header.Get("Link"), "cursor=2") {
		t.Errorf("%s, Link %q", page.body, page.header.Get("Link"))
	}
	if page := d.ask("GET", prefix+"audit?cursor=2"); !strings.Contains(page.body, `"n":1`) || strings.Contains(page.body, `"n":2,`) {
		t.Error(page.body)
	}
	for _, query := range []string{"audit?cursor=0", "audit?cursor=x", "audit?hook=site", "rejects?cursor=5", "rejects?limit=501"} {
		if got := d.ask("GET", prefix+query); got.status != 400 {
			t.Errorf("%s: %d", query, got.status)
		}
	}
}
