package ui

import (
	"fmt"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
)

func TestNodes_SilenceIsMeasuredByTheLatestBeatOfAll(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	node := func(name, state string, ago time.Duration, jobs int) admin.Node {
		return admin.Node{Name: name, State: state, Lease: 10, Workers: 4, Jobs: jobs, BeatAt: admin.Time{Time: now.Add(-ago)}}
	}
	d := arrangeNodes([]admin.Node{
		node("a", "up", 0, 1), node("b", "up", 5*time.Second, 0), node("c", "up", 6*time.Second, 2), node("d", "draining", 6*time.Second, 1),
		node("e", "silent", time.Hour, 3), node("f", "silent", time.Hour, 0), node("g", "left", 0, 0),
	})
	got := ""
	for _, row := range d.Nodes {
		got += fmt.Sprint(row.Name, " late ", row.Late, "; ")
	}
	if want := "a late false; b late false; c late true; d late true; e late false; "; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(d.Ended) != 2 || d.Up != 3 || d.Workers != 12 || d.Jobs != 7 || d.Leader != "" {
		t.Errorf("%+v", d)
	}
}
