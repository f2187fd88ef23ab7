package cli

import (
	"testing"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

func TestStatus_SaysHowManyWorkersAreBusy(t *testing.T) {
	for name, c := range map[string]struct {
		status admin.Status
		want   string
	}{
		"a daemon without any":               {admin.Status{}, ""},
		"none busy":                          {admin.Status{Workers: 4}, "  ░░░░░░░░░░ 0 of 4 workers"},
		"one of one":                         {admin.Status{Workers: 1, Jobs: map[job.State]int{job.Running: 1}}, "  ██████████ 1 of 1 worker"},
		"ends that are being written down":   {admin.Status{Workers: 8, Jobs: map[job.State]int{job.Running: 10}}, "  ██████████ 8 of 8 workers"},
		"a fleet, where others run jobs too": {admin.Status{Workers: 8, Fleet: true, Jobs: map[job.State]int{job.Running: 20}}, "  8 workers on this node"},
	} {
		if got := workers(&c.status); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
