package cli

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

const examples = "../../examples"

// TestExamples runs the story of every example in a copy of its folder: the real daemon on
// the folder's hooks.yaml as it is, on sockets of its own. A folder without a story fails.
//
// Beside the commands of TestScripts, "receiver VARIABLE FOLDER STATUS…" is a server of somebody
// else at the address in the variable, which writes each request to FOLDER/N.txt and answers with
// the statuses in turn; "forward VARIABLE SOCKET" is a proxy to a socket. "discordkey VARIABLE" says
// the public key with which "discord FILE" signs what it posts ("! discord" with another one).
// "expected STORE HOOK AGO" writes into a store that the hook's last delivery is so long ago.
func TestExamples(t *testing.T) {
	folders, err := os.ReadDir(examples)
	if err != nil || len(folders) < 15 {
		t.Fatalf("%d examples, %v", len(folders), err)
	}
	commands := scriptCommands()
	commands["receiver"] = receive
	commands["forward"] = forward
	commands["discordkey"] = func(ts *testscript.TestScript, _ bool, args []string) {
		ts.Setenv(args[0], hex.EncodeToString(discordKey.Public().(ed25519.PublicKey)))
	}
	commands["discord"] = discord
	commands["expected"] = expected
	index, err := os.ReadFile(filepath.Join(examples, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		if !strings.Contains(string(index), "]("+folder.Name()+")") {
			t.Errorf("examples/README.md does not list %s", folder.Name())
		}
		t.Run(folder.Name(), func(t *testing.T) {
			dir := filepath.Join(examples, folder.Name())
			readmeKeepsToStory(t, dir)
			testscript.Run(t, testscript.Params{
				Files: []string{filepath.Join(dir, "story.txt")},
				Cmds:  commands,
				Setup: func(env *testscript.Env) error {
					env.Setenv("TZ", "UTC")
					env.Setenv("TENTERHOOK_SERVER__LISTEN", "unix:hooks.sock")
					env.Setenv("TENTERHOOK_ADMIN__LISTEN", "unix:admin.sock")
					env.Setenv("TENTERHOOK_STORE__URL", "sqlite:tenterhook.db")
					return copyExample(env.WorkDir, dir)
				},
			})
		})
	}
}

// copyExample copies a folder with the modes its files have for their owner.
func copyExample(to, from string) error {
	return filepath.Walk(from, func(file string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if info.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm()&0o700)
	})
}

// typed are the commands of a README that its story has to run, too.
var typed = regexp.MustCompile(`(?m)^\s*(tenterhook (?:send|check|import|jobs logs) [^#\n]*)`)

// readmeKeepsToStory checks that an example says what it is, where its payloads are from, and
// nothing that its story does not do.
func readmeKeepsToStory(t *testing.T, dir string) {
	t.Helper()
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Error(err)
	}
	story, err := os.ReadFile(filepath.Join(dir, "story.txt"))
	if err != nil {
		t.Fatalf("an example needs a story that a test can run: %v", err)
	}
	for _, found := range typed.FindAllStringSubmatch(string(readme), -1) {
		if command := strings.TrimSpace(found[1]); !strings.Contains(string(story), command) {
			t.Errorf("README.md has %q, which story.txt does not run", command)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "testdata")); err == nil && !bytes.Contains(readme, []byte("testdata")) {
		t.Error("README.md does not say where the payloads in testdata are from")
	}
}

// receive is "receiver".
func receive(ts *testscript.TestScript, _ bool, args []string) {
	folder := ts.MkAbs(args[1])
	ts.Check(os.MkdirAll(folder, 0o700))
	var statuses []int
	for _, a := range args[2:] {
		status, err := strconv.Atoi(a)
		ts.Check(err)
		statuses = append(statuses, status)
	}
	var count atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		var text strings.Builder
		fmt.Fprintf(&text, "%s %s\n", r.Method, r.URL.RequestURI())
		var names []string
		for name := range r.Header {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			fmt.Fprintf(&text, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
		}
		fmt.Fprintf(&text, "\n%s\n", body)
		n := int(count.Add(1))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, strconv.Itoa(n)+".txt"), []byte(text.String()), 0o600)
		}
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		w.WriteHeader(statuses[min(n, len(statuses))-1])
	}))
	ts.Defer(server.Close)
	ts.Setenv(args[0], server.URL)
}

// forward is "forward".
func forward(ts *testscript.TestScript, _ bool, args []string) {
	socket := ts.MkAbs(args[1])
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "hooks"})
	transport := overSocket(socket)
	proxy.Transport = transport
	server := httptest.NewServer(proxy)
	ts.Defer(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	ts.Setenv(args[0], server.URL)
}

// overSocket reaches every host at a unix socket.
func overSocket(socket string) *http.Transport {
	return &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
}

// discordKey stands for Discord's key of an application.
var discordKey = ed25519.NewKeyFromSeed([]byte("a seed that only this test knows"))

// discord is "discord".
func discord(ts *testscript.TestScript, neg bool, args []string) {
	body, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	at, key := strconv.FormatInt(time.Now().Unix(), 10), discordKey
	if neg {
		key = ed25519.NewKeyFromSeed([]byte("a seed of somebody who is not he"))
	}
	req, err := http.NewRequest(http.MethodPost, "http://hooks/discord", bytes.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Signature-Timestamp", at)
	req.Header.Set("X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(key, append([]byte(at), body...))))
	socket := ts.MkAbs("hooks.sock")
	client := &http.Client{Timeout: 20 * time.Second, Transport: overSocket(socket)}
	defer client.CloseIdleConnections()
	response, err := client.Do(req)
	ts.Check(err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%d %s\n", response.StatusCode, answer)
	if ok := response.StatusCode < 300; ok == neg {
		ts.Fatalf("answered %d", response.StatusCode)
	}
}

// expected is "expected".
func expected(ts *testscript.TestScript, _ bool, args []string) {
	ago, err := time.ParseDuration(args[2])
	ts.Check(err)
	s, err := sqlite.Open(context.Background(), ts.MkAbs(args[0]), sqlite.Options{})
	ts.Check(err)
	ts.Check(s.SetExpectation(context.Background(), job.Expectation{Hook: args[1], Since: time.Now().Add(-ago)}, true))
	ts.Check(s.Close())
}
