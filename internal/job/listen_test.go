package job

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestGaps_AreTheTimesThatNoSpanCovers(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minute float64) time.Time { return noon.Add(time.Duration(minute * float64(time.Minute))) }
	span := func(from, to float64) Listened { return Listened{Since: at(from), Until: at(to)} }
	for name, tt := range map[string]struct {
		spans []Listened
		want  []Gap
	}{
		"none":                         {nil, nil},
		"one":                          {[]Listened{span(0, 5)}, nil},
		"between two, in any order":    {[]Listened{span(10, 20), span(0, 5)}, []Gap{{at(5), at(10)}}},
		"a blink is none":              {[]Listened{span(0, 5), span(5.01, 6)}, nil},
		"one that overlaps":            {[]Listened{span(0, 5), span(4, 6)}, nil},
		"one inside a longer one":      {[]Listened{span(0, 9), span(1, 2), span(10, 11)}, []Gap{{at(9), at(10)}}},
		"a span that was written once": {[]Listened{span(0, 5), span(7, 7), span(9, 10)}, []Gap{{at(5), at(7)}, {at(7), at(9)}}},
		"a clock that was put back":    {[]Listened{span(5, 9), span(3, 4)}, []Gap{{at(4), at(5)}}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Gaps(tt.spans)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGapTime_CountsWhatLiesInTheTime(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minute int) time.Time { return noon.Add(time.Duration(minute) * time.Minute) }
	gaps := []Gap{{at(0), at(10)}, {at(20), at(25)}, {at(40), at(60)}}
	if got := GapTime(gaps, at(5), at(50)); got != 20*time.Minute {
		t.Errorf("%s, want 5 + 5 + 10 minutes", got)
	}
	if got := GapTime(gaps, at(61), at(70)); got != 0 {
		t.Errorf("%s after all of them", got)
	}
}
