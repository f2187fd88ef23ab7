package fleet

import (
	"slices"
	"testing"
	"time"
)

func TestSeqs_AJobThatNobodyToldOfIsReadWithTheNextOne(t *testing.T) {
	now := time.Unix(0, 0)
	s := seqs{gaps: map[int64]time.Time{}, top: 10}
	reads := func(what string, news []int64, want ...int64) {
		t.Helper()
		got := s.upTo(news, now)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s: reads %v, want %v", what, got, want)
		}
	}
	reads("nothing new", nil)
	reads("the next one but two", []int64{13}, 11, 12, 13)
	for _, seq := range []int64{12, 13} {
		s.there(seq)
	}
	reads("11 was not committed yet", []int64{14}, 11, 14)
	s.there(11)
	s.there(14)
	reads("an old one", []int64{4}, 4)
	reads("one that will never be there", []int64{16}, 15, 16)
	s.there(16)
	now = now.Add(longestGap)
	reads("it is still looked for", []int64{17}, 15, 17)
	s.there(17)
	now = now.Add(time.Second)
	reads("no longer", []int64{18}, 18)
	s.there(18)
	if got := s.upTo([]int64{s.top + 3*mostGaps}, now); len(got) > mostGaps+1 || len(s.gaps) > mostGaps {
		t.Errorf("after a jump it reads %d, and remembers %d", len(got), len(s.gaps))
	}
}
