package daemon_test

import (
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestReload_CannotOpenAListenerThatOtherMachinesReach starts on every address, and edits the file
// to say that it does not: the listener that is open counts.
func TestReload_CannotOpenAListenerThatOtherMachinesReach(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "hooks.yaml")
	exposed := strings.Replace(header(dir), "127.0.0.1:0", "0.0.0.0:0", 1)
	write(t, file, exposed+"hooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\"}]\n")
	r := startIn(t, dir)
	write(t, file, header(dir)+"hooks: [{name: open, path: /open, verify: none, run: \"true\"}]\n")
	if _, err := r.client.Reload(t.Context()); err == nil || !strings.Contains(fmt.Sprint(err), "problem") {
		t.Errorf("reload: %v", err)
	}
	_, port, err := net.SplitHostPort(r.daemon.Addr().String())
	must(t, err)
	a, err := send("POST", "http://127.0.0.1:"+port+"/open", "{}", nil)
	must(t, err)
	if a.status != http.StatusNotFound {
		t.Errorf("a hook that is not verified answers %d on every address", a.status)
	}
}

func TestListen_ManyIdleConnectionsDoNotShutDeliveriesOff(t *testing.T) {
	r := start(t, "hooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\"}]\n")
	for range 400 {
		c, err := net.Dial("tcp", r.daemon.Addr().String())
		must(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	if a := r.push("/site", "1", "push", "{}"); a.status != http.StatusAccepted {
		t.Errorf("answered %d", a.status)
	}
}

func TestAdmin_BytesThatAreNoTextDoNotBlindIt(t *testing.T) {
	r := start(t, "hooks: [{name: site, path: /site, provider: github, secret: "+secret+", run: \"true\", concurrency: {key: \"${{ header('X-Key') }}\"}}]\n")
	a := r.send("POST", "/site", "{}", map[string]string{"X-Hub-Signature-256": sign(secret, "{}"), "X-GitHub-Delivery": "\xff1", "X-GitHub-Event": "pu\xffsh", "X-Key": "a\xffb"})
	if a.status != http.StatusAccepted {
		t.Fatalf("answered %d %s", a.status, a.body)
	}
	r.job(a.json.Jobs[0])
	for _, path := range []string{"deliveries", "jobs", "deliveries/" + a.json.Delivery} {
		if status, body := r.admin(path); status != http.StatusOK || !strings.Contains(body, "\ufffd") {
			t.Errorf("%s: answered %d %s", path, status, body)
		}
	}
}
