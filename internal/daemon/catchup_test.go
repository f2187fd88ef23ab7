package daemon_test

import (
	"fmt"
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

// TestCatchup_AndReportAsAGitHubApp: nobody has a token; the App's webhook is caught up with the App's
// key, and its jobs are told of with a token of the installation on the delivery's repository.
func TestCatchup_AndReportAsAGitHubApp(t *testing.T) {
	server := sendertest.GitHub()
	defer server.Close()
	server.Ahead(-40 * time.Minute) // a JWT of our clock is of GitHub's future
	server.SetApp(sendertest.Hook{ID: 1000, URL: "https://hooks.example.com/github", Events: []string{"push"}})
	dir := shortDir(t)
	must(t, os.WriteFile(filepath.Join(dir, "app.pem"), sendertest.AppKey(), 0o600))
	hooks := strings.Replace(catchupHook(dir, server.URL), "token: "+sendertest.Token+", target: acme/site", "app: {id: "+sendertest.AppID+", key: '${file:app.pem}'}, target: apps/deployer", 1)
	write(t, filepath.Join(dir, "hooks.yaml"), hooks+"    report: github-status\n")
	listenedUntil(t, dir, time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour))
	for n := range 5 {
		body := strings.Replace(pushBody(0), "{", fmt.Sprintf(`{"n":%d,`, n), 1)
		server.Send(sendertest.Sent{Hook: 1000, GUID: fmt.Sprint("guid-", n), Event: "push", Status: 502, At: time.Now().Add(-50 * time.Minute), Body: []byte(body)})
	}
	r := startIn(t, dir)
	r.eventually("all to have run", func() bool { return len(runsIn(dir)) == 5 })
	r.eventually("all to be told of", func() bool { return strings.Count(strings.Join(states(server.Told()), " "), "success") == 5 })
	if n := server.AppTokens(); n != 1 {
		t.Errorf("%d tokens of the installation", n)
	}
	if log := r.log.String(); strings.Contains(log, "ghs_") || strings.Contains(log, "PRIVATE") || strings.Contains(log, "eyJ") {
		t.Error("the log has a token")
	}
}
