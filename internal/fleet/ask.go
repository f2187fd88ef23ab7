package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
)

// Nodes know things that are in no row: what a running job has written so far, a job's log file, why
// a job waits. A node that is asked for it by a person asks the node that knows, over the database,
// so that nodes need not reach each other.

// The kinds of questions.
const (
	askOutput = "output"  // of a running job: its id, and the hash of what is known
	askLog    = "log"     // of an attempt: the job's id, the attempt, and where to begin
	askWait   = "wait"    // of the leader: what keeps a job from starting
	askOldest = "oldest"  // of the leader: the job that has waited longest
	askDaemon = "daemon:" // before a kind of Options.Asked
)

const (
	askWithin  = 2 * time.Second        // how long an answer is waited for
	freshFor   = 250 * time.Millisecond // how long an answer is used again
	absentFor  = 30 * time.Second       // how long a log that no node has is not asked for again
	logChunk   = 512 << 10
	mostAnswer = 4 << 20 // bytes
	mostKnown  = 500     // answers that are remembered
	answerers  = 4
)

// The first byte of an answer.
const (
	answerNone = '0'
	answerHas  = '1'
	answerSame = '2' // as the asker knows it
)

// asker waits for answers.
type asker struct {
	mu      sync.Mutex
	waiting map[int64]chan struct{} // by question, closed when there is an answer
	outputs map[string]*output      // by job
	absent  map[string]time.Time    // logs that no node has, until when that is believed
}

// output is what a job on another node had written a moment ago.
type output struct {
	mu      sync.Mutex // held while it is asked for
	at      time.Time
	body    []byte
	running bool
}

func newAsker() *asker {
	return &asker{waiting: map[int64]chan struct{}{}, outputs: map[string]*output{}, absent: map[string]time.Time{}}
}

// answered is told of questions of anybody that have an answer.
func (a *asker) answered(ids []int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if c := a.waiting[id]; c != nil {
			close(c)
			delete(a.waiting, id)
		}
	}
}

var errNoAnswer = errors.New("the node does not answer")

// ask asks a node. store.ErrNotFound: it does not have it.
func (f *Fleet) ask(ctx context.Context, node int64, kind, subject string) (answer []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	id, err := f.o.Store.PutQuestion(ctx, node, kind, subject)
	if err != nil {
		return nil, err
	}
	told := make(chan struct{})
	f.asker.mu.Lock()
	f.asker.waiting[id] = told
	f.asker.mu.Unlock()
	defer func() {
		f.asker.mu.Lock()
		delete(f.asker.waiting, id)
		f.asker.mu.Unlock()
	}()
	f.teller.tell(postgres.Note{Kind: postgres.NoteQuestions, IDs: []int64{node}})
	look := time.NewTicker(askWithin / 4)
	defer look.Stop()
	for {
		select {
		case <-told:
			told = nil
		case <-look.C:
		case <-ctx.Done():
			_ = f.o.Store.DropQuestion(context.WithoutCancel(ctx), id) // or it goes after a minute
			return nil, fmt.Errorf("ask %s of node %d: %w", kind, node, errNoAnswer)
		}
		answer, ok, err := f.o.Store.Answer(ctx, id)
		switch {
		case err != nil:
			return nil, err
		case ok && (len(answer) == 0 || answer[0] == answerNone):
			return nil, store.ErrNotFound
		case ok:
			return answer, nil
		}
	}
}

// answerAll answers what this node is asked, until ctx ends.
func (f *Fleet) answerAll(ctx context.Context) {
	look := time.NewTicker(f.o.Node.Lease / beats)
	defer look.Stop()
	slots := make(chan struct{}, answerers)
	var all sync.WaitGroup
	defer all.Wait()
	seen := map[int64]bool{}
	for {
		select {
		case <-f.questions:
		case <-look.C:
		case <-ctx.Done():
			return
		}
		asked, err := f.o.Store.Questions(ctx, f.id.Load())
		if err != nil {
			f.o.Log.Debug("read questions", "error", err)
			continue
		}
		now := map[int64]bool{}
		for _, q := range asked {
			now[q.ID] = true
			if seen[q.ID] {
				continue
			}
			slots <- struct{}{}
			all.Go(func() {
				defer func() { <-slots }()
				f.answer(ctx, q)
			})
		}
		seen = now
	}
}

