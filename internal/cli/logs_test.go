package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// growing is a source whose job has written more at every look.
type growing struct {
	source
	looks []admin.Output
	ended map[int]string // final output by attempt
}

func (g *growing) Output(_ context.Context, _ string, attempt int) (admin.Output, error) {
	if attempt > 0 {
		return admin.Output{Attempt: attempt, Body: []byte(g.ended[attempt])}, nil
	}
	if len(g.looks) == 0 {
		return admin.Output{}, errors.New("looked once too often")
	}
	look := g.looks[0]
	g.looks = g.looks[1:]
	return look, nil
}

func TestFollow(t *testing.T) {
	long := strings.Repeat("0123456789", 40)
	running := func(n int, body string) admin.Output {
		return admin.Output{State: job.Running, Attempt: n, Body: []byte(body)}
	}
	ended := func(n int, body string) admin.Output {
		return admin.Output{State: job.Failed, Attempt: n, Body: []byte(body)}
	}
	for _, tt := range []struct {
		name           string
		looks          []admin.Output
		ended          map[int]string
		stdout, stderr string
	}{
		{
			name:   "what is new is printed once",
			looks:  []admin.Output{{State: job.Queued}, running(1, "a\n"), running(1, "a\n"), running(1, "a\nb\n"), ended(1, "a\nb\nc\n")},
			stdout: "a\nb\nc\n", stderr: "tenterhook: the job has ended: failed\n",
		},
		{
			name:   "a job that has ended is printed and left",
			looks:  []admin.Output{ended(2, "all\n")},
			stdout: "all\n", stderr: "tenterhook: the job has ended: failed\n",
		},
		{
			name:   "the end of an attempt is not lost when the next begins",
			looks:  []admin.Output{running(1, "a\n"), running(2, "x\n"), ended(2, "x\ny\n")},
			ended:  map[int]string{1: "a\nb\n"},
			stdout: "a\nb\nx\ny\n", stderr: "tenterhook: attempt 2\ntenterhook: the job has ended: failed\n",
		},
		{
			name:   "a tail that moved on is joined where it overlaps",
			looks:  []admin.Output{running(1, "head\n"+long), ended(1, "head\n[cut]\n"+long[10:]+"new\n")},
			stdout: "head\n" + long + "new\n", stderr: "tenterhook: the job has ended: failed\n",
		},
		{
			name:   "a tail that is too far ahead is said to be",
			looks:  []admin.Output{running(1, "head\nold"), ended(1, "head\n[cut]\ntail\n")},
			stdout: "head\noldhead\n[cut]\ntail\n", stderr: "tenterhook: it wrote more than is kept: some is missing here\ntenterhook: the job has ended: failed\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			e := &env{ctx: t.Context(), stdout: &stdout, stderr: &stderr, every: time.Microsecond}
			if err := follow(e, &growing{looks: tt.looks, ended: tt.ended}, id(1)); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("stdout %q, stderr %q; want %q, %q", stdout.String(), stderr.String(), tt.stdout, tt.stderr)
			}
		})
	}
}

func TestFollow_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	e := &env{ctx: ctx, stdout: &bytes.Buffer{}, stderr: &bytes.Buffer{}, every: time.Hour}
	if err := follow(e, &growing{looks: []admin.Output{{State: job.Running}}}, id(1)); !errors.Is(err, context.Canceled) {
		t.Errorf("follow: %v", err)
	}
}
