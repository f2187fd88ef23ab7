package daemon_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tenterhook/tenterhook/internal/job"
)

const signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// One daemon signs what it sends, and another verifies it by its preset.
func TestRequest_ASignedOneIsADeliveryForAnotherDaemon(t *testing.T) {
	receiver := start(t, `hooks:
  - name: inbox
    path: /inbox
    provider: standard
    secret: `+signingSecret+`
    run: printf '%s' "$REF"
    env: {REF: "${{ payload.ref }}"}
`)
	sender := start(t, fmt.Sprintf(`hooks:
  - name: right
    path: /right
    provider: github
    secret: %[1]s
    http: {url: "%[2]s", allow_private: true, sign: {scheme: standard, secret: %[3]s}}
  - name: wrong
    path: /wrong
    provider: github
    secret: %[1]s
    http: {url: "%[2]s", allow_private: true, sign: {scheme: standard, secret: whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}}
`, secret, receiver.url("/inbox"), signingSecret))

	sent := sender.push("/right", "d1", "push", `{"ref":"main"}`)
	j := sender.job(sent.json.Jobs[0])
	if j.State != job.Succeeded || j.Attempts[0].Status != 202 || !strings.Contains(j.Attempts[0].Output, `"status":"accepted"`) {
		t.Fatalf("%s: %s %+v", j.State, j.Reason, j.Attempts)
	}
	_, list := receiver.admin("deliveries")
	if !strings.Contains(list, `"`+j.ID+`"`) { // the message's id is the receiver's key
		t.Errorf("the receiver has %s", list)
	}

	sent = sender.push("/wrong", "d2", "push", `{"ref":"main"}`)
	if j := sender.job(sent.json.Jobs[0]); j.State != job.Failed || j.Attempts[0].Status != 401 || len(j.Attempts) != 1 {
		t.Errorf("%s: %s %+v", j.State, j.Reason, j.Attempts)
	}
	for _, file := range []string{"t.db", "t.db-wal"} {
		content, err := os.ReadFile(filepath.Join(sender.dir, file))
		if err == nil && strings.Contains(string(content), strings.TrimPrefix(signingSecret, "whsec_")) {
			t.Errorf("%s holds the secret", file)
		}
	}
	if strings.Contains(sender.log.String(), "MfKQ9r8") {
		t.Error("the log holds the secret")
	}
}

func TestRequest_AReloadDoesNotForgetThatATargetFails(t *testing.T) {
	var hits atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer target.Close()
	hooks := `hooks:
  - name: out
    path: /out
    provider: github
    secret: ` + secret + `
    http: {url: "` + target.URL + `/%s", allow_private: true}
    retry: {attempts: 8, initial: 1ms, max: 1ms}
`
	r := start(t, fmt.Sprintf(hooks, "a"))
	j := r.job(r.push("/out", "d1", "push", `{}`).json.Jobs[0])
	want := "target " + target.URL + " is failing, 5 times in a row: not tried again before "
	if j.State != job.Failed || !strings.HasPrefix(j.Error, want) || len(j.Attempts) != 8 || hits.Load() != 5 {
		t.Fatalf("%s: %s, %d attempts, %d requests", j.State, j.Error, len(j.Attempts), hits.Load())
	}

	write(t, filepath.Join(r.dir, "hooks.yaml"), header(r.dir)+fmt.Sprintf(hooks, "b"))
	if result, err := r.client.Reload(t.Context()); err != nil || !result.Changed {
		t.Fatalf("reload: %+v %v", result, err)
	}
	j = r.job(r.push("/out", "d2", "push", `{}`).json.Jobs[0])
	if j.State != job.Failed || !strings.HasPrefix(j.Error, want) || hits.Load() != 5 {
		t.Errorf("after a reload: %s: %s, %d requests", j.State, j.Error, hits.Load())
	}
}
