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

func TestRequest_AllAttemptsOfARuleAreSent(t *testing.T) {
	var hits atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer target.Close()
	r := start(t, `hooks:
  - name: out
    path: /out
    provider: github
    secret: `+secret+`
    http: {url: "`+target.URL+`", allow_private: true}
    retry: {attempts: 8, initial: 1ms, max: 1ms}
`)
	for n := range 2 { // the failures of one job are not held against the next
		j := r.job(r.push("/out", fmt.Sprintf("d%d", n), "push", `{}`).json.Jobs[0])
		if j.State != job.Failed || j.Error != "answered 503 Service Unavailable" || len(j.Attempts) != 8 || hits.Load() != int64(8*(n+1)) {
			t.Fatalf("%s: %s, %d attempts, %d requests", j.State, j.Error, len(j.Attempts), hits.Load())
		}
	}
}
