package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/term"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
)

type jobsTailCmd struct {
	Hook string `complete:"hooks" placeholder:"HOOK" help:"Only of this hook."`
	Rule string `complete:"rules" placeholder:"RULE" help:"Only of this rule."`
	JSON bool   `name:"json" help:"Print each change as a JSON document on a line of its own."`
}

// Help is the longer text of the command.
func (jobsTailCmd) Help() string {
	return `At a terminal: the newest jobs, their states, how long they run, and how many are in each state, as it changes; q ends it. Otherwise, and with --json, a line for each change of a job's state, from now on until it is interrupted.

Examples:

    tenterhook jobs tail
    tenterhook jobs tail --hook site --json | jq -r 'select(.state == "failed") | .id'
`
}

// Run watches.
func (c *jobsTailCmd) Run(e *env) error {
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	return e.daemon(func(client *admin.Client) error {
		out, full := e.stdout.(*os.File)
		in, keys := e.stdin.(*os.File)
		var err error
		if full && keys && !c.JSON && e.out.terminal && term.IsTerminal(int(in.Fd())) {
			err = c.screen(ctx, e, client, in, out)
		} else {
			err = c.lines(ctx, e, client)
		}
		if ctx.Err() != nil && e.ctx.Err() == nil {
			return nil // somebody ended it: that is how it ends
		}
		return err
	})
}

// wants reports whether a job is asked for.
func (c *jobsTailCmd) wants(j *admin.Job) bool {
	return (c.Hook == "" || j.Hook == c.Hook) && (c.Rule == "" || j.Rule == c.Rule)
}

// lines prints a line for each change. The daemon that stops ends it.
func (c *jobsTailCmd) lines(ctx context.Context, e *env, client *admin.Client) error {
	err := client.Events(ctx, []string{admin.EventJob}, "", func(event admin.Event) error {
		if event.Kind == admin.EventMissed {
			e.say("jobs change faster than they are read: some changes are not shown")
			return nil
		}
		var j admin.Job
		if err := json.Unmarshal(event.Data, &j); err != nil {
			return fmt.Errorf("read event: %w", err)
		}
		if !c.wants(&j) {
			return nil
		}
		line := string(event.Data)
		if c.JSON {
			line = printableJSON(line)
		} else {
			line = tailLine(e, &j)
		}
		_, err := fmt.Fprintln(e.stdout, line)
		return err
	})
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fail(errors.New("the daemon has ended the stream"), "it stopped, or is starting again")
	}
	return err
}

// tailLine is one change for people.
func tailLine(e *env, j *admin.Job) string {
	fields := []string{
		e.out.paint(faint, e.now().Local().Format("15:04:05.000")), shortID(j.ID), printable(j.Hook + "/" + j.Rule),
		e.out.paint(statePaint(j.State), printable(string(j.State))),
	}
	if j.Attempt > 1 {
		fields = append(fields, fmt.Sprintf("attempt %d", j.Attempt))
	}
	if j.State.Terminal() && j.Attempt > 0 {
		fields = append(fields, took(j.StartedAt.Time, j.FinishedAt.Time))
	}
	if j.Reason != "" {
		fields = append(fields, printable(j.Reason))
	}
	return strings.Join(fields, "  ")
}

// board is what the screen shows.
type board struct {
	jobs   []admin.Job // newest first
	counts map[job.State]int
	ended  map[job.State]int // since it was opened
	since  time.Time
	note   string // what is wrong, "" when nothing is
}

// mostShown is how many jobs a board remembers: no terminal is as high.
const mostShown = 500

// reread fills the board with what there is.
func (b *board) reread(ctx context.Context, c *jobsTailCmd, client *admin.Client) error {
	list, _, err := client.Jobs(ctx, store.Filter{Hook: c.Hook, Rule: c.Rule, Limit: mostShown})
	if err != nil {
		return err
	}
	b.jobs = list
	return b.recount(ctx, client)
}

// recount asks how many jobs are in each state.
func (b *board) recount(ctx context.Context, client *admin.Client) error {
	status, err := client.Status(ctx)
	if err == nil {
		b.counts = status.Jobs
	}
	return err
}

// change takes up one change of a job.
func (b *board) change(j admin.Job) {
	if j.State.Terminal() {
		b.ended[j.State]++
	}
	for i := range b.jobs {
		if b.jobs[i].ID == j.ID {
			b.jobs[i] = j
			return
		}
	}
	// Ids are ordered by time: a job of before that is run again keeps its place.
	at := 0
	for at < len(b.jobs) && b.jobs[at].ID > j.ID {
		at++
	}
	b.jobs = append(b.jobs, admin.Job{})
	copy(b.jobs[at+1:], b.jobs[at:])
	b.jobs[at] = j
	b.jobs = b.jobs[:min(len(b.jobs), mostShown)]
}

// draw is the board in so many lines of so many cells.
func (b *board) draw(l look, now time.Time, width, height int) []string {
	l.width = width
	var states []string
	for _, s := range []job.State{job.Running, job.Queued, job.Scheduled} {
		states = append(states, fmt.Sprintf("%s %d", l.paint(statePaint(s), string(s)), b.counts[s]))
	}
	for _, s := range job.States {
		if n := b.ended[s]; n > 0 {
			states = append(states, fmt.Sprintf("%s %d", l.paint(statePaint(s), string(s)), n))
		}
	}
	lines := []string{clip(l.paint(bold, "jobs")+"  "+strings.Join(states, "  "), width), ""}
	foot := l.paint(faint, "q quits  ended jobs are counted since "+b.since.Local().Format("15:04:05"))
	if b.note != "" {
		foot = l.paint(yellow, printable(b.note)) + "  " + l.paint(faint, "q quits")
	}
	room := max(0, height-len(lines)-2)
	for _, line := range b.rows(l, now, max(0, room-1)) {
		lines = append(lines, clip(line, width))
	}
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	return append(lines[:max(0, min(len(lines), height-1))], clip(foot, width))
}

// rows are the table of the newest jobs, with its head.
func (b *board) rows(l look, now time.Time, most int) []string {
	t := table{columns: []column{
		{title: "AGE", right: true},
		{title: "JOB"},
		{title: "HOOK/RULE"},
		{title: "STATE"},
		{title: "TRY", right: true},
		{title: "TOOK", right: true},
		{title: "REASON", gives: true},
	}}
	for _, j := range b.jobs[:min(len(b.jobs), most)] {
		end := j.FinishedAt.Time
		if j.State == job.Running {
			end = now
		}
		try, lasted := "", ""
		if j.Attempt > 0 {
			try, lasted = fmt.Sprint(j.Attempt), took(j.StartedAt.Time, end)
		}
		t.row(cell{age(now, j.CreatedAt.Time), plain}, cell{shortID(j.ID), plain}, cell{j.Hook + "/" + j.Rule, plain},
			cell{string(j.State), statePaint(j.State)}, cell{try, plain}, cell{lasted, plain}, cell{j.Reason, faint})
	}
	var text strings.Builder
	t.write(&text, l)
	return strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n")
}
