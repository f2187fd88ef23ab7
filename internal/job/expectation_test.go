package job

import (
	"testing"
	"time"
)

func TestExpectation_GapsAreNotTheSendersSilence(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(hours int) time.Time { return noon.Add(time.Duration(hours) * time.Hour) }
	gaps := []Gap{{at(-3), at(-2)}, {at(5), at(7)}}
	for name, tt := range map[string]struct {
		e    Expectation
		now  int
		want int
	}{
		"before the first delivery":          {Expectation{Since: at(0)}, 4, 10},
		"after one":                          {Expectation{Since: at(0), Last: at(2)}, 4, 12},
		"a gap since then":                   {Expectation{Since: at(0), Last: at(2)}, 8, 14},
		"a gap before it":                    {Expectation{Since: at(-4), Last: at(8)}, 9, 18},
		"a delivery from before it was seen": {Expectation{Since: at(8), Last: at(1)}, 9, 18},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tt.e.Due(10*time.Hour, gaps, at(tt.now)); !got.Equal(at(tt.want)) {
				t.Errorf("due %s, want %s", got, at(tt.want))
			}
		})
	}
}
