package daemon_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestDaemon_ACommandHasNoFileThatTheDaemonWasStartedWith(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks:
  - name: files
    path: /files
    verify: {scheme: bearer}
    secret: `+secret+`
    respond: {wait: 20s}
    run: ls -l /proc/self/fd
`)
	left, err := os.Open(os.DevNull)
	must(t, err)
	defer func() { _ = left.Close() }()
	cmd := exec.Command(build(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	cmd.ExtraFiles = []*os.File{left, left, left}
	p := launchCommand(t, dir, cmd)
	a, err := send("POST", p.url+"/files", "{}", map[string]string{"Authorization": "Bearer " + secret, "Content-Type": "application/json"})
	must(t, err)
	if a.status != http.StatusOK || strings.Count(a.body, " -> ") != 4 || strings.Contains(a.body, os.DevNull) { // 0, 1, 2 and the listing's own
		t.Errorf("answered %d\n%s", a.status, a.body)
	}
	p.end(t)
}
