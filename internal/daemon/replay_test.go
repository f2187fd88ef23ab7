package daemon_test

import (
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
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
