package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// rawRequests are what no well-meant client sends, as bytes. Each connection also carries a second
// request, for /smuggled, behind or inside the first.
var rawRequests = []struct {
	id, what, bytes string
	answers         []int // allowed for the first answer
	closes          bool  // the second request must have no answer
}{
	{"D8", "length and chunks", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{200, 202, 400}, true},
	{"D8", "chunks and length", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + smuggled, []int{200, 202, 400}, true},
	{"D8", "two lengths", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "two lengths in one", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 0, 5\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "a negative length", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "a length with a sign", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: +0\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "a hexadecimal length", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 0x0\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "an unknown coding", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: cow\r\n\r\n" + smuggled, []int{501, 400}, true},
	{"D8", "two codings", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + smuggled, []int{501, 400}, true},
	{"D8", "a coding twice", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, []int{501, 400}, true},
	{"D8", "a coding behind a tab", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding:\tchunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" + smuggled, []int{200, 202, 400}, true},
	{"D8", "a space before the colon", "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length : 0\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "a header that goes on", "POST /open HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", []int{200, 202, 400}, false},
	{"D8", "a chunk of no number", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + smuggled, []int{400}, true},
	{"D8", "a negative chunk", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n" + smuggled, []int{400}, true},
	{"D8", "a chunk of all there is", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n" + smuggled, []int{400, 413}, true},
	{"D8", "a chunk larger than any", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n" + smuggled, []int{400}, true},
	{"D8", "a chunk that does not end", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "an endless extension of a chunk", "POST /open HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x", 64<<10) + "\r\na\r\n0\r\n\r\n" + smuggled, []int{400}, true},
	{"D8", "a trailer that signs", "POST /signed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-Hub-Signature-256\r\n\r\n2\r\n{}\r\n0\r\nX-Hub-Signature-256: " + sign(secret, "{}") + "\r\n\r\n", []int{401}, false},
	{"D13", "no version", "POST /open\r\n\r\n" + smuggled, []int{400}, true},
	{"D13", "the version before", "POST /open HTTP/1.0\r\nContent-Length: 0\r\n\r\n" + smuggled, []int{200, 202}, true},
	{"D13", "a version to come", "POST /open HTTP/3.0\r\nHost: x\r\nContent-Length: 0\r\n\r\n" + smuggled, []int{505, 400}, true},
	{"D13", "a tunnel", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", []int{404, 405, 400}, false},
	{"D13", "a trace", "TRACE /open HTTP/1.1\r\nHost: x\r\nX-Secret: echo-me\r\n\r\n", []int{405}, false},
	{"D13", "options of everything", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", []int{404, 405, 200}, false},
	{"D13", "a method nobody knows", "BREW /open HTTP/1.1\r\nHost: x\r\n\r\n", []int{405}, false},
	{"D13", "a method of bytes", "P\x00ST /open HTTP/1.1\r\nHost: x\r\n\r\n" + smuggled, []int{400}, true},
	{"D13", "a get", "GET /open HTTP/1.1\r\nHost: x\r\n\r\n", []int{405}, false},
	{"D13", "an absolute address", "POST http://elsewhere.example/nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D15", "no host", "POST /open HTTP/1.1\r\nContent-Length: 0\r\n\r\n" + smuggled, []int{400}, true},
	{"D15", "two hosts", "POST /open HTTP/1.1\r\nHost: x\r\nHost: y\r\nContent-Length: 0\r\n\r\n" + smuggled, []int{400}, true},
	{"D15", "a host of bytes", "POST /open HTTP/1.1\r\nHost: a\x01b\r\nContent-Length: 0\r\n\r\n" + smuggled, []int{400}, true},
	{"D7", "10,000 headers", "POST /open HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("X-A: b\r\n", 10_000) + "\r\n", []int{431}, true},
	{"D7", "10,000 cookies", "POST /open HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("Cookie: a=b\r\n", 10_000) + "\r\n", []int{431}, true},
	{"D7", "an address of 64 kB", "POST /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", []int{431, 414}, true},
	{"D14", "two slashes", "POST //open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "a dot", "POST /./open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "a step up", "POST /a/../open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "a slash in code", "POST /open%2f HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "a zero byte", "POST /open%00 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404, 400}, false},
	{"D14", "a parameter", "POST /open;x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "an overlong dot", "POST /%c0%ae/open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404, 400}, false},
	{"D14", "another case", "POST /OPEN HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404}, false},
	{"D14", "a backslash", "POST /\\open HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{404, 400}, false},
	{"D14", "half a code", "POST /open%2 HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", []int{400}, true},
}

const smuggled = "POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

// TestRaw_WhatNoClientSendsIsRefusedAndSmugglesNothing sends the requests above, one connection
// each: the answer is one of those allowed, and where a proxy in front could see the end of the
// request elsewhere, nothing that follows on the connection is answered.
func TestRaw_WhatNoClientSendsIsRefusedAndSmugglesNothing(t *testing.T) {
	r := start(t, `hooks:
  - {name: open, path: /open, verify: none, dedupe: none, run: ":"}
  - {name: smuggled, path: /smuggled, verify: none, dedupe: none, run: ":"}
  - {name: signed, path: /signed, provider: github, secret: `+secret+`, run: ":"}
`)
	for _, id := range []string{"D7", "D8", "D13", "D14", "D15"} {
		t.Run(id, func(t *testing.T) {
			for _, tt := range rawRequests {
				if tt.id != id {
					continue
				}
				statuses, text := raw(t, r.daemon.Addr().String(), tt.bytes)
				if len(statuses) == 0 || !slices.Contains(tt.answers, statuses[0]) {
					t.Errorf("%s: answers %v, the first should be one of %v\n%.300s", tt.what, statuses, tt.answers, text)
				}
				if tt.closes && len(statuses) > 1 {
					t.Errorf("%s: what followed was answered: %v", tt.what, statuses)
				}
				if strings.Contains(text, "echo-me") {
					t.Errorf("%s: the answer has a header of the request", tt.what)
				}
			}
		})
	}
	if a := r.push("/signed", "after", "push", "{}"); a.status != http.StatusAccepted {
		t.Errorf("afterwards a delivery is answered %d", a.status)
	}
}

// raw sends bytes on a connection of its own and returns the statuses of all answers.
func raw(t *testing.T, addr, bytes string) (statuses []int, text string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	_, _ = io.WriteString(c, bytes) // the daemon may close before all of it is sent
	_ = c.(*net.TCPConn).CloseWrite()
	in := bufio.NewReader(c)
	var all strings.Builder
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses, all.String()
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		statuses = append(statuses, response.StatusCode)
		fmt.Fprintln(&all, response.Status, response.Header, string(body))
	}
}
