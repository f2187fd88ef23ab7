package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

const secret = "0123456789abcdef0123456789abcdef"

// push is a push to main of about 2 kB, cut from GitHub's published example.
var push = func() string {
	commit := `{"id":"%040d","message":"Update README.md","timestamp":"2019-05-15T11:20:30-04:00","author":{"name":"Codertocat","email":"21031067+Codertocat@users.noreply.github.com","username":"Codertocat"},"added":[],"removed":[],"modified":["README.md"]}`
	var commits []string
	for i := range 6 {
		commits = append(commits, fmt.Sprintf(commit, i))
	}
	return `{"ref":"refs/heads/main","before":"6113728f27ae82c7b1a177c8d03f9e96e0adf246","after":"ec26c3e57ca3a959ca5aad62de7213c562f8c821","repository":{"id":186853002,"full_name":"Codertocat/Hello-World","private":false},"pusher":{"name":"Codertocat"},"commits":[` + strings.Join(commits, ",") + `]}`
}()

func signature(body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// shot is what a load generator sends again and again.
type shot struct {
	path      string
	body      string
	signature string
	same      bool // every request is the same delivery; otherwise each has an id of its own
}

// genuine is a signed push to a path.
func genuine(path string) shot { return shot{path: path, body: push, signature: signature(push)} }

// forged is one whose signature is of another body.
func forged(path string) shot { return shot{path: path, body: push, signature: signature("another")} }

// repeated is one delivery again and again.
func repeated(path string) shot {
	return shot{path: path, body: push, signature: signature(push), same: true}
}

// large is a signed push whose one string is so long that the body has size bytes. Its letters are
// those of base64 in the order of chance: nothing repeats, and what compression gains are the two bits
// that such a letter does not use.
func large(path string, size int) shot {
	frame := `{"ref":"refs/heads/main","text":"%s"}`
	text := make([]byte, size-len(frame)+2)
	x := uint64(88172645463325252)
	for i := range text { // does not compress well
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		text[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x&63]
	}
	body := fmt.Sprintf(frame, text)
	return shot{path: path, body: body, signature: signature(body)}
}

func (s shot) headers() map[string]string {
	return map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/0123456", "Accept": "*/*",
		"X-GitHub-Event": "push", "X-GitHub-Hook-ID": "292430182", "X-Hub-Signature-256": s.signature,
	}
}

var (
	serial atomic.Uint64
	origin = uint64(time.Now().UnixNano())
)

// deliveryID is like GitHub's: a UUID whose first digits scatter, so that the index of keys is
// met everywhere and not only at its end.
func deliveryID() string { return scattered(origin, serial.Add(1)) }

func scattered(seed, n uint64) string {
	x := (n + seed) * 0x9e3779b97f4a7c15
	return fmt.Sprintf("%08x-%04x-11ef-8%03x-%012x", uint32(x>>32), uint16(x>>16), uint16(seed)&0xfff, n&0xffffffffffff)
}

// theSame is the id of every delivery of a shot that repeats one.
const theSame = "72d3162e-cc78-11e3-81ab-4c9367dc0958"

// id is the id of the next delivery.
func (s shot) id() string {
	if s.same {
		return theSame
	}
	return deliveryID()
}

// request makes the next request to a server.
func (s shot) request(ctx context.Context, addr string) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+s.path, strings.NewReader(s.body))
	if err != nil {
		return nil, err
	}
	for name, value := range s.headers() {
		r.Header.Set(name, value)
	}
	r.Header.Set("X-GitHub-Delivery", s.id())
	return r, nil
}
