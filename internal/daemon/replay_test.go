package daemon_test

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestReplay_LetsTheRulesInForceDecideAnew(t *testing.T) {
	s := newStory(t)
	s.fail("payment-1")
	first := s.post("payment", `{"payment":"pi_1","version":"1"}`)
	s.becomes(first, job.Failed, "")
	delivery := s.job(first).Delivery

	if jobs, err := s.client.Replay(t.Context(), delivery, admin.ReplayMissing); err != nil || len(jobs) != 0 {
		t.Errorf("a rule that had its job is not missing one: %+v, %v", jobs, err)
	}
	jobs, err := s.client.Replay(t.Context(), delivery, admin.ReplayFailed)
	must(t, err)
	if len(jobs) != 1 || jobs[0].ReplayOf != first || jobs[0].Delivery != delivery {
		t.Fatalf("replayed %+v", jobs)
	}
	s.becomes(jobs[0].ID, job.Failed, "")

	s.hold("payment-1")
	jobs, err = s.client.Replay(t.Context(), delivery, admin.ReplayAll)
	must(t, err)
	if again, err := s.client.Replay(t.Context(), delivery, admin.ReplayAll); err != nil || len(again) != 0 {
		t.Errorf("asked twice, it runs twice: %+v, %v", again, err)
	}
	s.release("payment-1")
	s.becomes(jobs[0].ID, job.Failed, "")
	if _, err := s.client.Replay(t.Context(), job.NewID(), admin.ReplayAll); err == nil {
		t.Error("what is not there was replayed")
	}
}

// TestReplay_I11_AStormOfClicksRunsOnce asks for one job anew from everywhere at once, then for
// what is not there, and for what no hook wants any more.
func TestReplay_I11_AStormOfClicksRunsOnce(t *testing.T) {
	s := newStory(t)
	s.fail("payment-1")
	first := s.post("payment", `{"payment":"pi_1","version":"1"}`)
	s.becomes(first, job.Failed, "")
	delivery := s.job(first).Delivery
	s.hold("payment-1")
	var clicks sync.WaitGroup
	var made atomic.Int64
	for range 50 {
		clicks.Go(func() {
			jobs, err := s.client.Replay(t.Context(), delivery, admin.ReplayAll)
			made.Add(int64(len(jobs)))
			if err != nil {
				t.Error(err)
			}
		})
	}
	clicks.Wait()
	if made.Load() != 1 {
		t.Errorf("50 clicks made %d jobs", made.Load())
	}
	s.release("payment-1")
	s.eventually("the job to end", func() bool {
		jobs, _, err := s.client.Jobs(t.Context(), store.Filter{Delivery: delivery})
		return err == nil && len(jobs) == 2 && jobs[0].State == job.Failed && jobs[1].State == job.Failed
	})
	if _, err := s.client.Replay(t.Context(), job.NewID(), admin.ReplayAll); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a delivery that is gone: %v", err)
	}
	if _, err := s.client.Retry(t.Context(), job.NewID()); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a job that is gone: %v", err)
	}
	before, path := s.status().Config.Digest, filepath.Join(s.dir, "hooks.yaml")
	write(t, path, strings.ReplaceAll(read(t, path), "name: payment", "name: purchase"))
	s.eventually("the hook to be gone", func() bool { return s.status().Config.Digest != before })
	if jobs, err := s.client.Replay(t.Context(), delivery, admin.ReplayAll); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "no longer configured") {
		t.Errorf("a hook that is gone: %+v, %v", jobs, err)
	}
}
