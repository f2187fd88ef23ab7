package sqlite

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/storetest"
)

func TestMain(m *testing.M) {
	runAsChild()
	goleak.VerifyTestMain(m)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		path := filepath.Join(t.TempDir(), "t.db")
		s := open(t, path, Options{})
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, path, Options{})
			return s
		}
	})
}

// patience bounds what a test waits for.
const patience = 30 * time.Second

var epoch = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// open opens a store that is closed when the test ends.
func open(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func newDelivery(key string) *job.Delivery {
	return &job.Delivery{
		ID: job.NewID(), Hook: "deploy", Key: key, Window: time.Hour, OnDuplicate: job.Skip, ReceivedAt: epoch,
		Outcome: job.Accepted, Origin: "request", Method: "POST", Path: "/deploy", Body: []byte("{}"), Size: 2,
	}
}

func newJob(d *job.Delivery) []job.Job {
	return []job.Job{{ID: job.NewID(), Delivery: d.ID, Hook: d.Hook, Rule: "build", State: job.Queued, RunAt: epoch, CreatedAt: epoch}}
}

func put(s *Store, d *job.Delivery) error {
	_, err := s.Accept(context.Background(), d, newJob(d))
	return err
}

func mustPut(t testing.TB, s *Store, key string) *job.Delivery {
	t.Helper()
	d := newDelivery(key)
	if err := put(s, d); err != nil {
		t.Fatal(err)
	}
	return d
}

func stored(t testing.TB, s *Store, id string) bool {
	t.Helper()
	_, err := s.Delivery(context.Background(), id)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func wantUnavailable(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrUnavailable) {
		t.Fatalf("got %v, want %v", err, store.ErrUnavailable)
	}
}

// eventually polls until ok, or fails.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// logged is a log that a test reads.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
