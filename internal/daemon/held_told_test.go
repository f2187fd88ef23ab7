package daemon_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/pull"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// heldBefore writes into a store that no daemon has deliveries that were held long ago, the first of
// which was acknowledged and the second refused.
func heldBefore(t *testing.T, dir string, at time.Time, n int) {
	t.Helper()
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{})
	must(t, err)
	var ids []string
	for i := range n {
		d := &job.Delivery{ID: job.NewID(), Hook: "site", Key: fmt.Sprint(i), Window: time.Hour, OnDuplicate: job.Skip, ReceivedAt: at, Origin: job.OriginRequest, Outcome: job.Accepted, Held: &job.Held{At: at}}
		_, err := db.Accept(t.Context(), d, nil)
		must(t, err)
		ids = append(ids, d.ID)
	}
	for i, state := range []job.HeldState{job.HeldAcknowledged, job.HeldRefused} {
		_, err = db.SettleHeld(t.Context(), job.HeldEnd{Hooks: []string{"site"}, Deliveries: ids[i : i+1], State: state, At: at})
		must(t, err)
	}
	must(t, db.Close())
}

// sample reads a series of /metrics, "" when there is none.
func (r *running) sample(series string) string {
	r.t.Helper()
	_, text := r.admin("../../metrics")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestRelay_TellsWhatNobodyTook: retention that deletes what no taker has is an error of the log, once,
// a figure of status and a metric; what was taken goes in silence.
func TestRelay_TellsWhatNobodyTook(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), relayConfig(dir, "127.0.0.1:0"))
	heldBefore(t, dir, time.Now().Add(-400*24*time.Hour), 450) // more than one slice of retention
	r := startIn(t, dir)
	r.eventually("the log to say so", func() bool { return strings.Contains(r.log.String(), "deliveries=448 state=waiting") })
	if log := r.log.String(); strings.Count(log, "held deliveries deleted that nobody has taken") != 2 || !strings.Contains(log, "hook=site deliveries=1 state=refused") {
		t.Errorf("log: %s", log)
	}
	if h := r.heldOf("site"); h.Lost != 449 {
		t.Errorf("held %+v", h)
	}
	for series, want := range map[string]string{
		`tenterhook_held_lost_total{hook="site",state="waiting"}`:  "448",
		`tenterhook_held_lost_total{hook="site",state="refused"}`:  "1",
		`tenterhook_held_lost_total{hook="other",state="waiting"}`: "0",
	} {
		if got := r.sample(series); got != want {
			t.Errorf("%s is %q, not %s", series, got, want)
		}
	}
}

// TestRelay_TellsItsBacklog by hook and by taker, while one has a delivery and after its lease is over.
func TestRelay_TellsItsBacklog(t *testing.T) {
	t.Parallel()
	r := startRelay(t)
	for i := range 3 {
		r.push("/github", fmt.Sprint(i), "push", "{}")
	}
	tell := func(when string, want map[string]string) {
		t.Helper()
		for series, value := range want {
			r.eventually(fmt.Sprintf("%s: %s to be %s, it is %s", when, series, value, r.sample(series)), func() bool { return r.sample(series) == value })
		}
	}
	tell("held", map[string]string{
		`tenterhook_held_deliveries{hook="site",state="waiting"}`: "3", `tenterhook_held_limit{hook="other"}`: "3",
		`tenterhook_taker_deliveries{hook="site",taker="laptop"}`: "0", `tenterhook_taker_seen_timestamp_seconds{hook="site",taker="laptop"}`: "",
	})
	if age := r.sample(`tenterhook_held_oldest_seconds{hook="site"}`); age == "" || age == "0" {
		t.Errorf("the oldest has waited for %q", age)
	}
	var got pull.TakeAnswer
	r.ask("Bearer "+laptopToken, pull.TakePath, pull.TakeRequest{Hooks: []string{"site"}, Most: 2}, &got)
	r.ask("Bearer "+laptopToken, pull.SettlePath, pull.SettleRequest{Hooks: []string{"site"}, Refused: []pull.Refused{{ID: got.Deliveries[1].ID, Reason: "no"}}}, nil)
	if h := r.heldOf("site"); h.Waiting != 2 || h.Taken != 1 || h.Refused != 1 || h.Takers[0].Has != 1 || h.Takers[0].Refused != 1 {
		t.Errorf("held %+v", h)
	}
	tell("handed out", map[string]string{
		`tenterhook_held_deliveries{hook="site",state="waiting"}`: "1", `tenterhook_held_deliveries{hook="site",state="taken"}`: "1",
		`tenterhook_held_deliveries{hook="site",state="refused"}`: "1", `tenterhook_taker_deliveries{hook="site",taker="laptop"}`: "1",
		`tenterhook_taker_refused_total{hook="site",taker="laptop"}`: "1", `tenterhook_taker_taken_total{hook="other",taker="server"}`: "0",
	})
	tell("after the lease", map[string]string{
		`tenterhook_held_deliveries{hook="site",state="waiting"}`: "2", `tenterhook_taker_deliveries{hook="site",taker="laptop"}`: "0",
	})
	r.ask("Bearer "+laptopToken, pull.SettlePath, pull.SettleRequest{Hooks: []string{"site"}, Taken: []string{got.Deliveries[0].ID}}, nil)
	tell("acknowledged", map[string]string{
		`tenterhook_held_deliveries{hook="site",state="waiting"}`: "1", `tenterhook_taker_taken_total{hook="site",taker="laptop"}`: "1",
	})
}

// TestPull_TellsHowItIsWithASource: since when it is connected, what came, and why it was lost.
func TestPull_TellsHowItIsWithASource(t *testing.T) {
	t.Parallel()
	listen := freePort(t)
	relayDir, dir := shortDir(t), shortDir(t)
	write(t, filepath.Join(relayDir, "hooks.yaml"), relayConfig(relayDir, listen))
	write(t, filepath.Join(dir, "hooks.yaml"), takerConfig(dir, listen))
	k := startIn(t, dir)
	const of = `{hook="site",source="tenterhook"}`
	k.eventually("a problem", func() bool { return strings.Contains(k.source().Lost, "connection refused") })
	if s := k.source(); s.LostAt.IsZero() || !s.ConnectedAt.IsZero() || k.sample("tenterhook_source_connected"+of) != "0" || k.sample("tenterhook_source_lost_total"+of) != "0" {
		t.Errorf("source %+v", s)
	}
	r := startIn(t, relayDir)
	k.eventually("a connection", func() bool { return k.sample("tenterhook_source_connected"+of) == "1" })
	r.push("/github", "one", "push", "{}")
	k.eventually("a delivery", func() bool { return k.sample("tenterhook_source_taken_total"+of) == "1" })
	if s := k.source(); s.Problem != "" || s.Lost == "" || s.Taken != 1 || s.LastAt.IsZero() || k.sample("tenterhook_source_last_timestamp_seconds"+of) == "" {
		t.Errorf("source %+v", s)
	}
	must(t, r.stop())
	k.eventually("the loss", func() bool { return k.sample("tenterhook_source_lost_total"+of) == "1" })
	if s := k.source(); s.Problem == "" || s.Elsewhere {
		t.Errorf("source %+v", s)
	}
}
