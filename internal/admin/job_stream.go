package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"
	"unicode/utf8"
)

// lookEvery is how often a running job's output is looked at for a stream.
const lookEvery = 200 * time.Millisecond

// askEvery is after how many looks the store is asked without a reason: of what happens on another
// node not everything is told.
const askEvery = 10

// OutputChunk is a piece of what an attempt wrote, in the order it wrote it.
type OutputChunk struct {
	Attempt int    `json:"attempt"`
	Offset  int64  `json:"offset"`   // of Text in all that the attempt wrote, in bytes
	LeftOut int64  `json:"left_out"` // bytes before Text that were not kept
	Text    string `json:"text"`     // bytes that are not UTF-8 are U+FFFD
}

// jobStream streams one job: its state after each change ("state", a Job) and what it writes
// ("output", an OutputChunk), from the beginning of what is kept. When the job has ended the
// stream says so ("end", a Job) and ends.
func (a *api) jobStream(s *stream, r *http.Request, _ url.Values) error {
	id := r.PathValue("id")
	if !isID(id) {
		return refuseStream(http.StatusNotFound, "not found")
	}
	reader, _ := a.feed.read("")
	defer reader.close()
	f := &jobFollower{api: a, stream: s, id: id}
	if _, err := a.backend.Job(r.Context(), id); err != nil {
		return &refusedStream{func(w http.ResponseWriter, r *http.Request) { a.fail(w, r, err) }}
	}
	if err := s.begin(); err != nil {
		return err
	}
	changed, looks := true, 0
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		if ended, err := f.look(r.Context(), changed); err != nil || ended {
			return err
		}
		if err := s.flush(); err != nil {
			return err
		}
		changed = false
		select {
		case <-reader.wake:
			changed = concerns(reader, id)
		case <-look.C:
			looks++
			changed = looks%askEvery == 0
		case <-s.beat.C:
			if err := s.comment(); err != nil {
				return err
			}
		case <-r.Context().Done():
			return r.Context().Err()
		case <-a.feed.closed:
			return nil
		}
	}
}

// concerns reads what happened and reports whether some of it was this job's, or may have been.
func concerns(r *reader, id string) bool {
	found := false
	for {
		events, lost := r.take()
		found = found || lost > 0
		for _, e := range events {
			found = found || e.job == id
		}
		if len(events) == 0 {
			return found
		}
	}
}

// jobFollower is how far a job has been streamed.
type jobFollower struct {
	*api
	stream *stream
	id     string

	last    string // the job as it was told last
	attempt int
	offset  int64
	ran     bool // at the last look
}

// look tells what is new. The store is asked only when the job may have changed, and its output
// only while it runs.
func (f *jobFollower) look(ctx context.Context, changed bool) (ended bool, err error) {
	if !changed {
		live, running := f.backend.Output(f.id)
		if running && f.attempt > 0 {
			f.ran = true
			return false, f.output(f.attempt, live, false)
		}
		if !f.ran {
			return false, nil
		}
		f.ran = false // it is over now, perhaps on another node, of whose events not all come
	}
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	defer cancel()
	j, attempts, err := f.jobWithOutput(ctx, f.id)
	if err != nil {
		return false, err
	}
	for i := range attempts {
		if n := attempts[i].N; n >= f.attempt {
			if n > f.attempt {
				f.attempt, f.offset = n, 0
			}
			if err := f.output(n, attempts[i].Output, !attempts[i].FinishedAt.IsZero()); err != nil {
				return false, err
			}
		}
	}
	wire := NewJob(&j)
	body, err := encode(wire)
	if err != nil {
		return false, fmt.Errorf("encode job: %w", err)
	}
	if f.last != string(body) {
		f.last = string(body)
		f.stream.send("", "state", body)
	}
	if j.State.Terminal() {
		f.stream.send("", "end", body)
		return true, f.stream.flush()
	}
	return false, nil
}

// output tells what kept has behind the offset. Of output that goes on, a character that is not
// there in full waits for its end.
func (f *jobFollower) output(n int, kept []byte, whole bool) error {
	head, left, tail := Parts(kept)
	if f.offset < int64(len(head)) {
		if err := f.chunk(n, 0, head[f.offset:], whole || left > 0); err != nil {
			return err
		}
	}
	begin := int64(len(head)) + left
	if tail == nil || f.offset >= begin+int64(len(tail)) {
		return nil
	}
	skipped := max(0, begin-f.offset)
	f.offset += skipped
	return f.chunk(n, skipped, tail[f.offset-begin:], whole)
}

func (f *jobFollower) chunk(n int, left int64, b []byte, whole bool) error {
	if !whole {
		b = b[:len(b)-unfinished(b)]
	}
	if len(b) == 0 && left == 0 {
		return nil
	}
	c := OutputChunk{Attempt: n, Offset: f.offset, LeftOut: left, Text: text(b)}
	f.offset += int64(len(b))
	return f.stream.sendValue("", "output", c)
}

// unfinished is how many bytes at the end of b are the beginning of a character.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			if !utf8.FullRune(b[len(b)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// leftOut is the line between the head and the tail of output of which not everything is kept.
var leftOut = regexp.MustCompile(`\n\[… (\d+) bytes left out …\]\n`)

// Parts are the head of kept output, how many bytes were left out behind it, and the tail: head
// and tail are then of the same length, which tells the line from one that the job wrote.
func Parts(kept []byte) (head []byte, left int64, tail []byte) {
	for _, at := range leftOut.FindAllSubmatchIndex(kept, -1) {
		n, err := strconv.ParseInt(string(kept[at[2]:at[3]]), 10, 64)
		if err == nil && at[0] == len(kept)-at[1] {
			return kept[:at[0]], n, kept[at[1]:]
		}
	}
	return kept, 0, nil
}
