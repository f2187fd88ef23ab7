package daemon_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

const sleepHook = `hooks:
  - name: slow
    path: /slow
    provider: github
    secret: ` + secret + `
    run: |
      %s
    grace: 200ms
    env: {DIR: "%s"}
`

// pushTo sends a signed delivery to a daemon in a process of its own.
func pushTo(t *testing.T, url, id string) answer {
	t.Helper()
	a, err := send("POST", url, "{}", map[string]string{
		"X-Hub-Signature-256": sign(secret, "{}"), "X-GitHub-Delivery": id, "X-GitHub-Event": "push",
	})
	must(t, err)
	return a
}

// stored reads a job from the store of a daemon that has ended.
func stored(t *testing.T, dir, id string) job.Job {
	t.Helper()
	s, err := sqlite.OpenReader(t.Context(), filepath.Join(dir, "t.db"))
	must(t, err)
	defer func() { _ = s.Close() }()
	j, err := s.Job(t.Context(), id)
	must(t, err)
	return j
}

func exists(path string) func() bool {
	return func() bool {
		_, err := os.Stat(path)
		return err == nil
	}
}

func TestStop_ARunningJobEndsAndIsRecordedBeforeTheDaemonDoes(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(sleepHook, `touch $DIR/began; while [ ! -e $DIR/go ]; do sleep 0.01; done; echo done`, dir))
	p := launch(t, dir)
	id := pushTo(t, p.url+"/slow", "1").json.Jobs[0]
	eventually(t, "the job to run", exists(filepath.Join(dir, "began")))
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the daemon to stop taking deliveries", func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	write(t, filepath.Join(dir, "go"), "")
	p.wait(t)
	if j := stored(t, dir, id); j.State != job.Succeeded {
		t.Errorf("job ended as %s: %s", j.State, j.Reason)
	}
	if log := p.log.String(); !strings.Contains(log, `"reason":"SIGTERM"`) || !strings.Contains(log, `"msg":"stopped","clean":true`) {
		t.Errorf("the log does not say why it stopped, or that it has:\n%s", log)
	}
}

func TestStop_ASecondSignalEndsRunningJobsAtOnce(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(sleepHook, `trap '' TERM; touch $DIR/began; while :; do sleep 600; done`, dir))
	p := launch(t, dir)
	id := pushTo(t, p.url+"/slow", "1").json.Jobs[0]
	eventually(t, "the job to run", exists(filepath.Join(dir, "began")))
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, "the stop to begin", func() bool { return strings.Contains(p.log.String(), `"stopping"`) })
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.wait(t)
	if j := stored(t, dir, id); j.State != job.Interrupted || j.FinishedAt.IsZero() {
		t.Errorf("job ended as %s: %s", j.State, j.Reason)
	}
}

func TestStart_WhatWasOpenIsNotOpenInCommands(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(sleepHook, `ls -l /proc/self/fd > $DIR/fds && touch $DIR/done`, dir))
	left := filepath.Join(dir, "left-open")
	f, err := os.Create(left)
	must(t, err)
	defer func() { _ = f.Close() }()
	cmd := exec.Command(build(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	cmd.ExtraFiles = []*os.File{f}
	p := launchCommand(t, dir, cmd)
	pushTo(t, p.url+"/slow", "1")
	eventually(t, "the job to have run", exists(filepath.Join(dir, "done")))
	if fds := read(t, filepath.Join(dir, "fds")); strings.Contains(fds, left) {
		t.Errorf("a command has a file that was open when the daemon started:\n%s", fds)
	}
	p.end(t)
}

// TestRestart_OverAHandedSocketRefusesNoConnection plays systemd: the socket stays open while
// the daemon is stopped and started under load.
func TestRestart_OverAHandedSocketRefusesNoConnection(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+fmt.Sprintf(sleepHook, "true", dir))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = l.Close() }()
	socket, err := l.(*net.TCPListener).File()
	must(t, err)
	defer func() { _ = socket.Close() }()
	activated := func() *process {
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, build(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
		cmd.ExtraFiles = []*os.File{socket}
		return launchCommand(t, dir, cmd)
	}
	p := activated()
	// A connection for each request: one that is kept open may always be closed by the server
	// just when the client writes, and the client cannot know whether it was heard.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	var accepted, serial atomic.Int64
	var senders sync.WaitGroup
	over := make(chan struct{})
	for range 4 {
		senders.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				n := serial.Add(1)
				if err := freshPush(client, "http://"+l.Addr().String()+"/slow", n); err != nil {
					t.Errorf("request %d: %v", n, err)
					return
				}
				accepted.Add(1)
			}
		})
	}
	for range 3 {
		from := accepted.Load()
		eventually(t, "some deliveries", func() bool { return accepted.Load() > from+20 || t.Failed() })
		p.end(t)
		p = activated()
	}
	from := accepted.Load()
	eventually(t, "some deliveries", func() bool { return accepted.Load() > from+20 || t.Failed() })
	close(over)
	senders.Wait()
	p.end(t)
	t.Logf("%d deliveries over 4 lives of the daemon, none refused", accepted.Load())
}

