package ingress

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/hook"
	"github.com/tenterhook/tenterhook/internal/job"
)

const fuzzSecret = "k3y-0f-th3-fuzz1ng-hook"

// fuzzHooks are routed, read, verified and planned in different ways. Only /open takes what is not signed.
const fuzzHooks = `
  - name: site
    path: /site
    provider: github
    secret: ` + fuzzSecret + `
    max_body: 64KiB
    match: event == "push" and branch == "main"
    run: ":"
  - {name: token, path: "/token/{who}", verify: {scheme: token, header: X-Token}, secret: ` + fuzzSecret + `, match: 'params.who != payload.who', run: ":"}
  - {name: field, path: /field, verify: {scheme: token, field: auth.token}, secret: ` + fuzzSecret + `, run: ":"}
  - {name: query, path: /query, verify: {scheme: token, query: token}, secret: ` + fuzzSecret + `, run: ":"}
  - {name: open, path: /open, verify: none, max_body: 4KiB, match: 'len(body) > 0 and header("X-A") == query.a', dedupe: {key: '${{ header("X-A") }}'}, run: ":"}
`

// refusalLine is all that a sender is told of a refusal: a word and, for two of them, a figure.
var refusalLine = regexp.MustCompile(`^\{"error":"[a-z_]+"(,"(limit|retry_after|allow)":[^{}]*)?\}\n$`)

// FuzzRequest sends any bytes as a whole request, signed when it says so, through everything before
// the store: nothing panics, what is not proven is not stored, what is refused is answered by a word,
// and the secret is neither answered nor logged nor stored.
func FuzzRequest(f *testing.F) {
	const push = `{"ref":"refs/heads/main","repository":{"full_name":"a/b"},"who":"x","auth":{"token":"` + fuzzSecret + `"}}`
	for _, head := range []string{
		"POST /site HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\nX-GitHub-Delivery: 1\r\n",
		"POST /site HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nX-GitHub-Event: ping\r\n",
		"PUT /token/%2e%2E HTTP/1.1\r\nHost: a\r\nX-Token: " + fuzzSecret + "\r\nContent-Encoding: gzip\r\n",
		"POST /field?a=1 HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n",
		"POST /query?token=" + fuzzSecret + " HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n",
		"POST /open?a=b HTTP/1.0\r\nX-A: b\r\nContent-Type: application/xml\r\n",
		"GET //site/../open HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n",
	} {
		f.Add([]byte(head), []byte(push), false)
		f.Add([]byte(head), []byte(push), true)
	}
	set := compiled(f, fuzzHooks)
	f.Fuzz(func(t *testing.T, head, body []byte, signed bool) {
		r := parsed(head, body, signed)
		if r == nil {
			return
		}
		kept, log := &shelf{}, &bytes.Buffer{}
		h := New(Options{
			Hooks: func() *hook.Set { return set }, Store: kept, Full: func() bool { return false },
			Log: slog.New(slog.NewTextHandler(log, nil)), Observe: &tally{},
		})
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		answer := w.Body.String()
		switch {
		case w.Code == http.StatusInternalServerError:
			t.Errorf("answered %d %s; log: %s", w.Code, answer, log)
		case w.Code >= 300 && !refusalLine.MatchString(answer):
			t.Errorf("refused with %d by %q", w.Code, answer)
		case w.Code >= 300 && len(kept.kept) > 0:
			t.Errorf("stored, and refused with %d", w.Code)
		}
		if strings.Contains(answer+log.String(), fuzzSecret) {
			t.Errorf("the secret is in the answer or the log: %s %s", answer, log)
		}
		for _, d := range kept.kept {
			if !proven(d, r, body) {
				t.Errorf("stored for %q without a proof: %q", d.Hook, d.Body)
			}
		}
	})
}

// parsed is a request as net/http would hand it on, or nil where it would not.
func parsed(head, body []byte, signed bool) *http.Request {
	var wire bytes.Buffer
	wire.Write(bytes.TrimRight(head, "\r\n"))
	if signed {
		wire.WriteString("\r\nX-Hub-Signature-256: " + signature(body))
	}
	wire.WriteString("\r\n\r\n")
	r, err := http.ReadRequest(bufio.NewReader(&wire))
	if err != nil {
		return nil
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body)) // framing is net/http's
	r.RemoteAddr = "192.0.2.1:1"
	return r
}

func signature(body []byte) string {
	mac := hmac.New(sha256.New, []byte(fuzzSecret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// proven decides again, the slow way, whether a request shows that its sender has the secret.
func proven(d *job.Delivery, r *http.Request, sent []byte) bool {
	switch d.Hook {
	case "open":
		return true
	case "site":
		said := strings.TrimSpace(r.Header.Get("X-Hub-Signature-256"))
		return strings.EqualFold(said, signature(sent)) || strings.EqualFold(said, signature(unpacked(r, sent)))
	case "token":
		return strings.Contains(strings.Join(r.Header["X-Token"], "\n"), fuzzSecret)
	case "query":
		return strings.Contains(r.URL.RawQuery, "token=") && !strings.Contains(d.Query, fuzzSecret)
	case "field": // what is stored has the token taken out
		return bytes.Contains(unpacked(r, sent), []byte("token")) && !bytes.Contains(d.Body, []byte(`"`+fuzzSecret+`"`))
	}
	return false
}

func unpacked(r *http.Request, body []byte) []byte {
	if !strings.Contains(strings.ToLower(r.Header.Get("Content-Encoding")), "gzip") {
		return body
	}
	z, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(z, 1<<20)) // as far as it goes
	return plain
}
