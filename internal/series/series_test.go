package series

import (
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func TestBook_CountsIntoTheStepOfItsTime(t *testing.T) {
	b := New(noon)
	b.Delivered("site", job.Accepted, time.Millisecond, noon)
	b.Delivered("site", job.Ignored, time.Millisecond, noon.Add(59*time.Second))
	b.Delivered("shop", job.Duplicate, time.Millisecond, noon.Add(time.Minute))
	b.Refused("site", noon.Add(time.Minute))
	b.Ended("site", job.TimedOut, noon.Add(2*time.Minute))
	b.Ended("site", job.Succeeded, noon.Add(2*time.Minute))
	b.Ended("site", job.Scheduled, noon.Add(2*time.Minute)) // a retry is no end

	s := b.Read("site", Spans[0], noon.Add(2*time.Minute))
	n := len(s.Points)
	for _, tt := range []struct {
		what      string
		got, want int
	}{
		{"accepted in the first minute", s.Points[n-3].Accepted, 1},
		{"ignored in the first minute", s.Points[n-3].Ignored, 1},
		{"refused in the second", s.Points[n-2].Refused, 1},
		{"failed in the third", s.Points[n-1].Failed, 1},
		{"succeeded in the third", s.Points[n-1].Succeeded, 1},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	if got := s.At(n - 3); !got.Equal(noon) {
		t.Errorf("the third point from the end begins at %v, want %v", got, noon)
	}
	all := b.Read(All, Spans[1], noon.Add(2*time.Minute))
	total := all.Total()
	if total.Deliveries() != 3 || total.Refused != 1 || total.Failed != 1 {
		t.Errorf("the sum of all hooks is %+v", total)
	}
	if got := b.Last("site"); !got.Equal(noon.Add(59 * time.Second)) {
		t.Errorf("last delivery at %v", got)
	}
}

func TestBook_ForgetsWhatIsOlderThanItsSpan(t *testing.T) {
	b := New(noon)
	b.Delivered("site", job.Accepted, 0, noon)
	later := noon.Add(Spans[0].Length())
	b.Delivered("site", job.Accepted, 0, later) // takes the slot of noon
	b.Delivered("site", job.Accepted, 0, noon)  // too late to be kept
	s := b.Read("site", Spans[0], later)
	if total := s.Total(); total.Accepted != 1 {
		t.Errorf("%d deliveries within the span, want 1", total.Accepted)
	}
	s = b.Read("site", Spans[1], later)
	if total := s.Total(); total.Accepted != 3 {
		t.Errorf("%d deliveries within the longer span, want 3", total.Accepted)
	}
}

func TestBook_BoundsTheNamesItKeeps(t *testing.T) {
	b := New(noon)
	for i := range maxHooks + 50 {
		b.Refused(string(rune('a'+i%26))+time.Duration(i).String(), noon)
	}
	if len(b.hooks) > maxHooks+1 {
		t.Errorf("%d names are kept", len(b.hooks))
	}
	s := b.Read(All, Spans[0], noon)
	if total := s.Total(); total.Refused != maxHooks+50 {
		t.Errorf("the sum counts %d", total.Refused)
	}
	b.Keep(map[string]bool{})
	if len(b.hooks) != 1 {
		t.Errorf("%d names are left", len(b.hooks))
	}
}

func TestPoint_AckIsWithinAFactorOfTwo(t *testing.T) {
	b := New(noon)
	for range 95 {
		b.Delivered("site", job.Accepted, 3*time.Millisecond, noon)
	}
	for range 5 {
		b.Delivered("site", job.Accepted, 900*time.Millisecond, noon)
	}
	s := b.Read("site", Spans[0], noon)
	total := s.Total()
	half, ok := total.Ack(0.5)
	if !ok || half < 2*time.Millisecond || half > 4*time.Millisecond {
		t.Errorf("half were acknowledged within %v", half)
	}
	most, _ := total.Ack(0.99)
	if most < 500*time.Millisecond || most > 1024*time.Millisecond {
		t.Errorf("99 %% were acknowledged within %v", most)
	}
	if _, ok := (&Point{}).Ack(0.5); ok {
		t.Error("nothing was acknowledged within some time")
	}
}