func freshPush(client *http.Client, url string, n int64) error {
	req, err := http.NewRequest("POST", url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	req.Header.Set("X-Hub-Signature-256", sign(secret, "{}"))
	req.Header.Set("X-GitHub-Delivery", fmt.Sprint(n))
	req.Header.Set("X-GitHub-Event", "push")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// TestSystemd_IsToldOfReadinessReloadWatchdogAndStop plays the service manager.
func TestSystemd_IsToldOfReadinessReloadWatchdogAndStop(t *testing.T) {
	dir := shortDir(t)
	config := header(dir) + fmt.Sprintf(sleepHook, "true", dir)
	write(t, filepath.Join(dir, "hooks.yaml"), config)
	path := filepath.Join(dir, "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	must(t, err)
	defer func() { _ = manager.Close() }()
	wait := func(want ...string) {
		t.Helper()
		must(t, manager.SetReadDeadline(time.Now().Add(20*time.Second)))
		buf := make([]byte, 4096)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				t.Fatalf("waited for %q: %v", want, err)
			}
			if message := string(buf[:n]); strings.Contains(message, want[0]) {
				for _, w := range want {
					if !strings.Contains(message, w) {
						t.Errorf("message %q has no %q", message, w)
					}
				}
				return
			}
		}
	}
	p := launch(t, dir, "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=300000")
	wait("READY=1", "STATUS=1 hooks")
	wait("WATCHDOG=1")
	must(t, p.cmd.Process.Signal(syscall.SIGHUP))
	wait("RELOADING=1", "MONOTONIC_USEC=")
	wait("READY=1")
	must(t, p.cmd.Process.Signal(syscall.SIGTERM))
	wait("STOPPING=1")
	p.wait(t)
}

// TestDiskFull_DeliveriesAreRefusedAndLaterTaken fills the file system that holds the store.
func TestDiskFull_DeliveriesAreRefusedAndLaterTaken(t *testing.T) {
	disk := shortDir(t)
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("a small file system to fill cannot be mounted here: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(disk, syscall.MNT_DETACH) })
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "sqlite:"+dir, "sqlite:"+disk, 1)+fmt.Sprintf(sleepHook, "true", dir))
	r := startIn(t, dir)
	defer func() { _ = r.stop() }() // before the file system goes
	first := r.push("/slow", "first", "push", "{}")
	r.job(first.json.Jobs[0])

	filler := filepath.Join(disk, "filler")
	f, err := os.Create(filler)
	must(t, err)
	for _, err = f.Write(make([]byte, 4096)); err == nil; {
		_, err = f.Write(make([]byte, 4096))
	}
	must(t, f.Close())
	var refused answer
	n := 0
	eventually(t, "the disk to be full", func() bool { // what the journal has room for is still taken
		n++
		body := fmt.Sprintf(`{"n":%d,"fill":"%s"}`, n, strings.Repeat(fmt.Sprint(n, time.Now().UnixNano()), 2000))
		refused = r.push("/slow", fmt.Sprint("fill", n), "push", body)
		return refused.status == http.StatusServiceUnavailable
	})
	if refused.header.Get("Retry-After") == "" || refused.json.Error != "cannot_store" || strings.Contains(refused.body, "disk") {
		t.Errorf("answer %s %v", refused.body, refused.header)
	}
	if again := r.push("/slow", "first", "push", "{}"); again.status != http.StatusOK && again.status != http.StatusServiceUnavailable {
		t.Errorf("a duplicate on a full disk was answered %d", again.status)
	}
	must(t, os.Remove(filler))
	eventually(t, "deliveries to be taken again", func() bool {
		a := r.push("/slow", fmt.Sprint("fill", n), "push", "{}")
		return a.status == http.StatusAccepted
	})
}
