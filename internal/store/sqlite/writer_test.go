package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

// held is a store whose writer stands still after a first commit, so that what a test writes
// meanwhile waits together.
type held struct {
	*Store
	mu      sync.Mutex
	commits [][]string // the deliveries told after each commit
	release chan struct{}
}

func hold(t *testing.T, o Options) *held {
	t.Helper()
	h := &held{release: make(chan struct{})}
	at := make(chan struct{})
	first := true
	o.Committed = func(jobs []job.Job) {
		var ids []string
		for _, j := range jobs {
			ids = append(ids, j.Delivery)
		}
		h.mu.Lock()
		h.commits = append(h.commits, ids)
		h.mu.Unlock()
		if first {
			first = false
			close(at)
			<-h.release
		}
	}
	h.Store = open(t, filepath.Join(t.TempDir(), "t.db"), o)
	go func() { _ = put(h.Store, newDelivery("")) }()
	<-at
	return h
}

// send writes in the background, one after the other in the writer's queue.
func (h *held) send(t *testing.T, ds ...*job.Delivery) (wait func() []error) {
	t.Helper()
	errs := make([]error, len(ds))
	var group sync.WaitGroup
	for i, d := range ds {
		before := len(h.writer.high)
		group.Go(func() { errs[i] = put(h.Store, d) })
		eventually(t, "the write waits", func() bool { return len(h.writer.high) > before })
	}
	return func() []error { group.Wait(); return errs }
}

func TestWritesThatWaitTogetherAreCommittedTogetherInOrder(t *testing.T) {
	h := hold(t, Options{})
	var ds []*job.Delivery
	var want []string
	for range 5 {
		ds = append(ds, newDelivery(""))
		want = append(want, ds[len(ds)-1].ID)
	}
	wait := h.send(t, ds...)
	close(h.release)
	for _, err := range wait() {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(h.commits) != 2 || fmt.Sprint(h.commits[1]) != fmt.Sprint(want) {
		t.Errorf("commits told of %v, want the first and then %v", h.commits, want)
	}
}

func TestCommittedIsToldBeforeTheCallerIsAnswered(t *testing.T) {
	var told sync.Map
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{Committed: func(jobs []job.Job) {
		for _, j := range jobs {
			told.Store(j.ID+string(j.State)+j.Reason, true)
		}
	}})
	d := newDelivery("k")
	jobs := newJob(d)
	if _, err := s.Accept(context.Background(), d, jobs); err != nil {
		t.Fatal(err)
	}
	if _, ok := told.Load(jobs[0].ID + "queued"); !ok {
		t.Error("a new job was not told")
	}
	ctx := context.Background()
	end := func(n int) {
		t.Helper()
		err := errors.Join(s.Start(ctx, store.StartMark{Job: jobs[0].ID, Attempt: n, At: epoch}),
			s.Finish(ctx, store.Ended{Job: jobs[0].ID, Attempt: n, At: epoch, Next: job.Failed}))
		if err != nil {
			t.Fatal(err)
		}
	}
	end(1)
	if _, err := s.Requeue(ctx, jobs[0].ID, "by hand", epoch); err != nil {
		t.Fatal(err)
	}
	if _, ok := told.Load(jobs[0].ID + "queuedby hand"); !ok {
		t.Error("a requeued job was not told")
	}
	end(2)
	again := newDelivery("k")
	again.OnDuplicate = job.RerunFailed
	if err := put(s, again); err != nil {
		t.Fatal(err)
	}
	if _, ok := told.Load(jobs[0].ID + "queuedredelivered"); !ok {
		t.Error("a job queued again by a redelivery was not told")
	}
}

func TestCopiesInOneBatchStoreOneDelivery(t *testing.T) {
	h := hold(t, Options{})
	first := newDelivery("k")
	wait := h.send(t, first, newDelivery("k"), newDelivery("k"))
	close(h.release)
	for _, err := range wait() {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(h.commits) != 2 || fmt.Sprint(h.commits[1]) != fmt.Sprint([]string{first.ID}) {
		t.Errorf("commits told of %v", h.commits)
	}
}

func TestAPoisonRowFailsAlone(t *testing.T) {
	h := hold(t, Options{})
	good, bad, after := newDelivery("a"), newDelivery("b"), newDelivery("c")
	bad.ID = good.ID
	wait := h.send(t, good, bad, after)
	close(h.release)
	errs := wait()
	if errs[0] != nil || errs[2] != nil {
		t.Errorf("beside a bad row: %v, %v", errs[0], errs[2])
	}
	if errs[1] == nil || errors.Is(errs[1], store.ErrUnavailable) || !strings.Contains(errs[1].Error(), "UNIQUE") {
		t.Errorf("the bad row: %v", errs[1])
	}
	if !stored(t, h.Store, after.ID) {
		t.Error("what came after the bad row is not stored")
	}
	if err := h.Ready(context.Background()); err != nil {
		t.Errorf("after a bad row: %v", err)
	}
	// The numbers go on as if the batch had never been tried.
	ds, err := h.Jobs(context.Background(), store.Filter{})
	if err != nil || ds[0].Seq != 3 {
		t.Errorf("last job is %+v, %v; want Seq 3", ds, err)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	h := hold(t, Options{QueueLen: 3})
	wait := h.send(t, newDelivery(""), newDelivery(""), newDelivery(""))
	err := put(h.Store, newDelivery(""))
	wantUnavailable(t, err)
	close(h.release)
	for _, err := range wait() {
		if err != nil {
			t.Errorf("a write that had room: %v", err)
		}
	}
}

func TestAWaitEndsAtTheDeadlineAndTheWriteDoesNotHappenLater(t *testing.T) {
	h := hold(t, Options{CommitDeadline: 50 * time.Millisecond})
	late := newDelivery("k")
	began := time.Now()
	wantUnavailable(t, put(h.Store, late))
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the wait took %v", took)
	}
	eventually(t, "Ready says that a commit hangs", func() bool { return h.Ready(context.Background()) != nil })
	if err := put(h.Store, newDelivery("")); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("while a commit hangs: %v", err)
	}
	close(h.release)
	eventually(t, "the writer goes on", func() bool { return put(h.Store, newDelivery("")) == nil })
	if stored(t, h.Store, late.ID) {
		t.Error("a write was done for a caller who had gone")
	}
}

