package daemon_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/store"
)

// clientOf asks the daemon of a folder.
func clientOf(t *testing.T, dir string) *admin.Client {
	t.Helper()
	c := admin.NewClient("unix:"+dir+"/admin.sock", "")
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// takenBy are the keys of what a daemon has in its store.
func takenBy(t *testing.T, c *admin.Client) map[string]bool {
	t.Helper()
	list, _, err := c.Deliveries(t.Context(), store.Filter{Hook: "site", Limit: 500})
	must(t, err)
	keys := map[string]bool{}
	for _, d := range list {
		if keys[d.Key] {
			t.Errorf("%s is stored twice by one taker", d.Key)
		}
		keys[d.Key] = true
	}
	return keys
}

// TestRelay_SeveralTakersShare: each delivery goes to one of two, the real programs with names and stores
// of their own; what one has that is killed goes to the other, unless it was on its disk, and runs there.
func TestRelay_SeveralTakersShare(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes")
	}
	t.Parallel()
	relayDir, listen := shortDir(t), freePort(t)
	config := strings.Replace(relayConfig(relayDir, listen), "token: "+serverToken+", hooks: [other]", "token: "+serverToken+", hooks: [site, other]", 1)
	write(t, filepath.Join(relayDir, "hooks.yaml"), config)
	r := launch(t, relayDir)
	dirs := map[string]string{laptopToken: shortDir(t), serverToken: shortDir(t)}
	takers := map[string]*process{}
	for token, dir := range dirs {
		write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(takerConfig(dir, listen), laptopToken, token, 1))
		takers[token] = launch(t, dir)
	}
	laptop, server, relay := clientOf(t, dirs[laptopToken]), clientOf(t, dirs[serverToken]), clientOf(t, relayDir)

	sent := 0
	push := func(n int) {
		for range n {
			signed(t, r.url+"/github", fmt.Sprintf("key-%03d", sent), fmt.Sprintf(`{"n":%d}`, sent), secret)
			sent++
		}
	}
	within(t, time.Minute, "both to have taken some", func() bool {
		if sent < 200 {
			push(10)
		}
		return len(takenBy(t, laptop)) > 2 && len(takenBy(t, server)) > 2
	})
	killed := make(chan struct{})
	go func() { takers[laptopToken].kill(); close(killed) }() // while more comes
	push(60)
	<-killed
	held := func() admin.HeldStatus {
		s, err := relay.Status(t.Context())
		must(t, err)
		return s.Held[0]
	}
	within(t, time.Minute, "the other to take all that is left", func() bool { return held().Waiting == 0 })
	takers[laptopToken] = launch(t, dirs[laptopToken]) // what was on its disk runs now
	ran, both := map[string]bool{}, 0
	within(t, time.Minute, "all to have run", func() bool {
		ran, both = map[string]bool{}, 0
		for _, key := range append(runsIn(dirs[laptopToken]), runsIn(dirs[serverToken])...) {
			ran[key] = true
		}
		return len(ran) == sent
	})
	byServer := takenBy(t, server)
	for key := range takenBy(t, laptop) {
		if byServer[key] {
			both++ // it had not said so when it was killed
		}
	}
	h := held()
	if len(h.Takers) != 2 || h.Takers[0].Taken == 0 || h.Takers[1].Taken == 0 || h.Takers[0].Taken+h.Takers[1].Taken != int64(sent) {
		t.Errorf("held %+v of %d", h, sent)
	}
	if both > 100 { // one answer of the relay
		t.Errorf("%d of %d deliveries were taken by both", both, sent)
	}
	t.Logf("%d deliveries, %d by the one and %d by the other, %d by both since one was killed, 0 lost", sent, h.Takers[0].Taken, h.Takers[1].Taken, both)
}
