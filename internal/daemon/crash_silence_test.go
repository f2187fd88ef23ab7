package daemon_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

const expectHook = `hooks:
  - name: backup
    path: /backup
    provider: github
    secret: ` + secret + `
    match: "false"
    run: "true"
    expect: {every: 1h, on_missing: [{run: 'echo missing >> "$OUT"', env: {OUT: "LEDGER"}}], on_back: [{run: 'echo back >> "$OUT"', env: {OUT: "LEDGER"}}]}
`

// TestFleet_ASilenceIsToldOnceWhoeverDies: of two daemons that see the same silence, the one that leads is
// killed while it is about to be told of, and the one that takes the delivery which ends it.
func TestFleet_ASilenceIsToldOnceWhoeverDies(t *testing.T) {
	t.Parallel()
	url := postgrestest.Schema(t)
	ledger := filepath.Join(shortDir(t), "ledger")
	write(t, ledger, "")
	hooks := strings.ReplaceAll(expectHook, "LEDGER", ledger)
	a, b := newFleetNode(t, url, "a", hooks), newFleetNode(t, url, "b", hooks)
	client := admin.NewClient("unix:"+b.dir+"/admin.sock", "")
	eventually(t, "the clock's begin", func() bool {
		s, err := client.Status(t.Context())
		return err == nil && len(s.Expected) == 1
	})
	db, err := pgx.Connect(t.Context(), url)
	must(t, err)
	_, err = db.Exec(t.Context(), "UPDATE expectation SET since = since - interval '2 hours', last = last - interval '2 hours'")
	must(t, errors.Join(err, db.Close(t.Context())))
	a.process().kill() // it leads, having been the first
	told := func() []string { return strings.Fields(read(t, ledger)) }
	within(t, time.Minute, "the alarm", func() bool { return slices.Equal(told(), []string{"missing"}) })
	a.start() // and looks at once
	a.push("/backup", "d1", `{"ok":true}`)
	a.process().kill()
	within(t, time.Minute, "its end", func() bool { return slices.Equal(told(), []string{"missing", "back"}) })
	a.start()
	within(t, time.Minute, "both to know", func() bool {
		for _, n := range []*fleetNode{a, b} {
			s, err := admin.NewClient("unix:"+n.dir+"/admin.sock", "").Status(t.Context())
			if err != nil || len(s.Expected) != 1 || !s.Expected[0].MissingSince.IsZero() {
				return false
			}
		}
		return true
	})
	all, _, err := client.Deliveries(t.Context(), store.Filter{Hook: "backup"})
	must(t, err)
	if len(all) != 3 || len(told()) != 2 { // missing, what came, back
		t.Errorf("%d deliveries, told %q: %+v", len(all), told(), all)
	}
}