func (f *Fleet) answer(ctx context.Context, q postgres.Question) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	answer := f.know(ctx, q)
	if len(answer) > mostAnswer {
		answer = []byte{answerNone}
	}
	if err := f.o.Store.AnswerQuestion(ctx, q.ID, answer); err != nil {
		f.o.Log.Debug("answer a question", "kind", q.Kind, "error", err)
		return
	}
	f.teller.tell(postgres.Note{Kind: postgres.NoteAnswers, IDs: []int64{q.ID}})
}

// know is what this node knows of what it is asked.
func (f *Fleet) know(ctx context.Context, q postgres.Question) []byte {
	words := strings.Fields(q.Subject)
	switch {
	case q.Kind == askOutput && len(words) > 0:
		out, running := f.pool.Output(words[0])
		switch {
		case !running:
			return []byte{answerNone}
		case len(words) > 1 && words[1] == hash(out):
			return []byte{answerSame}
		}
		return append([]byte{answerHas}, out...)
	case q.Kind == askLog && len(words) == 3:
		attempt, _ := strconv.Atoi(words[1])
		offset, _ := strconv.ParseInt(words[2], 10, 64)
		if chunk, err := f.readLog(words[0], attempt, offset); err == nil {
			return append([]byte{answerHas}, chunk...)
		}
	case q.Kind == askWait && len(words) == 1:
		if l := f.leader.Load(); l != nil {
			if w, ok := l.pool.Wait(words[0]); ok {
				return encodeAnswer(w)
			}
		}
	case q.Kind == askOldest:
		if l := f.leader.Load(); l != nil {
			if j, ok := l.pool.Oldest(); ok {
				return encodeAnswer(j)
			}
		}
	}
	if kind, ok := strings.CutPrefix(q.Kind, askDaemon); ok && f.o.Asked != nil {
		if answer, ok := f.o.Asked(ctx, kind, q.Subject); ok {
			return append([]byte{answerHas}, answer...)
		}
	}
	return []byte{answerNone}
}

// AskLeader asks the daemon of the node that leads, which is another one; see Options.Asked.
func (f *Fleet) AskLeader(ctx context.Context, kind, subject string) (answer string, err error) {
	for _, n := range f.Nodes() {
		if n.Leads && n.ID != f.id.Load() {
			b, err := f.ask(ctx, n.ID, askDaemon+kind, subject)
			if err != nil {
				return "", err
			}
			return string(b[1:]), nil
		}
	}
	return "", errNoAnswer
}

func encodeAnswer(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte{answerNone}
	}
	return append([]byte{answerHas}, b...)
}

func hash(b []byte) string {
	h := fnv.New64a()
	_, _ = h.Write(b)
	return strconv.FormatUint(h.Sum64(), 36)
}

// Output is what the running attempt of a job has written so far, on whichever node it runs.
func (f *Fleet) Output(id string) ([]byte, bool) {
	if out, ok := f.pool.Output(id); ok {
		return out, true
	}
	f.asker.mu.Lock()
	known := f.asker.outputs[id]
	if known == nil {
		if len(f.asker.outputs) >= mostKnown {
			clear(f.asker.outputs) // who looks asks again
		}
		known = &output{}
		f.asker.outputs[id] = known
	}
	f.asker.mu.Unlock()
	known.mu.Lock()
	defer known.mu.Unlock()
	if time.Since(known.at) < freshFor {
		return known.body, known.running
	}
	f.askOutput(id, known)
	known.at = time.Now()
	return known.body, known.running
}

func (f *Fleet) askOutput(id string, known *output) {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	node, err := f.o.Store.TicketNode(ctx, id)
	if err != nil || node == 0 || node == f.id.Load() {
		known.body, known.running = nil, false
		return
	}
	answer, err := f.ask(ctx, node, askOutput, id+" "+hash(known.body))
	switch {
	case errors.Is(err, errNoAnswer):
		// It is shown as it was: the node may be busy, or gone.
	case err != nil:
		known.body, known.running = nil, false
	case answer[0] == answerSame:
		known.running = true
	default:
		known.body, known.running = answer[1:], true
	}
}

