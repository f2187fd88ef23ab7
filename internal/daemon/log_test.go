package daemon_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
)

func TestDaemon_KeepsTheWholeOutputOfAnAttemptInAFile(t *testing.T) {
	r := start(t, `hooks:
  - name: long
    path: /long
    verify: {scheme: bearer}
    secret: `+secret+`
    limits: {output: 1KiB, log: 1MiB}
    run: seq 1 10000
`)
	a := r.send("POST", "/long", "{}", map[string]string{"Authorization": "Bearer " + secret, "Content-Type": "application/json"})
	if a.status != http.StatusAccepted {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	r.eventually("the job to end", func() bool { return r.job(a.json.Jobs[0]).State == job.Succeeded })
	all, err := r.client.Log(t.Context(), a.json.Jobs[0], 0)
	must(t, err)
	if n := strings.Count(string(all), "\n"); n != 10000 || !strings.HasPrefix(string(all), "1\n2\n") || !strings.HasSuffix(string(all), "9999\n10000\n") {
		t.Errorf("%d lines", n)
	}
	kept, err := r.client.Output(t.Context(), a.json.Jobs[0], 1)
	must(t, err)
	if len(kept.Body) > 2048 {
		t.Errorf("%d bytes are kept in the store", len(kept.Body))
	}
	if _, err := r.client.Log(t.Context(), a.json.Jobs[0], 2); err == nil {
		t.Error("an attempt that was not has a log")
	}
}
