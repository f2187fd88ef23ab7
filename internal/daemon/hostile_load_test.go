package daemon_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// openHook takes anything and runs nothing.
const openHook = `hooks: [{name: open, path: /open, verify: none, dedupe: none, match: "false", run: ":"}, {name: signed, path: /signed, provider: github, max_body: 1MiB, secret: ` + secret + `, run: ":"}]
`

// TestHostile_D1_SlowConnectionsAreCutAndTakeLittleFromOthers holds many connections that send a
// byte now and then, and compares how much well-meant senders get done beside them with what they
// get done without, in turns.
// TENTERHOOK_SLOW sets how many; with it four fifths have to be left.
func TestHostile_D1_SlowConnectionsAreCutAndTakeLittleFromOthers(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+openHook)
	p := launch(t, dir)
	addr := strings.TrimPrefix(p.url, "http://")
	slow := count("TENTERHOOK_SLOW", 200)
	_ = answersIn(t, p.url, time.Second) // it is warm
	var alone, beside float64
	var longest time.Duration
	held := slow
	for range 3 {
		alone += answersIn(t, p.url, 2*time.Second)
		s := holdSlow(t, addr, slow)
		_ = answersIn(t, p.url, time.Second) // what is asked is what holding them takes, not opening them
		beside += answersIn(t, p.url, 2*time.Second)
		held = min(held, s.open())
		longest = max(longest, s.wait())
	}
	t.Logf("%d slow connections, %d of them open all the while: %.0f answers a second beside them, %.0f without (%.2f); the last was cut after %.1f s, memory at most %d MiB",
		slow, held, beside/3, alone/3, beside/alone, longest.Seconds(), peakMemory(t, p.cmd.Process.Pid)>>20)
	if longest > 60*time.Second {
		t.Errorf("the last slow connection was open for %v", longest)
	}
	least := 0.0
	if os.Getenv("TENTERHOOK_SLOW") != "" {
		least = 0.8 // meant for a machine that does nothing else
	}
	if beside == 0 || beside/alone < least {
		t.Errorf("beside slow connections others get %.2f of the answers", beside/alone)
	}
	if held < slow*9/10 {
		t.Errorf("only %d of %d were held while others were answered", held, slow)
	}
}

// slowly are connections that are held open by a byte now and then.
type slowly struct {
	all     sync.WaitGroup
	left    atomic.Int64
	longest atomic.Int64
}

// holdSlow opens so many connections, half of which never end their headers and half their first
// line, and returns when all of them are open.
func holdSlow(t *testing.T, addr string, n int) *slowly {
	t.Helper()
	s := &slowly{}
	conns := make([]net.Conn, n)
	for i := range conns {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		conns[i] = c
	}
	s.left.Store(int64(n))
	for i, c := range conns {
		s.all.Go(func() {
			held := drip(c, []string{"POST /open HTTP/1.1\r\nHost: x\r\nX-A: ", "POST /open HTT"}[i%2], 2*time.Second)
			s.left.Add(-1)
			for was := s.longest.Load(); int64(held) > was && !s.longest.CompareAndSwap(was, int64(held)); was = s.longest.Load() {
			}
		})
	}
	return s
}

func (s *slowly) open() int { return int(s.left.Load()) }

// wait returns when the last was cut, and how long the longest was open.
func (s *slowly) wait() time.Duration {
	s.all.Wait()
	return time.Duration(s.longest.Load())
}

// TestHostile_D2_ABodyThatDoesNotComeIsCut is the same for bodies: one that comes byte by byte, and
// one that was announced with Expect and never comes.
func TestHostile_D2_ABodyThatDoesNotComeIsCut(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+openHook)
	p := launch(t, dir)
	var all sync.WaitGroup
	for what, head := range map[string]string{
		"byte by byte": "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n",
		"expected":     "POST /open HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100000\r\n\r\n",
	} {
		all.Go(func() {
			c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			held := drip(c, head, time.Second)
			t.Logf("a body that comes %s was cut after %.1f s", what, held.Seconds())
			if held > 60*time.Second {
				t.Errorf("a body that comes %s was waited for for %v", what, held)
			}
		})
	}
	all.Wait()
}

