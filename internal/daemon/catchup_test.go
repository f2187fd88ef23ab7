package daemon_test

import (
	"fmt"
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
