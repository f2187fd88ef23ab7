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

func TestExpectation_AClockThatWasSetBackIsFollowed(t *testing.T) {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	for name, tt := range map[string]struct {
		e     Expectation
		came  int
		after Expectation
		news  bool
	}{
		"in order":                     {Expectation{Since: at(0), Last: at(5)}, 9, Expectation{Since: at(0), Last: at(9)}, true},
		"another daemon's is newer":    {Expectation{Since: at(0), Last: at(5)}, 4, Expectation{Since: at(0), Last: at(5)}, false},
		"set back":                     {Expectation{Since: at(0), Last: at(50)}, -30, Expectation{Since: at(-30), Last: at(-30)}, true},
		"set back, not before it knew": {Expectation{Since: at(-60), Last: at(50)}, -30, Expectation{Since: at(-60), Last: at(-30)}, true},
		"set back in a silence":        {Expectation{Since: at(0), Silent: at(0)}, -30, Expectation{Since: at(0), Silent: at(0), Last: at(0).Add(time.Microsecond)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got, news := tt.e.Came(at(tt.came)); got != tt.after || news != tt.news {
				t.Errorf("%+v, %v; want %+v, %v", got, news, tt.after, tt.news)
			}
		})
	}
	if got := (Expectation{Since: at(0), Last: at(9)}).Settled(at(5)); got != (Expectation{Since: at(0), Last: at(5)}) {
		t.Errorf("settled %+v", got)
	}
	if e := (Expectation{Since: at(0), Silent: at(0)}); e.Settled(at(-50)) != e {
		t.Error("a silence has another name")
	}
}