// drip sends head and then a byte in each interval until the daemon closes, and returns how long
// that took.
func drip(c net.Conn, head string, each time.Duration) time.Duration {
	began := time.Now()
	defer func() { _ = c.Close() }()
	_, _ = io.WriteString(c, head)
	buf := make([]byte, 1024)
	for time.Since(began) < 90*time.Second {
		_ = c.SetReadDeadline(time.Now().Add(each))
		if _, err := c.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if _, err := io.WriteString(c, "a"); err != nil {
			break
		}
	}
	return time.Since(began)
}

// answersIn counts the answers four well-meant senders get in a while, for each second.
func answersIn(t *testing.T, url string, d time.Duration) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var n atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for ctx.Err() == nil {
				a, err := send("POST", url+"/open", "{}", nil)
				if err != nil || a.status != 200 {
					t.Errorf("a well-meant sender got %d %v", a.status, err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return float64(n.Load()) / d.Seconds()
}

// TestHostile_D5_ABodyOfTenGigabytesCostsNoMemory announces and sends far more than a hook takes.
func TestHostile_D5_ABodyOfTenGigabytesCostsNoMemory(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+openHook)
	p := launch(t, dir)
	_, err := send("POST", p.url+"/open", "{}", nil)
	must(t, err)
	before := peakMemory(t, p.cmd.Process.Pid)
	addr := strings.TrimPrefix(p.url, "http://")
	var sent int64
	for _, path := range []string{"/open", "/signed"} {
		for _, head := range []string{"Content-Length: 10737418240\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n"} {
			for range 4 {
				n, answer := flood(t, addr, "POST "+path+" HTTP/1.1\r\nHost: x\r\nX-Hub-Signature-256: sha256=00\r\n"+head, strings.HasPrefix(head, "T"))
				if sent += n; !strings.HasPrefix(answer, "HTTP/1.1 413 ") && answer != "" { // a reset may overtake the answer
					t.Errorf("%s %.20s: answered %.40q", path, head, answer)
				}
			}
		}
	}
	grown := peakMemory(t, p.cmd.Process.Pid) - before
	t.Logf("16 requests of 10 GiB: %d MiB were taken off the senders, memory grew by %.1f MiB", sent>>20, float64(grown)/(1<<20))
	if grown > 64<<20 { // a quarter of it is what the floor under the collector lets the heap grow by, and it may come late
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// flood sends up to 10 GiB until the daemon closes.
func flood(t *testing.T, addr, head string, chunked bool) (sent int64, answer string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	answered := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(c, 4096))
		answered <- string(text)
	}()
	_, err = io.WriteString(c, head)
	block := make([]byte, 64<<10)
	if chunked {
		block = append([]byte("10000\r\n"), append(block, "\r\n"...)...)
	}
	for n := 0; err == nil && sent < 10<<30; sent += int64(n) {
		n, err = c.Write(block)
	}
	return sent, <-answered
}

// peakMemory is the most a process has had in memory so far, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	for line := range strings.Lines(read(t, fmt.Sprintf("/proc/%d/status", pid))) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			must(t, err)
			return kib << 10
		}
	}
	t.Fatal("the kernel does not say how much memory a process had")
	return 0
}

// secured starts a daemon whose deliveries come over TLS.
func secured(t *testing.T) (p *process, addr string) {
	t.Helper()
	dir := shortDir(t)
	cert, key := keyPair(t, 1)
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "drain: 10s", "drain: 10s, tls: {cert: cert.pem, key: key.pem}", 1)+openHook)
	p = launch(t, dir)
	return p, strings.TrimPrefix(p.url, "http://")
}

