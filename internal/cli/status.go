package cli

import (
	"fmt"
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
	return `The exit status is 1 when the daemon runs but cannot take deliveries in, and 4 when it does not run.`
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
	ready := e.out.paint(green, "yes")
	if !s.Ready {
		ready = e.out.paint(red, "no") + ": " + printable(s.NotReady)
	}
	gap := ""
	if !s.LastRunAt.IsZero() {
		gap = fmt.Sprintf("%s, until this run began", took(s.LastRunAt.Time, s.StartedAt.Time))
	}
	facts(e.stdout, e.out,
		[2]string{"ready", ready},
		[2]string{"version", printable(s.Version)},
		[2]string{"running for", fmt.Sprintf("%s, process %d", age(e.now(), s.StartedAt.Time), s.PID)},
		[2]string{"not listening", gap},
		[2]string{"listens on", printable(strings.Join(s.Listen, ", "))},
		[2]string{"store", printable(s.Store)},
		[2]string{"jobs", liveJobs(s.Jobs)},
		[2]string{"hooks", fmt.Sprintf("%d, configuration %s", s.Hooks, printable(s.Config.Digest))},
		[2]string{"paused", pausedNames(e.now(), s.Paused)},
		[2]string{"last reload", reloadState(e, &s.Config)},
		[2]string{"needs a restart", printable(strings.Join(s.Config.NeedsRestart, ", "))},
	)
	for _, line := range secretAdvice(s, e.now()) {
		fmt.Fprintln(e.stdout, printable(line))
	}
	e.problems(s.Config.Problems)
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

// secretAdvice says how a rotation of secrets goes.
func secretAdvice(s *admin.Status, now time.Time) (lines []string) {
	for _, secret := range s.Secrets {
		name := fmt.Sprintf("secret %d of %s", secret.Position+1, secret.Hook)
		switch since := now.Sub(s.StartedAt.Time); {
		case !secret.LastMatch.IsZero() && now.Sub(secret.LastMatch.Time) < unusedFor:
			lines = append(lines, fmt.Sprintf("%s last matched %s ago", name, age(now, secret.LastMatch.Time)))
		case !secret.LastMatch.IsZero():
			lines = append(lines, fmt.Sprintf("%s has not matched for %s: it can go", name, age(now, secret.LastMatch.Time)))
		case since > unusedFor:
			lines = append(lines, fmt.Sprintf("%s has not matched since the start %s ago: remove it, or look whether the sender uses it yet", name, age(now, s.StartedAt.Time)))
		default:
			lines = append(lines, fmt.Sprintf("%s has not matched since the start %s ago", name, age(now, s.StartedAt.Time)))
		}
	}
	return lines
}

// liveJobs is how many jobs wait and run.
func liveJobs(counts map[job.State]int) string {
	var parts []string
	for _, s := range job.States {
		if n := counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	if parts == nil {
		return "none waiting or running"
	}
	return strings.Join(parts, ", ")
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
