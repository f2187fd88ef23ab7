package job

import (
	"fmt"
	"testing"
	"time"
)

func TestFlow_ForgetsALaneInWhichNothingIs(t *testing.T) {
	f, now := NewFlow(), time.Now()
	for i := range 1000 {
		id := fmt.Sprint(i)
		f.Add(Waiting{Job: Job{ID: id, Seq: int64(i)}, Lane: Lane{Key: id, Limit: 1}}, now)
		if i%2 == 0 {
			f.Withdraw(id)
		} else {
			f.Next(now)
		}
		f.Done(id, nil, now)
	}
	if len(f.lanes) != 0 || len(f.entries) != 0 {
		t.Errorf("%d lanes and %d jobs are remembered, want none", len(f.lanes), len(f.entries))
	}
}
