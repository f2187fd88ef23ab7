package verify

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/request"
)

var now = time.Unix(1_700_000_000, 0)

// post is a POST with headers written "Name: value", each line one header as it is sent.
func post(body string, headers ...string) *request.Request {
	r := &request.Request{Method: "POST", Path: "/hook", Host: "hooks.example.com", Header: http.Header{}, Body: []byte(body)}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func secrets(list ...string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

// signed signs with the first secret, and fails the test if that is impossible.
func signed(t testing.TB, v Verifier, r *request.Request, secret string) *request.Request {
	t.Helper()
	if err := v.Sign(r, []byte(secret), now); err != nil {
		t.Fatalf("Sign: %v", err)
	}
	return r
}

func wantError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want %q", want)
	case want != "" && err.Error() != want:
		t.Errorf("error is %q, want %q", err, want)
	}
}

// inHeader is an HMAC that looks at X-Signature.
func inHeader(adjust ...func(*HMAC)) *HMAC {
	h := NewHMAC()
	h.Header = []string{"X-Signature"}
	for _, f := range adjust {
		f(h)
	}
	return h
}

func inPairs(h *HMAC) {
	h.SignatureKey, h.Timestamp.Key, h.Signed = "v1", "t", "{timestamp}.{body}"
}
