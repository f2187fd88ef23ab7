package daemon

import (
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestTraffic_TellsHowFastTheLatestWereAnswered(t *testing.T) {
	in := newTraffic()
	if s := in.status(); s.Ack != nil || !s.LastAt.IsZero() {
		t.Errorf("%+v before there is anything", s)
	}
	for range recentAcks { // forgotten by those that follow
		in.delivered(job.Ignored, time.Hour)
	}
	for i := range recentAcks {
		in.delivered(job.Accepted, time.Duration(i+1)*time.Millisecond)
	}
	in.refuse("verification_failed")
	s := in.status()
	if s.Outcomes[job.Accepted] != recentAcks || s.Outcomes[job.Ignored] != recentAcks || s.Refused["verification_failed"] != 1 || s.LastAt.IsZero() {
		t.Errorf("%+v", s)
	}
	if a := s.Ack; a.Of != recentAcks || a.Median != 513 || a.P95 != 973 || a.P99 != 1014 || a.Longest != 1024 {
		t.Errorf("%+v", a)
	}
}
