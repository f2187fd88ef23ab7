package daemon_test

import (
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// listenedUntil writes into a store that no daemon has that one listened, as a run that was killed
// leaves it.
func listenedUntil(t *testing.T, dir string, since, until time.Time) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	must(t, db.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: since, Until: until}))
	must(t, db.Close())
}

func TestGaps_ADaemonThatStartsSaysForHowLongNobodyListened(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+siteHook)
	last := time.Now().Add(-time.Hour).Truncate(time.Second)
	listenedUntil(t, dir, last.Add(-time.Hour), last)
	r := startIn(t, dir)
	r.eventually("readiness", func() bool { return strings.Contains(r.log.String(), "msg=ready") })
	s := r.status()
	if !s.LastRunAt.Equal(last) || len(s.Gaps) != 1 || !s.Gaps[0].From.Equal(last) || s.Gaps[0].Seconds < 3600 || s.Gaps[0].Seconds > 4000 {
		t.Fatalf("last run %v, gaps %+v", s.LastRunAt, s.Gaps)
	}
	if log := r.log.String(); !strings.Contains(log, "did not listen: what senders do not repeat is lost") {
		t.Errorf("log: %s", log)
	}
	if _, metrics := r.admin("../../metrics"); !strings.Contains(metrics, "tenterhook_listener_gap_seconds 36") ||
		!strings.Contains(metrics, "tenterhook_listener_gap_end_timestamp_seconds 1.") {
		t.Errorf("metrics have no gap")
	}
}

func TestGaps_AFirstRunHasNone(t *testing.T) {
	r := start(t, siteHook)
	r.eventually("a heartbeat", func() bool {
		_, metrics := r.admin("../../metrics")
		return strings.Contains(metrics, "tenterhook_build_info") && !strings.Contains(metrics, "tenterhook_listener_gap")
	})
	if s := r.status(); len(s.Gaps) != 0 || !s.LastRunAt.IsZero() {
		t.Fatalf("gaps %+v, last run %v", s.Gaps, s.LastRunAt)
	}
}

// TestSilence_ADaemonStartsTheActions goes through a silence with a real daemon, whose clock began
// an hour ago.
func TestSilence_ADaemonStartsTheActions(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks:
  - name: backup
    path: /backup
    provider: github
    secret: `+secret+`
    parse: form
    expect:
      every: 30m
      match: event == "push"
      on_missing: [{run: 'echo "$HOOK is $STATUS"', env: {HOOK: "${{ payload.hook }}", STATUS: "${{ payload.status }}"}}]
      on_back: [{run: 'echo "$LAST"', env: {LAST: "${{ payload.last }}"}}]
    run: echo the rule
`)
	now := time.Now()
	listenedUntil(t, dir, now.Add(-2*time.Hour), now)
	expecting(t, dir, job.Expectation{Hook: "backup", Since: now.Add(-time.Hour)})
	r := startIn(t, dir)
	first := r.ofRule("on_missing")
	if first.State != job.Succeeded || first.Attempts[0].Output != "backup is missing\n" {
		t.Fatalf("on_missing: %+v", first)
	}
	if s := r.status(); len(s.Expected) != 1 || s.Expected[0].MissingSince.IsZero() {
		t.Errorf("status %+v", s.Expected)
	}
	if _, metrics := r.admin("../../metrics"); !strings.Contains(metrics, `tenterhook_expect_missing{hook="backup"} 1`) {
		t.Errorf("metrics do not say that a delivery is missing")
	}
	must(t, r.stop())
	r = startIn(t, dir) // it is not told again
	if a := r.send("POST", "/backup", "a=1", map[string]string{"X-Hub-Signature-256": sign(secret, "a=1"), "X-GitHub-Delivery": "d1", "X-GitHub-Event": "push"}); a.status != 202 {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	if j := r.ofRule("on_back"); j.State != job.Succeeded || !strings.HasPrefix(j.Attempts[0].Output, time.Now().UTC().Format("2006-")) {
		t.Fatalf("on_back: %+v", j)
	}
	d, err := r.client.Delivery(t.Context(), first.Delivery)
	must(t, err)
	if d.Origin != "expect" || d.Event != "missing" || len(r.jobsOfRule("on_missing")) != 1 {
		t.Errorf("delivery %+v, %d jobs", d, len(r.jobsOfRule("on_missing")))
	}
	explained, err := r.client.Explain(t.Context(), admin.ExplainRequest{Delivery: first.Delivery})
	must(t, err)
	if len(explained.Rules) != 1 || explained.Rules[0].Rule != "on_missing" || explained.Rules[0].Verdict != job.Match {
		t.Errorf("explained: %+v", explained.Rules)
	}
	again, err := r.client.Replay(t.Context(), first.Delivery, admin.ReplayAll)
	must(t, err)
	if len(again) != 1 || again[0].Rule != "on_missing" {
		t.Errorf("replayed by id: %+v", again)
	}
}

// expecting writes into a store that no daemon has what it remembers of a hook.
func expecting(t *testing.T, dir string, e job.Expectation) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	must(t, err)
	must(t, db.SetExpectation(t.Context(), e, true))
	must(t, db.Close())
}

// jobsOfRule lists the jobs of a rule, newest first.
func (r *running) jobsOfRule(rule string) []admin.Job {
	r.t.Helper()
	jobs, _, err := r.client.Jobs(r.t.Context(), store.Filter{Rule: rule})
	must(r.t, err)
	return jobs
}

// ofRule waits for the first job of a rule and its end.
func (r *running) ofRule(rule string) admin.JobDetail {
	r.t.Helper()
	r.eventually("a job of "+rule, func() bool { return len(r.jobsOfRule(rule)) > 0 })
	return r.job(r.jobsOfRule(rule)[0].ID)
}

func TestMetrics_CountPanicsFromNoneOn(t *testing.T) {
	r := start(t, openHook)
	_, metrics := r.admin("../../metrics")
	for _, where := range []string{"delivery", "job", "api", "page", "relay"} {
		if !strings.Contains(metrics, `tenterhook_panics_total{where="`+where+`"} 0`) {
			t.Errorf("no count of panics in a %s", where)
		}
	}
}
