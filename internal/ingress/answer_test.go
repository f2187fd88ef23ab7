package ingress

import (
	"encoding/json"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestReceipt_IsWhatTheJSONPackageWrites(t *testing.T) {
	type receipt struct {
		Status   job.Outcome `json:"status"`
		Delivery string      `json:"delivery"`
		Jobs     *[]string   `json:"jobs,omitempty"`
	}
	for _, outcome := range []job.Outcome{job.Accepted, job.Ignored, job.Duplicate} {
		for n := range 3 {
			made, want := store.Receipt{Delivery: job.NewID()}, receipt{Status: outcome}
			want.Delivery = made.Delivery
			jobs := []string{}
			for range n {
				made.Jobs = append(made.Jobs, job.Job{ID: job.NewID()})
				jobs = append(jobs, made.Jobs[len(jobs)].ID)
			}
			if outcome != job.Duplicate {
				want.Jobs = &jobs
			}
			text, err := json.Marshal(want)
			if got := receiptJSON(outcome, made); err != nil || string(got) != string(text) {
				t.Errorf("%s instead of %s, %v", got, text, err)
			}
		}
	}
}