func TestAWaitEndsWithItsContextAndTheWriteDoesNotHappenLater(t *testing.T) {
	h := hold(t, Options{})
	ctx, cancel := context.WithCancel(context.Background())
	d, done := newDelivery(""), make(chan error)
	go func() {
		_, err := h.Accept(ctx, d, newJob(d))
		done <- err
	}()
	eventually(t, "the write waits", func() bool { return len(h.writer.high) == 1 })
	cancel()
	err := <-done
	wantUnavailable(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	close(h.release)
	eventually(t, "the writer goes on", func() bool { return put(h.Store, newDelivery("")) == nil })
	if stored(t, h.Store, d.ID) {
		t.Error("a write was done for a caller who had gone")
	}
}

func TestCloseCommitsWhatWaits(t *testing.T) {
	h := hold(t, Options{})
	d := newDelivery("")
	wait := h.send(t, d)
	closed := make(chan error)
	go func() { closed <- h.Close() }()
	eventually(t, "closing begins", func() bool { return h.Ready(context.Background()) != nil })
	wantUnavailable(t, put(h.Store, newDelivery("")))
	close(h.release)
	if err := errors.Join(append(wait(), <-closed)...); err != nil {
		t.Fatal(err)
	}
	if s := open(t, h.writer.path, Options{}); !stored(t, s, d.ID) {
		t.Error("an answered write is not there")
	}
}

func TestWhatIsQueuedAgainWhilePruningLooksIsKept(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "t.db"), Options{}), context.Background()
	d := newDelivery("")
	jobs := newJob(d)
	if _, err := s.Accept(ctx, d, jobs); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(ctx, store.Settle{Job: jobs[0].ID, At: epoch, Next: job.Cancelled}); err != nil {
		t.Fatal(err)
	}
	old, err := s.prunable(ctx, store.Retention{For: time.Minute}, epoch.Add(time.Hour))
	if err != nil || len(old) != 1 {
		t.Fatalf("prunable: %v, %v", old, err)
	}
	if _, err := s.Requeue(ctx, jobs[0].ID, "by hand", epoch); err != nil {
		t.Fatal(err)
	}
	if err := s.writer.doLow(ctx, &prune{deliveries: old}); err != nil {
		t.Fatal(err)
	}
	if !stored(t, s, d.ID) {
		t.Error("a delivery with a live job was pruned")
	}
}

// TestPruningGoesOnUnderLoad keeps the queue from ever being empty.
func TestPruningGoesOnUnderLoad(t *testing.T) {
	s, ctx := open(t, filepath.Join(t.TempDir(), "t.db"), Options{}), context.Background()
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := put(s, newDelivery("")); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	old := newDelivery("")
	old.ReceivedAt = epoch.Add(-time.Hour)
	_, err := s.Accept(ctx, old, nil)
	if err == nil {
		_, err = s.Prune(ctx, store.Retention{For: time.Minute}, epoch)
	}
	close(stop)
	group.Wait()
	if err != nil || stored(t, s, old.ID) {
		t.Errorf("pruning under load: %v; the delivery is still there: %t", err, stored(t, s, old.ID))
	}
}

func TestTheLogIsWrittenBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	body := noise(256 << 10)
	for range 200 { // 50 MiB
		d := newDelivery("")
		d.Body = body
		if err := put(s, d); err != nil {
			t.Fatal(err)
		}
	}
	size, err := logSize(path)
	if err != nil || size == 0 || size > 20<<20 {
		t.Errorf("the log has %d bytes (%v), want some, and at most 20 MiB", size, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if size, err := logSize(path); err != nil || size != 0 {
		t.Errorf("after Close the log has %d bytes (%v)", size, err)
	}
}

func TestALogThatCannotShrinkIsReported(t *testing.T) {
	var log logged
	s := open(t, filepath.Join(t.TempDir(), "t.db"), Options{Log: log.logger()})
	put := func(times int) {
		t.Helper()
		body := noise(1 << 20)
		for range times {
			d := newDelivery("")
			d.Body = body
			if err := put(s, d); err != nil {
				t.Fatal(err)
			}
		}
	}
	reading, err := s.db.BeginTx(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reading.Exec("SELECT count(*) FROM delivery"); err != nil {
		t.Fatal(err)
	}
	put(80)
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(log.String(), "cannot shrink"); n != 1 {
		t.Errorf("reported %d times:\n%s", n, log.String())
	}
}