// TestHostile_D9_RequestsThatAreTakenBackAtOnceAreBounded is HTTP/2 rapid reset (CVE-2023-39325).
func TestHostile_D9_RequestsThatAreTakenBackAtOnceAreBounded(t *testing.T) {
	p, addr := secured(t)
	before := peakMemory(t, p.cmd.Process.Pid)
	resets := 0
	for range 10 {
		resets += resetRapidly(t, addr, 5000)
	}
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}}) //nolint:gosec // its certificate is not the question
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
	must(t, err)
	answer, err := io.ReadAll(c)
	must(t, err)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 ") {
		t.Errorf("afterwards a delivery is answered %.60q", answer)
	}
	grown := peakMemory(t, p.cmd.Process.Pid) - before
	t.Logf("%d requests taken back over 10 connections, memory grew by %.1f MiB", resets, float64(grown)/(1<<20))
	if grown > 64<<20 {
		t.Errorf("memory grew by %d MiB", grown>>20)
	}
}

// resetRapidly begins requests and takes each back, until the daemon has enough of it.
func resetRapidly(t *testing.T, addr string, most int) (sent int) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) //nolint:gosec // see above
	must(t, err)
	defer func() { _ = c.Close() }()
	must(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, http2.ClientPreface)
	must(t, err)
	framer := http2.NewFramer(c, c)
	must(t, framer.WriteSettings())
	go func() { _, _ = io.Copy(io.Discard, c) }() // ends with the connection
	var head strings.Builder
	encoder := hpack.NewEncoder(&head)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "x"}, {Name: ":path", Value: "/open"}} {
		must(t, encoder.WriteField(f))
	}
	for id := uint32(1); sent < most; id += 2 {
		if framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte(head.String()), EndHeaders: true}) != nil ||
			framer.WriteRSTStream(id, http2.ErrCodeCancel) != nil {
			return sent // the daemon closed
		}
		sent++
	}
	return sent
}

// TestHostile_D10_AHandshakeThatIsNotMadeIsCutAndOldVersionsAreRefused opens connections to the TLS
// port that say nothing, or speak of yesterday.
func TestHostile_D10_AHandshakeThatIsNotMadeIsCutAndOldVersionsAreRefused(t *testing.T) {
	t.Parallel()
	_, addr := secured(t)
	_, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}) //nolint:gosec // old on purpose
	if err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	c, err := net.Dial("tcp", addr)
	must(t, err)
	defer func() { _ = c.Close() }()
	began := time.Now()
	must(t, c.SetReadDeadline(began.Add(60*time.Second)))
	if _, err := c.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a connection without a handshake was held for a minute")
	}
	t.Logf("a connection without a handshake was cut after %.1f s", time.Since(began).Seconds())
}

// TestHostile_D12_ASenderThatLeavesUndoesNothingAndHalfARequestIsNone sends one whole request and
// never reads the answer, and one whose body ends early.
func TestHostile_D12_ASenderThatLeavesUndoesNothingAndHalfARequestIsNone(t *testing.T) {
	r := start(t, openHook)
	for i, body := range []string{`{"n":1}`, `{"n":`} { // of a length of 7, both
		c, err := net.Dial("tcp", r.daemon.Addr().String())
		must(t, err)
		_, err = fmt.Fprintf(c, "POST /open HTTP/1.1\r\nHost: x\r\nX-N: %d\r\nContent-Length: 7\r\n\r\n%s", i, body)
		must(t, err)
		must(t, c.(*net.TCPConn).SetLinger(0))
		if i == 1 {
			must(t, c.Close())
			continue
		}
		defer func() { _ = c.Close() }() // it never reads its answer
	}
	r.eventually("the whole request to be stored", func() bool {
		_, body := r.admin("deliveries")
		return strings.Count(body, `"id"`) == 1
	})
	r.send("POST", "/open", "{}", nil)
	if _, body := r.admin("deliveries"); strings.Count(body, `"id"`) != 2 {
		t.Errorf("stored: %s", body)
	}
}
