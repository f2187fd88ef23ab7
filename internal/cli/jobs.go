package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// jobsCmd is "jobs".
type jobsCmd struct {
	List   jobsListCmd   `cmd:"" default:"withargs" group:"commands" help:"List jobs, newest first."`
	Show   jobsShowCmd   `cmd:"" group:"commands" help:"Show one job: its timeline, attempts and output."`
	Logs   jobsLogsCmd   `cmd:"" group:"commands" help:"Print what a job wrote; -f follows it while it runs."`
	Tail   jobsTailCmd   `cmd:"" group:"commands" help:"Watch jobs as they come, run and end."`
	Retry  jobsRetryCmd  `cmd:"" group:"commands" help:"Run ended jobs again."`
	Cancel jobsCancelCmd `cmd:"" group:"commands" help:"Stop running jobs, and those that wait."`
}

type jobsListCmd struct {
	filterFlags
	Delivery string `placeholder:"ID" help:"Only of this delivery."`
}

// Help is the longer text of the command.
func (jobsListCmd) Help() string {
	return `Examples:

    tenterhook jobs --state failed --since 24h
    tenterhook jobs --hook site --rule deploy --json
`
}

// Run lists.
func (c *jobsListCmd) Run(e *env) error {
	f, err := c.filter(e.now())
	if err != nil {
		return err
	}
	return e.reading(func(from source) error {
		if c.Delivery != "" {
			if f.Delivery, err = deliveryID(e.ctx, from, c.Delivery); err != nil {
				return err
			}
		}
		list, next, err := from.Jobs(e.ctx, f)
		if err != nil {
			return err
		}
		switch {
		case c.JSON:
			err = writeJSON(e.stdout, list)
		case len(list) == 0:
			e.say("no jobs found")
		default:
			jobsTable(e, list)
		}
		e.sayMore(next)
		return err
	})
}

func jobsTable(e *env, list []admin.Job) {
	t := table{columns: []column{
		{title: "JOB"},
		{title: "HOOK/RULE"},
		{title: "STATE"},
		{title: "ATTEMPT", right: true},
		{title: "AGE", right: true},
		{title: "TOOK", right: true},
		{title: "REASON", gives: true},
	}}
	for _, j := range list {
		t.row(cell{shortID(j.ID), plain}, cell{j.Hook + "/" + j.Rule, plain}, cell{string(j.State), statePaint(j.State)},
			cell{strconv.Itoa(j.Attempt), plain}, cell{age(e.now(), j.CreatedAt.Time), plain}, cell{jobTook(e.now(), &j), plain},
			cell{why(&j), plain})
	}
	t.write(e.stdout, e.out)
}

// jobTook is how long the last attempt took, or has taken so far.
func jobTook(now time.Time, j *admin.Job) string {
	if j.State == job.Running {
		return took(j.StartedAt.Time, now)
	}
	return took(j.StartedAt.Time, j.FinishedAt.Time)
}

// why is the reason of a job's state, or the last error when none was given.
func why(j *admin.Job) string {
	if j.Reason != "" {
		return j.Reason
	}
	return j.Error
}

