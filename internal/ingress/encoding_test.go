package ingress

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

func zipped(t *testing.T, content string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func signed(body []byte) string {
	mac := hmac.New(sha256.New, []byte("0123456789abcdef"))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestGzip_ItsContentIsTheBodyWhicheverWasSigned(t *testing.T) {
	content := `{"a":"` + strings.Repeat("x", 500) + `"}`
	for what, over := range map[string][]byte{"the content": []byte(content), "what was sent": zipped(t, content)} {
		g := newGate(t, openHook, nil)
		r, answer := g.post(t, "/signed", bytes.NewReader(zipped(t, content)), "Content-Encoding", "gzip", "Content-Type", "application/json", "X-Hub-Signature-256", signed(over), "X-GitHub-Delivery", what)
		if r.StatusCode != http.StatusAccepted {
			t.Errorf("signed over %s: answered %s %s", what, r.Status, answer)
			continue
		}
		if kept := g.store.kept[0]; string(kept.Body) != content || kept.Header.Get("Content-Encoding") != "" {
			t.Errorf("signed over %s: kept %d bytes, %v", what, len(kept.Body), kept.Header)
		}
	}
}

func TestGzip_ABombIsABodyThatIsTooLarge(t *testing.T) {
	g := newGate(t, openHook, nil)
	bomb := zipped(t, strings.Repeat("x", 64<<10)) // of a few hundred bytes, for a hook of at most 1 KiB
	if r, answer := g.post(t, "/site", bytes.NewReader(bomb), "Content-Encoding", "gzip"); r.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %s %s", r.Status, answer)
	}
	for what, body := range map[string][]byte{"cut off": bomb[:len(bomb)-4], "not gzip": []byte("hello")} {
		if r, answer := g.post(t, "/near", bytes.NewReader(body), "Content-Encoding", "gzip"); r.StatusCode < 400 {
			t.Errorf("%s: answered %s %s", what, r.Status, answer)
		}
	}
	if r, _ := g.post(t, "/signed", bytes.NewReader(bomb), "Content-Encoding", "gzip", "X-Hub-Signature-256", signed([]byte("other"))); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a forged bomb was answered %s", r.Status)
	}
	if len(g.store.kept) != 0 {
		t.Errorf("%d kept", len(g.store.kept))
	}
}
