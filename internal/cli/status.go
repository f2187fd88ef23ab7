package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
)

// statusCmd is "status".
type statusCmd struct {
	JSON bool `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (statusCmd) Help() string {
	return `Shows whether deliveries are taken, for how long the daemon runs and when it did not listen, what came in and how fast it was answered, the queue, the last reload, and when each secret was last used.

    tenterhook status
    watch -c tenterhook status

The exit status is 1 when the daemon runs but cannot take deliveries in, and 4 when it does not run.`
}

// Run shows.
func (c statusCmd) Run(e *env) error {
	return e.daemon(func(client *admin.Client) error {
		s, err := client.Status(e.ctx)
		if err != nil {
			return err
		}
		if c.JSON {
			err = writeJSON(e.stdout, s)
		} else {
			showStatus(e, &s)
		}
		if err == nil && !s.Ready {
			err = said(exitFailed)
		}
		return err
	})
}

func showStatus(e *env, s *admin.Status) {
	fmt.Fprintln(e.stdout, headline(e, s))
	all := [][2]string{
		{"  listens on", printable(strings.Join(s.Listen, ", "))},
		{"  not listening", gaps(e.now(), s.Gaps)},
		{"  deliveries", deliveriesIn(e.now(), &s.Traffic)},
		{"  answered in", ackTimes(e, s.Traffic.Ack)},
		{"  refused", refusals(s.Traffic.Refused)},
		{"  jobs", queue(e, s)},
		{"  missing", e.out.paint(red, missing(e.now(), s.Expected))},
	}
	all = append(all, listed("  sources", sources(e, s.Sources))...)
	all = append(all, listed("  held", held(e, s.Held))...)
	facts(e.stdout, e.out, append(all, [][2]string{
		{"  paused", e.out.paint(yellow, pausedNames(e.now(), s.Paused))},
		{"  hooks", fmt.Sprintf("%d, configuration %s", s.Hooks, printable(s.Config.Digest))},
		{"  last reload", reloadState(e, &s.Config)},
		{"  needs a restart", e.out.paint(yellow, printable(strings.Join(s.Config.NeedsRestart, ", ")))},
		{"  store", printable(s.Store)},
	}...)...)
	for _, secret := range s.Secrets {
		fmt.Fprintln(e.stdout, "  "+printable(secretUse(secret, s.StartedAt.Time, e.now())))
	}
	e.problems(s.Config.Problems)
}

// headline is what matters most: whether deliveries are taken.
func headline(e *env, s *admin.Status) string {
	state := e.out.paint(green, "●") + " " + e.out.paint(bold, "ready")
	if !s.Ready {
		state = e.out.paint(red, "●") + " " + e.out.paint(bold, "not ready") + ": " + printable(s.NotReady)
	}
	return fmt.Sprintf("%s  %s", state, e.out.paint(faint, fmt.Sprintf("running for %s, process %d, version %s", age(e.now(), s.StartedAt.Time), s.PID, printable(s.Version))))
}

// gaps are the latest times in which no delivery was taken, "" for none.
func gaps(now time.Time, all []admin.Gap) string {
	const most = 3
	var parts []string
	for _, g := range all[:min(most, len(all))] {
		parts = append(parts, fmt.Sprintf("%s until %s ago", took(g.From.Time, g.To.Time), age(now, g.To.Time)))
	}
	if more := len(all) - most; more > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, ", ")
}

// deliveriesIn is what came in during this run.
func deliveriesIn(now time.Time, t *admin.Traffic) string {
	var parts []string
	total := int64(0)
	for _, outcome := range []job.Outcome{job.Accepted, job.Ignored, job.Duplicate} {
		if n := t.Outcomes[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
			total += n
		}
	}
	if total == 0 {
		return "none in this run"
	}
	return fmt.Sprintf("%d in this run (%s), the last %s ago", total, strings.Join(parts, ", "), age(now, t.LastAt.Time))
}

// ackTimes is how long senders wait, "" before the first.
func ackTimes(e *env, a *admin.AckTimes) string {
	if a == nil {
		return ""
	}
	return fmt.Sprintf("%s ms in the middle, %s ms for 99 of 100, %s ms at most %s", milliseconds(a.Median), milliseconds(a.P99), milliseconds(a.Longest),
		e.out.paint(faint, fmt.Sprintf("(of the last %d)", a.Of)))
}

// milliseconds has two or three digits.
func milliseconds(ms float64) string {
	if ms < 10 {
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return strconv.FormatFloat(ms, 'f', 0, 64)
}

// refusals are the requests that were not taken, the most frequent word first.
func refusals(refused map[string]int64) string {
	words := slices.SortedFunc(maps.Keys(refused), func(a, b string) int {
		return cmp.Or(cmp.Compare(refused[b], refused[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, word := range words {
		parts = append(parts, fmt.Sprintf("%d %s", refused[word], printable(word)))
	}
	return strings.Join(parts, ", ")
}

// pausedNames are the hooks and rules that start nothing.
func pausedNames(now time.Time, paused []admin.Pause) string {
	var names []string
	for _, p := range paused {
		name := strings.TrimSuffix(p.Hook+"/"+p.Rule, "/")
		names = append(names, fmt.Sprintf("%s for %s", printable(name), age(now, p.Since.Time)))
	}
	return strings.Join(names, ", ")
}

// unusedFor is how long a secret is not needed before it is said to be old.
const unusedFor = 7 * 24 * time.Hour

// secretUse says when a secret was last used, and how a rotation goes.
func secretUse(s admin.SecretStatus, started, now time.Time) string {
	name := fmt.Sprintf("secret %d of %s", s.Position+1, s.Hook)
	rotated := s.Of > 1
	switch last := s.LastMatch.Time; {
	case last.IsZero() && rotated && now.Sub(started) > unusedFor:
		return fmt.Sprintf("%s has not matched since the start %s ago: remove it, or look whether the sender uses it yet", name, age(now, started))
	case last.IsZero():
		return fmt.Sprintf("%s has not matched since the start %s ago", name, age(now, started))
	case rotated && now.Sub(last) >= unusedFor:
		return fmt.Sprintf("%s has not matched for %s: it can go", name, age(now, last))
	default:
		return fmt.Sprintf("%s last matched %s ago", name, age(now, last))
	}
}

// queue is how many jobs wait and run, and how many of the workers are busy.
func queue(e *env, s *admin.Status) string {
	var parts []string
	for _, state := range job.States {
		if n := s.Jobs[state]; n > 0 {
			parts = append(parts, e.out.paint(statePaint(state), fmt.Sprintf("%d %s", n, state)))
		}
	}
	if parts == nil {
		return "none waiting or running"
	}
	return strings.Join(parts, ", ") + e.out.paint(faint, workers(s))
}

// workers is how many of the daemon's workers are busy. On a fleet the running jobs are those of all
// nodes; and a job whose end is being written down holds no worker any more.
func workers(s *admin.Status) string {
	running := min(s.Jobs[job.Running], s.Workers)
	switch {
	case s.Workers == 0:
		return ""
	case s.Fleet:
		return fmt.Sprintf("  %s on this node", count(s.Workers, "worker", "workers"))
	default:
		return "  " + busy(running, s.Workers) + fmt.Sprintf(" %d of %s", running, count(s.Workers, "worker", "workers"))
	}
}

// busy is a part of a whole, ten characters wide.
func busy(part, whole int) string {
	const width = 10
	full := min(width, (part*width+whole-1)/whole)
	return strings.Repeat("█", full) + strings.Repeat("░", width-full)
}

func reloadState(e *env, c *admin.ConfigStatus) string {
	switch {
	case c.LastReloadAt.IsZero():
		return "none since the start"
	case !c.LastReloadOK:
		return e.out.paint(red, "refused") + fmt.Sprintf(" %s ago: %s", age(e.now(), c.LastReloadAt.Time), count(refusing(c.Problems), "problem", "problems"))
	}
	return age(e.now(), c.LastReloadAt.Time) + " ago"
}

// refusing is how many of what was found keep a configuration from being taken up.
func refusing(found []admin.Diagnostic) int {
	n := 0
	for _, f := range found {
		if f.Severity != "warning" {
			n++
		}
	}
	return n
}
