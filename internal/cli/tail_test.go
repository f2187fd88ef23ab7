package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// shown is a board with what sample has.
func shown() *board {
	b := &board{counts: map[job.State]int{job.Running: 1, job.Queued: 1}, ended: map[job.State]int{}, since: noon}
	for _, j := range sample().jobs {
		b.jobs = append(b.jobs, admin.NewJob(&j))
	}
	return b
}

func TestBoard_ShowsTheNewestJobsInWhatRoomThereIs(t *testing.T) {
	b := shown()
	b.ended[job.Failed] = 2
	golden(t, "tail.txt", strings.Join(b.draw(look{}, noon, 100, 9), "\n")+"\n")
	for _, size := range [][2]int{{100, 9}, {20, 5}, {5, 3}, {1, 1}, {200, 100}, {80, 0}} {
		lines := b.draw(look{terminal: true, color: true}, noon, size[0], size[1])
		if len(lines) != max(1, size[1]) {
			t.Errorf("%d lines in a window of %v", len(lines), size)
		}
		for _, line := range lines {
			if w := ansi.StringWidth(line); w > size[0] {
				t.Errorf("a line of %d cells in a window of %v: %q", w, size, line)
			}
		}
	}
}

func TestBoard_TakesUpChanges(t *testing.T) {
	b := shown()
	changed := b.jobs[1]
	changed.State, changed.FinishedAt = job.Succeeded, admin.Time{Time: noon}
	b.change(changed)
	b.change(admin.Job{ID: id(20), State: job.Queued})
	b.change(admin.Job{ID: id(5), State: job.Running}) // an old one, run again
	var got []string
	for _, j := range b.jobs {
		got = append(got, fmt.Sprint(shortID(j.ID), " ", j.State))
	}
	want := []string{"00000020 queued", "00000013 queued", "00000012 succeeded", "00000011 failed", "00000005 running"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if b.ended[job.Succeeded] != 1 {
		t.Errorf("ended %v", b.ended)
	}
	for n := range 2 * mostShown {
		b.change(admin.Job{ID: id(100 + n)})
	}
	if len(b.jobs) != mostShown || b.jobs[0].ID != id(99+2*mostShown) {
		t.Errorf("%d jobs, the newest %s", len(b.jobs), b.jobs[0].ID)
	}
}

func TestTailLine_IsMadePrintable(t *testing.T) {
	e := &env{now: func() time.Time { return noon }}
	line := tailLine(e, &admin.Job{ID: id(1), Hook: "a\x1b[2J", Rule: "b", State: job.Failed, Attempt: 2, Reason: "x\ny"})
	if strings.ContainsAny(line, "\x1b\n") || !strings.Contains(line, "attempt 2") {
		t.Errorf("%q", line)
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]float64{"": 0, "20": 20, "20/s": 20, "90/m": 1.5, "36/h": 0.01, "0.5/s": 0.5} {
		if got, err := parseRate(text); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"x", "0", "-1/s", "5/d", "5/", "2000/s", "NaN", "Inf/s", "/s"} {
		if got, err := parseRate(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
