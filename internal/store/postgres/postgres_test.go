package postgres

import (
	"context"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
	"github.com/tenterhook/tenterhook/internal/store/storetest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			_, _ = os.Stderr.WriteString(err.Error() + "\n")
			code = 1
		}
	}
	os.Exit(code)
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) (store.Store, func() store.Store) {
		url := postgrestest.Schema(t)
		s := open(t, url, Options{})
		return s, func() store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, url, Options{})
			return s
		}
	})
}

// patience bounds what a test waits for.
const patience = 30 * time.Second

var epoch = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// open opens a store that is closed when the test ends.
func open(t testing.TB, url string, o Options) *Store {
	t.Helper()
	s, err := Open(context.Background(), url, o)
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
