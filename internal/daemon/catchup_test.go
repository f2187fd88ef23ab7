package daemon_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/sender/sendertest"
	"github.com/tenterhook/tenterhook/internal/store"
)

// catchupHook is a hook whose sender is asked for what did not arrive, and whose runs leave a line.
func catchupHook(dir, github string) string {
	return strings.Replace(header(dir), "drain: 10s", "drain: 10s, public_url: 'https://hooks.example.com'", 1) + fmt.Sprintf(`
hooks:
  - name: site
    path: /github
    provider: github
    secret: %s
    api: {url: '%s', token: %s, target: acme/site}
    catchup: {every: 1m}
    match: event == "push" && payload.n >= 0
    run: printf '%%s\n' "$KEY" >> '%s/runs'
    env: {KEY: "${{ delivery.key }}"}
`, secret, github, sendertest.Token, dir)
}

// sendMissed lets GitHub have sent n pushes in an hour that nobody answered.
func sendMissed(server *sendertest.Server, hook, n int, since time.Time) {
	for i := range n {
		server.Send(sendertest.Sent{
			Hook: hook, GUID: fmt.Sprintf("guid-%03d", i), Event: "push", Status: 502,
			At: since.Add(time.Hour * time.Duration(i) / time.Duration(n)), Body: fmt.Appendf(nil, `{"n": %d}`, i),
		})
	}
}

// TestCatchup_WhatWasSentWhileNobodyListenedRunsOnce is the story of a daemon that was killed, and
// came back an hour later: GitHub has sent 500 deliveries meanwhile, some of them twice, and limits
// who asks for them. Half-way the daemon is stopped once more.
func TestCatchup_WhatWasSentWhileNobodyListenedRunsOnce(t *testing.T) {
	const missed = 500
	server := sendertest.GitHub()
	defer server.Close()
	server.Ahead(7 * time.Minute) // GitHub's clock
	died := time.Now().Add(-time.Hour)
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), catchupHook(dir, server.URL))
	listenedUntil(t, dir, died.Add(-time.Hour), died)

	hook := server.Add(sendertest.Hook{URL: "https://hooks.example.com/github", Events: []string{"push"}, Active: true})
	server.Add(sendertest.Hook{URL: "https://other.example.com/github", Events: []string{"push"}, Active: true})
	server.Send(sendertest.Sent{Hook: hook, GUID: "for-another-receiver", Event: "push", At: died.Add(-24 * time.Hour), Body: []byte(`{"n": 1}`)})
	sendMissed(server, hook, missed, died.Add(7*time.Minute))
	server.Send(sendertest.Sent{Hook: hook, GUID: "guid-499", Event: "push", Status: 502, At: time.Now().Add(7 * time.Minute), Body: []byte(`{"n": 499}`)})
	server.Refuse(
		sendertest.Refusal{Status: http.StatusForbidden, Header: http.Header{"Retry-After": {"0"}}, Body: `{"message":"You have exceeded a secondary rate limit"}`},
		sendertest.Refusal{Status: http.StatusBadGateway, Header: http.Header{"Retry-After": {"0"}}},
	)

	r := startIn(t, dir)
	runs := func() []string {
		text, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Fields(string(text))
	}
	r.eventually("some to have run", func() bool { return len(runs()) >= 50 })
	must(t, r.stop())
	r = startIn(t, dir)
	r.eventually("all to have run", func() bool { return len(runs()) >= missed })
	times := map[string]int{}
	for _, key := range runs() {
		times[key]++
	}
	for i := range missed {
		if key := fmt.Sprintf("guid-%03d", i); times[key] != 1 {
			t.Errorf("%s ran %d times", key, times[key])
		}
	}
	if len(times) != missed {
		t.Errorf("%d deliveries ran, not %d", len(times), missed)
	}
	list, _, err := r.client.Deliveries(t.Context(), store.Filter{Hook: "site", Limit: 1})
	must(t, err)
	if len(list) != 1 || list[0].Origin != "catchup" {
		t.Errorf("deliveries %+v", list)
	}
	if log := r.log.String(); strings.Contains(log, sendertest.Token) || strings.Contains(log, secret) {
		t.Error("the log has a secret")
	}

	// Once more finds nothing, and asks for no payload again.
	server.Requests()
	caught, err := r.client.CatchUp(t.Context(), "site", "")
	must(t, err)
	if caught.Taken != 0 || caught.Known != missed || caught.More {
		t.Errorf("again: %+v", caught)
	}
	if asked := server.Requests(); len(asked) > 7 {
		t.Errorf("%d requests, the last %s", len(asked), asked[len(asked)-1])
	}
	t.Logf("%d deliveries caught up over a stop", len(times))
}

// TestCatchup_WhatArrivedIsNotRunAgain: also what failed here, although GitHub's own redelivery
// would give it another try.
func TestCatchup_WhatArrivedIsNotRunAgain(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	hook := server.Add(sendertest.Hook{URL: "https://hooks.example.com/github", Events: []string{"push"}, Active: true})
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(catchupHook(dir, server.URL), "run: ", "run: exit 3; ", 1))
	r := startIn(t, dir)
	body := `{"n": 1}`
	r.push("/github", "here", "push", body)
	server.Send(sendertest.Sent{Hook: hook, GUID: "here", Event: "push", Status: 0, At: time.Now(), Body: []byte(body)})
	failed := func() int {
		jobs, _, err := r.client.Jobs(t.Context(), store.Filter{Hook: "site", State: job.Failed})
		must(t, err)
		return len(jobs)
	}
	r.eventually("a failed job", func() bool { return failed() == 1 })
	caught, err := r.client.CatchUp(t.Context(), "site", "1h")
	must(t, err)
	if caught.Listed != 1 || caught.Known != 1 || caught.Taken != 0 {
		t.Errorf("caught %+v", caught)
	}
	jobs, _, err := r.client.Jobs(t.Context(), store.Filter{Hook: "site"})
	must(t, err)
	if len(jobs) != 1 || jobs[0].Attempt != 1 {
		t.Errorf("jobs %+v", jobs)
	}
}
