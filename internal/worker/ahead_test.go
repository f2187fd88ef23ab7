package worker

import "testing"

func TestCompany_IsOfTheWorkersThatTheProcessorsCanSpare(t *testing.T) {
	for _, of := range []struct{ workers, processors, want int }{
		{1, 1, 0},
		{4, 4, 0}, // all of them are needed
		{7, 4, 0},
		{4, 2, 4},
		{2, 1, 2},
		{16, 2, 8}, // no more than that are waited for
	} {
		if got := company(of.workers, of.processors); got != of.want {
			t.Errorf("%d workers on %d processors: %d, want %d", of.workers, of.processors, got, of.want)
		}
	}
}
