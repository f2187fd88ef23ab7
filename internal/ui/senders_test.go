package ui_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// sendersSide has hooks whose deliveries are held, taken and expected. The one that takes takes from the
// same daemon's relay.
const sendersSide = `relay:
  listen: RELAY
  takers:
    - {name: laptop, token: laptop-token-0123456789abcdef, hooks: [held, full]}
    - {name: build-server, token: server-token-0123456789abcdef, hooks: [relayed, held]}
hooks:
  - {name: held, path: /held, provider: github, secret: SECRET, hold: true}
  - {name: full, path: /full, provider: github, secret: SECRET, hold: {most: 2}}
  - {name: relayed, path: /relayed, provider: github, secret: SECRET, hold: true}
  - name: taking
    path: /taking
    provider: github
    secret: SECRET
    pull: {tenterhook: 'http://RELAY', token: server-token-0123456789abcdef, hook: relayed}
    run: echo taken
  - name: away
    path: /away
    provider: github
    secret: SECRET
    pull: {smee: 'http://127.0.0.1:1/no-such-channel'}
    run: echo never
  - name: backup
    path: /backup
    provider: github
    secret: SECRET
    expect: {every: 26h}
    run: echo stored
`

// longAgo writes what the sender's side looks like after a bad week: nobody listened three times, held
// deliveries wait, were refused, and are too old by now, and what was expected did not come.
func longAgo(t *testing.T, dir string) {
	t.Helper()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{})
	ok(err)
	now := time.Now()
	hold := func(hook string, at time.Time, n int) (ids []string) {
		for range n {
			d := &job.Delivery{
				ID: job.NewID(), Hook: hook, Key: job.NewID(), Window: time.Hour, OnDuplicate: job.Skip, ReceivedAt: at,
				Origin: job.OriginRequest, Outcome: job.Accepted, Held: &job.Held{At: at},
			}
			_, err := db.Accept(t.Context(), d, nil)
			ok(err)
			ids = append(ids, d.ID)
		}
		return ids
	}
	hold("held", now.Add(-400*24*time.Hour), 3)
	waiting := hold("held", now.Add(-2*time.Hour), 41)
	_, err = db.SettleHeld(t.Context(), job.HeldEnd{Hooks: []string{"held"}, Deliveries: waiting[:2], State: job.HeldRefused, Reason: "verification_failed", At: now})
	ok(err)
	hold("full", now.Add(-20*time.Minute), 2)
	ok(db.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: now.Add(-9 * 24 * time.Hour), Until: now.Add(-10*time.Hour - 30*time.Minute)}))
	for i := range 4 {
		from := now.Add(time.Duration(-10+2*i) * time.Hour)
		ok(db.KeepListened(t.Context(), job.Listened{ID: job.NewID(), Since: from, Until: from.Add(90 * time.Minute)}))
	}
	ok(db.SetExpectation(t.Context(), job.Expectation{Hook: "backup", Since: now.Add(-9 * 24 * time.Hour), Last: now.Add(-55 * time.Hour), Silent: now.Add(-55 * time.Hour)}, true))
	ok(db.Close())
}

// serveSenders runs it.
func serveSenders(t *testing.T) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	s := serveOn(t, "", strings.ReplaceAll(sendersSide, "RELAY", l.Addr().String()), func(dir string) { longAgo(t, dir) })
	push := readPayload(t, "github-push")
	s.push("/relayed", push)
	within(t, "what was held to be taken, and another source to fail", func() bool {
		status, err := s.client.Status(t.Context())
		if err != nil {
			return false
		}
		ready := status.Held[0].Lost == 3
		for _, x := range status.Sources {
			ready = ready && (x.Hook == "taking" && x.Taken == 1 || x.Hook == "away" && x.Problem != "")
		}
		return ready
	})
	return s
}

// TestBrowser_ShowsTheSendersSide: what did not come, is held, or is taken from elsewhere.
func TestBrowser_ShowsTheSendersSide(t *testing.T) {
	s := serveSenders(t)
	b := s.open()
	b.logIn()
	b.goTo("/")
	for _, text := range []string{
		"backup: an expected delivery did not come nothing for 2d; one was due 24h ago",
		"away: not connected to its smee channel connect: dial tcp 127.0.0.1:1",
		"held: 3 held deliveries were deleted that nobody had taken",
		"full: no more can be held 2 held deliveries wait for a taker, the oldest for 20m; laptop was not seen since the start; senders are told to come again",
		"held: a taker refused 2 deliveries",
		"held: 39 held deliveries wait for a taker the oldest for 2h; laptop was not seen since the start; build-server was not seen since the start",
		"Nobody listened for 30m, until 4h ago",
		"And 3 more times in the last 24h for 1h together",
	} {
		b.sees(".notices", text)
	}
	const want = "bad bad bad bad bad warn wait wait wait"
	if got := value[string](b, `[...document.querySelectorAll(".notice")].map(n => n.className.match(/n-(\w+)/)[1]).join(" ")`); got != want {
		t.Errorf("the gravest are not first: %s", got)
	}
	b.goTo("/hooks")
	for hook, word := range map[string]string{"held": "not taken", "full": "full", "relayed": "healthy", "taking": "healthy", "away": "not connected", "backup": "missing"} {
		b.sees("tr:has(a[href='/hooks/"+hook+"'])", word)
	}
	for hook, texts := range map[string][]string{
		"held":   {"39 of at most 10,000", "2 kept; replay one to hand it out again", "3 by retention, since the start", "laptop", "None: what is held is run where it is taken."},
		"taking": {"tenterhook", "connected", "1 taken"},
		"away":   {"not connected", "connection refused", "0 taken"},
		"backup": {"every 26h", "missing"},
	} {
		b.goTo("/hooks/" + hook)
		for _, text := range texts {
			b.sees("main", text)
		}
		b.check()
	}
	if dir := os.Getenv("TENTERHOOK_LOOK"); dir != "" {
		for _, path := range []string{"/", "/hooks", "/hooks/held", "/hooks/full", "/hooks/taking", "/hooks/away", "/hooks/backup"} {
			name := fmt.Sprintf("senders%s", strings.ReplaceAll(path, "/", "-"))
			b.picture(dir, name, path, 1200, 900, "light")
			b.picture(dir, name+"-phone", path, 390, 900, "dark")
		}
	}
}
