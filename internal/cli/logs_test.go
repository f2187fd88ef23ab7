package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tenterhook/tenterhook/internal/action"
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

// leftOutLine stands where output was left out.
var leftOutLine = regexp.MustCompile(`\n\[… (\d+) bytes left out …\]\n`)

func TestFollow(t *testing.T) {
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
			name:   "attempts that came and went between two looks are printed",
			looks:  []admin.Output{running(1, "a\n"), ended(3, "z\n")},
			ended:  map[int]string{1: "a\nb\n", 2: "x\n"},
			stdout: "a\nb\nx\nz\n", stderr: "tenterhook: attempt 2\ntenterhook: attempt 3\ntenterhook: the job has ended: failed\n",
		},
		{
			name:   "a tail that moved on is joined where it belongs",
			looks:  []admin.Output{running(1, "0123"+cut(2)+"6789"), ended(1, "0123"+cut(4)+"89ab")},
			stdout: "0123" + cut(2) + "6789ab", stderr: "tenterhook: the job has ended: failed\n",
		},
		{
			name:   "what is lost between two looks is counted",
			looks:  []admin.Output{running(1, "012"), ended(1, "0123"+cut(100)+"wxyz")},
			stdout: "0123" + cut(100) + "wxyz", stderr: "tenterhook: the job has ended: failed\n",
		},
		{
			name:   "a job may write what looks like the line of a cut",
			looks:  []admin.Output{running(1, "a"+cut(7)[:5]), running(1, "a"+cut(7)+"bc"), ended(1, "a"+cut(7)+"bcd")},
			stdout: "a" + cut(7) + "bcd", stderr: "tenterhook: the job has ended: failed\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			e := &env{ctx: t.Context(), stdout: &stdout, stderr: &stderr, every: time.Microsecond}
			if err := follow(e, &growing{looks: tt.looks, ended: tt.ended}, id(1)); e.report(err) != exitFailed {
				t.Fatal(err)
			}
			if stdout.String() != tt.stdout || stderr.String() != tt.stderr {
				t.Errorf("stdout %q, stderr %q; want %q, %q", stdout.String(), stderr.String(), tt.stdout, tt.stderr)
			}
		})
	}
}

// cut is the line between head and tail of what is kept.
func cut(n int) string { return fmt.Sprintf("\n[… %d bytes left out …]\n", n) }

func TestFollow_SucceedsWithTheJob(t *testing.T) {
	for _, state := range []job.State{job.Succeeded, job.Failed, job.TimedOut, job.Cancelled, job.Skipped, job.Interrupted} {
		e := &env{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard, every: time.Hour}
		err := follow(e, &growing{looks: []admin.Output{{State: state, Attempt: 1}}}, id(1))
		if status := e.report(err); (status == exitOK) != (state == job.Succeeded) || status > exitFailed {
			t.Errorf("%s: exit status %d", state, status)
		}
	}
}

// TestFollow_PrintsEveryByteOnceOrCountsIt follows what an attempt really keeps.
func TestFollow_PrintsEveryByteOnceOrCountsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kept := action.NewOutput(rapid.IntRange(2, 64).Draw(t, "limit"))
		var all []byte
		var looks []admin.Output
		for _, piece := range rapid.SliceOfN(rapid.SliceOfN(rapid.ByteRange('a', 'c'), 0, 40), 1, 20).Draw(t, "pieces") {
			all = append(all, piece...)
			if _, err := kept.Write(piece); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "look") {
				looks = append(looks, admin.Output{State: job.Running, Attempt: 1, Body: kept.Bytes()})
			}
		}
		looks = append(looks, admin.Output{State: job.Succeeded, Attempt: 1, Body: kept.Bytes()})
		var stdout bytes.Buffer
		e := &env{ctx: t.Context(), stdout: &stdout, stderr: io.Discard, every: time.Microsecond}
		if err := follow(e, &growing{looks: looks}, id(1)); err != nil {
			t.Fatal(err)
		}
		rest, text := all, stdout.Bytes()
		for len(text) > 0 {
			piece, left := text, 0
			at := leftOutLine.FindSubmatchIndex(text)
			if at != nil {
				piece = text[:at[0]]
				left, _ = strconv.Atoi(string(text[at[2]:at[3]]))
				text = text[at[1]:]
			} else {
				text = nil
			}
			if !bytes.HasPrefix(rest, piece) || len(piece)+left > len(rest) {
				t.Fatalf("printed %q of %q", stdout.Bytes(), all)
			}
			rest = rest[len(piece)+left:]
		}
		if len(rest) > 0 {
			t.Fatalf("%q is missing of %q: %q", rest, all, stdout.Bytes())
		}
	})
}

func TestFollow_ATerminalSeesTheSameHoweverOutputComes(t *testing.T) {
	const output = "a\x1b[31mré\r\nd\x1b[0m\x1b]52;c;x\x07\xc3x \x1b[1;38;5;196m日本\r-\xf0\x9f\x1b["
	want := printableOutput(output)
	for i := range output {
		for j := i; j <= len(output); j++ {
			var stdout bytes.Buffer
			e := &env{ctx: t.Context(), stdout: &stdout, stderr: io.Discard, every: time.Microsecond, out: look{terminal: true, color: true}}
			looks := []admin.Output{
				{State: job.Running, Attempt: 1, Body: []byte(output[:i])},
				{State: job.Running, Attempt: 1, Body: []byte(output[:j])},
				{State: job.Succeeded, Attempt: 1, Body: []byte(output)},
			}
			if err := follow(e, &growing{looks: looks}, id(1)); err != nil {
				t.Fatal(err)
			}
			if stdout.String() != want {
				t.Fatalf("in pieces of %d and %d:\n%q, want\n%q", i, j, stdout.String(), want)
			}
		}
	}
}

func TestFollow_GivesTheTerminalItsColourBack(t *testing.T) {
	var stdout bytes.Buffer
	e := &env{ctx: t.Context(), stdout: &stdout, stderr: io.Discard, every: time.Microsecond, out: look{terminal: true, color: true}}
	looks := []admin.Output{{State: job.Running, Attempt: 1, Body: []byte("\x1b[31mred")}} // and then the source fails
	if err := follow(e, &growing{looks: looks}, id(1)); err == nil || stdout.String() != "\x1b[31mred\x1b[0m" {
		t.Errorf("%v, %q", err, stdout.String())
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