// readLog reads a piece of a log file of this node.
func (f *Fleet) readLog(id string, attempt int, offset int64) ([]byte, error) {
	file, err := f.o.OpenLog(id, attempt)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	if offset < 0 {
		return nil, store.ErrNotFound
	}
	if _, err := file.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, logChunk))
}

// OpenLog opens the whole output of an attempt on whichever node has it.
func (f *Fleet) OpenLog(id string, attempt int) (io.ReadCloser, error) {
	if file, err := f.o.OpenLog(id, attempt); err == nil {
		return file, nil
	}
	gone := fmt.Errorf("log of attempt %d of job %s: %w", attempt, id, store.ErrNotFound)
	name := id + " " + strconv.Itoa(attempt)
	f.asker.mu.Lock()
	absent := time.Now().Before(f.asker.absent[name])
	f.asker.mu.Unlock()
	if absent {
		return nil, gone
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*askWithin)
	defer cancel()
	for _, n := range f.Nodes() {
		if n.ID == f.id.Load() || n.State != "up" && n.State != "draining" {
			continue
		}
		first, err := f.ask(ctx, n.ID, askLog, name+" 0")
		if err == nil {
			return &remoteLog{f: f, node: n.ID, name: name, read: int64(len(first) - 1), chunk: bytes.NewReader(first[1:]), more: len(first)-1 == logChunk}, nil
		}
		if !errors.Is(err, store.ErrNotFound) {
			gone = fmt.Errorf("%w: the log of attempt %d of job %s may be on node %s: %w", store.ErrUnavailable, attempt, id, n.Name, err)
		}
	}
	if !errors.Is(gone, store.ErrNotFound) {
		return nil, gone
	}
	if j, err := f.o.Store.Job(ctx, id); err == nil && j.State.Terminal() {
		f.asker.mu.Lock()
		if len(f.asker.absent) >= mostKnown {
			clear(f.asker.absent)
		}
		f.asker.absent[name] = time.Now().Add(absentFor)
		f.asker.mu.Unlock()
	}
	return nil, gone
}

// remoteLog reads a log of another node piece by piece.
type remoteLog struct {
	f     *Fleet
	node  int64
	name  string
	read  int64
	chunk *bytes.Reader
	more  bool
}

// Read implements io.Reader.
func (r *remoteLog) Read(p []byte) (int, error) {
	if n, err := r.chunk.Read(p); n > 0 || !r.more {
		return n, err
	}
	next, err := r.f.ask(context.Background(), r.node, askLog, r.name+" "+strconv.FormatInt(r.read, 10))
	if err != nil {
		return 0, fmt.Errorf("read log of another node: %w", err)
	}
	r.read += int64(len(next) - 1)
	r.chunk, r.more = bytes.NewReader(next[1:]), len(next)-1 == logChunk
	return r.chunk.Read(p)
}

// Close implements io.Closer.
func (r *remoteLog) Close() error { return nil }

// askLeader asks the node that leads, and reads its answer into v.
func (f *Fleet) askLeader(kind, subject string, v any) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askWithin)
	defer cancel()
	for _, n := range f.Nodes() {
		if n.Leads && n.ID != f.id.Load() {
			answer, err := f.ask(ctx, n.ID, kind, subject)
			return err == nil && json.Unmarshal(answer[1:], v) == nil
		}
	}
	return false
}

// Wait says what keeps a job from starting, as the node that leads knows it.
func (f *Fleet) Wait(id string) (w job.Wait, ok bool) {
	if l := f.leader.Load(); l != nil {
		return l.pool.Wait(id)
	}
	return w, f.askLeader(askWait, id, &w)
}

// Oldest is the job that has waited longest although its time has come, as the node that leads
// knows it.
func (f *Fleet) Oldest() (j job.Job, ok bool) {
	if l := f.leader.Load(); l != nil {
		return l.pool.Oldest()
	}
	return j, f.askLeader(askOldest, "", &j)
}