type jobsShowCmd struct {
	ID   string `arg:"" optional:"" complete:"jobs" help:"Id of the job, or at least 6 characters of its beginning or end. Default: the newest."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (jobsShowCmd) Help() string {
	return `Shows one job: its state and why, when it waited and ran, and its attempts.

    tenterhook jobs show 384b5405`
}

// Run shows.
func (c *jobsShowCmd) Run(e *env) error {
	return e.reading(func(from source) error {
		id, err := shownJob(e.ctx, from, c.ID)
		if err != nil {
			return err
		}
		j, err := from.Job(e.ctx, id)
		if err != nil {
			return err
		}
		if c.JSON {
			return writeJSON(e.stdout, j)
		}
		showJob(e, &j)
		return nil
	})
}

func showJob(e *env, j *admin.JobDetail) {
	state := e.out.paint(statePaint(j.State), printable(string(j.State)))
	if reason := why(&j.Job); reason != "" {
		state += ": " + printable(reason)
	}
	facts(e.stdout, e.out,
		[2]string{"job", printable(j.ID)},
		[2]string{"rule", printable(j.Hook + "/" + j.Rule)},
		[2]string{"state", state},
		[2]string{"delivery", printable(j.Delivery)},
		[2]string{"lane", printable(j.ConcurrencyKey)},
		[2]string{successorTitle(j.State), printable(j.SupersededBy)},
		[2]string{"replay of", printable(j.ReplayOf)},
		[2]string{"node", printable(j.Node)},
	)
	if len(j.Shares) > 0 {
		e.heading("nodes")
		showShares(e, j)
	}
	if len(j.Reports) > 0 {
		e.heading("told")
		for _, r := range j.Reports {
			fmt.Fprintf(e.stdout, "  %s  %s\n", printable(r.To), reportText(e, r))
		}
	}
	e.heading("timeline")
	for _, m := range timeline(j) {
		fmt.Fprintf(e.stdout, "  %s  %s\n", e.out.paint(faint, localTime(m.at)), printable(m.what))
	}
	if len(j.Attempts) == 0 {
		return
	}
	last := j.Attempts[len(j.Attempts)-1]
	e.output(fmt.Sprintf("output of attempt %d", last.N), last.Output)
	for _, u := range j.FollowUps {
		if u.Attempt == last.N && u.Output != "" {
			e.output(fmt.Sprintf("output of %s, step %d", u.Event, u.Step), u.Output)
		}
	}
}

// reportText says how far a sender was told of a job.
func reportText(e *env, r admin.Report) string {
	text := "nothing yet"
	if r.Reached != "" {
		text = printable(r.Reached)
	}
	if !r.At.IsZero() {
		text += " " + age(e.now(), r.At.Time) + " ago"
	}
	if r.Error != "" {
		text += ": " + e.out.paint(red, printable(r.Error))
	}
	if !r.NextAt.IsZero() {
		text += ", tried again " + localTime(r.NextAt.Time)
	}
	return text
}

// showShares prints a line for each node that runs a job of its own.
func showShares(e *env, j *admin.JobDetail) {
	t := table{columns: []column{{title: "NODE"}, {title: "JOB"}, {title: "STATE"}, {title: "REASON", gives: true}}}
	for _, s := range j.Shares {
		node := s.Node
		if node == job.Somewhere {
			node = "(none yet)"
		}
		t.row(cell{node, plain}, cell{shortID(s.Job), plain}, cell{string(s.State), statePaint(s.State)}, cell{s.Reason, plain})
	}
	t.write(e.stdout, e.out)
}

// output prints what an action wrote, under a heading.
func (e *env) output(heading, text string) {
	e.heading(heading)
	if text == "" {
		fmt.Fprintln(e.stdout, "  (none)")
		return
	}
	if !e.out.color {
		text = colors.ReplaceAllString(text, "")
	}
	fmt.Fprintln(e.stdout, indent(printableOutput(strings.TrimRight(text, "\r\n"))))
}

// successorTitle says what another job is to one that gave way to it.
func successorTitle(s job.State) string {
	if s == job.Skipped || s == job.Stale {
		return "in favour of"
	}
	return "superseded by"
}

// moment is one line of a timeline.
type moment struct {
	at   time.Time
	what string
}

// timeline is what happened to a job, in order.
func timeline(j *admin.JobDetail) []moment {
	line := []moment{{j.CreatedAt.Time, "created"}}
	for _, a := range j.Attempts {
		line = append(line, moment{a.StartedAt.Time, fmt.Sprintf("attempt %d started", a.N)})
		if !a.FinishedAt.IsZero() {
			line = append(line, moment{a.FinishedAt.Time, fmt.Sprintf("attempt %d %s after %s", a.N, ending(&a), took(a.StartedAt.Time, a.FinishedAt.Time))})
		}
	}
	for _, u := range j.FollowUps {
		name := fmt.Sprintf("%s, step %d (%s)", u.Event, u.Step, u.Kind)
		if u.Try > 1 {
			name += fmt.Sprintf(", try %d", u.Try)
		}
		line = append(line, moment{u.StartedAt.Time, name + " started"})
		if !u.FinishedAt.IsZero() {
			line = append(line, moment{u.FinishedAt.Time, fmt.Sprintf("%s %s after %s", name, followUpEnding(&u), took(u.StartedAt.Time, u.FinishedAt.Time))})
		}
	}
	switch {
	case !j.FinishedAt.IsZero():
		line = append(line, moment{j.FinishedAt.Time, string(j.State)})
	case j.State == job.Scheduled:
		line = append(line, moment{j.RunAt.Time, fmt.Sprintf("attempt %d is due", j.Attempt+1)})
	}
	slices.SortStableFunc(line, func(a, b moment) int { return a.at.Compare(b.at) })
	return line
}

// followUpEnding is how a follow-up ended.
func followUpEnding(u *admin.FollowUp) string {
	return ending(&admin.Attempt{ExitCode: u.ExitCode, Signal: u.Signal, Status: u.Status, Error: u.Error})
}

// ending is how an attempt ended.
func ending(a *admin.Attempt) string {
	switch {
	case a.Signal != "":
		return "ended by signal " + a.Signal
	case a.Error != "":
		return "failed: " + a.Error
	case a.ExitCode != nil && *a.ExitCode != 0:
		return fmt.Sprintf("failed: exit status %d", *a.ExitCode)
	case a.Status != 0:
		return fmt.Sprintf("ended: HTTP status %d", a.Status)
	}
	return "ended well"
}

type jobsRetryCmd struct {
	IDs  []string `arg:"" complete:"jobs" name:"id" help:"Ids of jobs, or at least 6 characters of their beginning or end."`
	JSON bool     `name:"json" help:"Print the jobs as one JSON document."`
}

// Help is the longer text of the command.
func (jobsRetryCmd) Help() string {
	return `A job that has ended gets as many attempts as its rule grants, with the rule and command that are configured now.

Example:

    tenterhook jobs --state failed --json | jq -r '.[].id' | xargs tenterhook jobs retry
`
}

// Run retries.
func (c *jobsRetryCmd) Run(e *env) error {
	queued := []admin.Job{}
	err := e.eachJob(c.IDs, func(client *admin.Client, id string) error {
		j, err := client.Retry(e.ctx, id)
		if err == nil && !c.JSON {
			fmt.Fprintf(e.stdout, "%s %s\n", printable(j.ID), printable(string(j.State)))
		} else if err == nil {
			queued = append(queued, j)
		}
		return err
	})
	return alsoJSON(e, c.JSON, queued, err)
}

type jobsCancelCmd struct {
	IDs  []string `arg:"" complete:"jobs" name:"id" help:"Ids of jobs, or at least 6 characters of their beginning or end."`
	JSON bool     `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (jobsCancelCmd) Help() string {
	return `A running job is asked to end (SIGTERM to all its processes) and killed after its grace period. The command does not wait for that.`
}

// Run cancels.
func (c *jobsCancelCmd) Run(e *env) error {
	type cancelled struct {
		ID        string `json:"id"`
		Cancelled bool   `json:"cancelled"` // a running job may take its grace period
	}
	all := []cancelled{}
	err := e.eachJob(c.IDs, func(client *admin.Client, id string) error {
		err := client.Cancel(e.ctx, id)
		if err == nil && !c.JSON {
			fmt.Fprintf(e.stdout, "%s cancelled\n", printable(id))
		} else if err == nil {
			all = append(all, cancelled{id, true})
		}
		return err
	})
	return alsoJSON(e, c.JSON, all, err)
}

// alsoJSON prints what was done as JSON where that is asked for, also when the rest failed.
func alsoJSON[T any](e *env, asked bool, done []T, err error) error {
	if asked && (err == nil || len(done) > 0) {
		return errors.Join(err, writeJSON(e.stdout, done))
	}
	return err
}

// eachJob does the same to several jobs. One that is refused does not keep the others from it;
// a daemon that is gone does.
func (e *env) eachJob(words []string, do func(client *admin.Client, id string) error) error {
	return e.daemon(func(client *admin.Client) error {
		refused := 0
		var last error
		for _, word := range words {
			id, err := jobID(e.ctx, client, word)
			if err == nil {
				err = do(client, id)
			}
			if errors.Is(err, admin.ErrUnreachable) || len(words) == 1 {
				return err
			}
			if err != nil {
				refused, last = refused+1, err
				e.say("%s: %s", printable(word), printable(err.Error()))
			}
		}
		if refused > 0 {
			return fail(fmt.Errorf("%d of %d jobs: the last with %w", refused, len(words), last))
		}
		return nil
	})
}
