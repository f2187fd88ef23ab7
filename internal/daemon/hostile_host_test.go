package daemon_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serveCommand is the daemon on dir's configuration as a command that is not started yet.
func serveCommand(t *testing.T, dir string, before ...string) *exec.Cmd {
	t.Helper()
	words := append(before, build(t), "serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	return exec.Command(words[0], words[1:]...)
}

// TestHost_A9_AJobThatKillsTheDaemonDoesSoOnce has a crash in the start of every job: a job is cut
// off once and not begun again by itself, so the daemon comes up.
func TestHost_A9_AJobThatKillsTheDaemonDoesSoOnce(t *testing.T) {
	w := newWalk(t)
	p := launchCommand(t, w.dir, w.command("after-start-record"))
	_ = w.send(p.url, 2, "") // to /once
	w.crashed(p, "after-start-record")
	p = launchCommand(t, w.dir, w.command("after-start-record"))
	if !strings.Contains(p.log.String(), `"interrupted":1`) {
		t.Errorf("the job was not found as cut off\n%s", p.log)
	}
	p.end(t)
	w.finish()
}

// TestHost_L6_ALogThatNobodyReadsBlocksNothing gives the daemon a standard error that fills up.
func TestHost_L6_ALogThatNobodyReadsBlocksNothing(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+openHook)
	cmd := serveCommand(t, dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	read, stderr, err := os.Pipe()
	must(t, err)
	defer func() { _ = read.Close() }()
	cmd.Stderr = stderr
	must(t, cmd.Start())
	must(t, stderr.Close())
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	url := ""
	in := bufio.NewReader(read)
	for url == "" {
		line, err := in.ReadString('\n')
		must(t, err)
		var said struct{ Msg, Deliveries string }
		if json.Unmarshal([]byte(line), &said) == nil && said.Msg == "ready" {
			url = "http://" + said.Deliveries
		}
	}
	answered := make(chan error, 1)
	go func() {
		for i := range 3000 { // some 700 kB of log, ten times what a pipe holds
			if a, err := send("POST", url+"/open", "{}", nil); err != nil || a.status != 200 {
				answered <- fmt.Errorf("delivery %d, with the log full: %d %w", i, a.status, err)
				return
			}
		}
		answered <- nil
	}()
	select {
	case err := <-answered:
		must(t, err)
	case <-time.After(60 * time.Second):
		t.Error("deliveries wait for the log")
	}
}

// TestHost_A10_AStandardErrorThatIsClosedEndsNothing is serve behind "2>&1 | head -1".
func TestHost_A10_AStandardErrorThatIsClosedEndsNothing(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), strings.Replace(header(dir), "127.0.0.1:0", "unix:"+dir+"/in.sock", 1)+openHook)
	cmd := serveCommand(t, dir)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	read, stderr, err := os.Pipe()
	must(t, err)
	cmd.Stderr, cmd.Stdout = stderr, stderr
	must(t, cmd.Start())
	must(t, stderr.Close())
	_, _ = bufio.NewReader(read).ReadString('\n')
	must(t, read.Close())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill(); <-ended }()
	eventually(t, "an answer", func() bool {
		c, err := net.Dial("unix", dir+"/in.sock")
		if err != nil {
			return false
		}
		defer func() { _ = c.Close() }()
		_, _ = io.WriteString(c, "POST /open HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
		answer, _ := io.ReadAll(c)
		return strings.HasPrefix(string(answer), "HTTP/1.1 200 ")
	})
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		ended <- err
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("it did not end")
	}
}

// TestHost_L7_ItRunsWithNextToNothing starts the daemon without HOME, PATH or a temporary folder,
// as a user the machine does not know.
func TestHost_L7_ItRunsWithNextToNothing(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks: [{name: site, path: /site, verify: none, run: "echo $((1 + 1))"}]`)
	binary := build(t)
	if os.Getuid() != 0 {
		t.Skip("only root can become a user the machine does not know")
	}
	for _, path := range []string{filepath.Dir(binary), dir, filepath.Join(dir, "hooks.yaml"), binary} {
		must(t, os.Chmod(path, 0o755))
	}
	must(t, os.Chown(dir, 54321, 54321))
	must(t, os.Chown(filepath.Join(dir, "hooks.yaml"), 54321, 54321))
	cmd := exec.Command("env", "-i", "TMPDIR=/nowhere", "setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", binary,
		"serve", "-c", filepath.Join(dir, "hooks.yaml"), "--log-format", "json")
	p := launchCommand(t, dir, cmd)
	a, err := send("POST", p.url+"/site", "{}", nil)
	must(t, err)
	if a.status != 202 {
		t.Errorf("a delivery is answered %d %s", a.status, a.body)
	}
	eventually(t, "its job to succeed", func() bool { return strings.Contains(p.log.String(), "job succeeded") })
	p.end(t)
}

// TestHost_J3_TimesAreInUTCWhateverTheMachineSays starts the daemon in another zone and in one that is
// none, on a machine without files of zones.
func TestHost_J3_TimesAreInUTCWhateverTheMachineSays(t *testing.T) {
	for _, zone := range []string{"Asia/Kolkata", "Nowhere/Town"} {
		dir := shortDir(t)
		write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks: [{name: site, path: /site, verify: none, match: 'in_window("00:00-24:00", "America/New_York")', run: "true"}]`)
		p := launch(t, dir, "TZ="+zone, "ZONEINFO=/nowhere")
		a, err := send("POST", p.url+"/site", "{}", nil)
		must(t, err)
		if a.status != 202 || len(a.json.Jobs) != 1 {
			t.Errorf("a delivery is answered %d %s", a.status, a.body)
		}
		_, body := (&running{t: t, dir: dir}).admin("deliveries/" + a.json.Delivery)
		times := regexp.MustCompile(`\d{4}-\d\d-\d\dT[^"]+`)
		all := times.FindAllString(body, -1)
		for _, at := range all {
			if !strings.HasSuffix(at, "Z") {
				t.Errorf("in zone %s a time is %q", zone, at)
			}
		}
		if len(all) == 0 {
			t.Errorf("no time in %s", body)
		}
		p.end(t)
	}
}

// TestHost_L8_FewOpenFilesAreEnoughForWhoeverComesNext has more connections than descriptors, and
// then none: the daemon is there for the next one.
func TestHost_L8_FewOpenFilesAreEnoughForWhoeverComesNext(t *testing.T) {
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks: [{name: site, path: /site, verify: none, dedupe: none, run: ":"}]`)
	p := launchCommand(t, dir, serveCommand(t, dir, "prlimit", "--nofile=64:64"))
	addr := strings.TrimPrefix(p.url, "http://")
	var held []net.Conn
	for range 200 {
		c, err := net.Dial("tcp", addr)
		must(t, err)
		_, _ = io.WriteString(c, "POST /site HTTP/1.1\r\nHost: x\r\n")
		held = append(held, c)
	}
	for _, c := range held {
		must(t, c.Close())
	}
	eventually(t, "the next delivery to be taken", func() bool {
		a, err := send("POST", p.url+"/site", "{}", nil)
		return err == nil && a.status == 202
	})
	eventually(t, "its job to succeed", func() bool { return strings.Contains(p.log.String(), "job succeeded") })
	p.end(t)
}

// TestHost_B4_ASyncThatHangsIsNotWaitedFor lets one sync of the store take 20 seconds.
func TestHost_B4_ASyncThatHangsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Skip("the hang is injected by strace, which is not installed")
	}
	w := newWalk(t)
	first := launch(t, w.dir)
	must(t, w.send(first.url, w.serial.Add(1), ""))
	first.end(t)
	cmd := serveCommand(t, w.dir, "strace", "-f", "-qq", "-o", filepath.Join(w.dir, "trace"), "-P", filepath.Join(w.disk, "t.db-wal"),
		"-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:delay_enter=20000000:when=4")
	p := spawn(t, w.dir, cmd)
	defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); p.kill() }()
	select {
	case p.url = <-p.ready:
	case <-time.After(60 * time.Second):
		t.Fatalf("the daemon did not start\n%s", p.log)
	}
	var longest time.Duration
	refused, began := 0, time.Now()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for time.Since(began) < 60*time.Second {
		at := time.Now()
		err := w.send(p.url, w.serial.Add(1), "")
		longest = max(longest, time.Since(at))
		if err != nil {
			refused++
			<-tick.C
		} else if refused > 0 {
			break // it takes deliveries again
		}
	}
	t.Logf("%d deliveries refused while a sync hung for 20 s, none waited longer than %.1f s", refused, longest.Seconds())
	if refused == 0 || longest > 15*time.Second {
		t.Errorf("%d refused, the longest wait was %v", refused, longest)
	}
	// strace counts for each thread, so that another one may hang yet.
	within(t, 2*time.Minute, "a further delivery to be taken", func() bool { return w.send(p.url, w.serial.Add(1), "") == nil })
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	p.kill()
	w.finish()
}

// TestHost_C5_AStormOfSavesLeavesTheLastOne saves the file again and again.
func TestHost_C5_AStormOfSavesLeavesTheLastOne(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "hooks.yaml")
	write(t, path, versioned(dir, 0))
	r := startIn(t, dir)
	var all sync.WaitGroup
	stop := make(chan struct{})
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if a := r.send("POST", "/probe", "", nil); a.status >= 300 {
					t.Errorf("answered %d during the storm", a.status)
				}
			}
		}
	})
	for i := range 500 {
		write(t, path, versioned(dir, i+1))
	}
	r.eventually("the last one to be in force", func() bool { return r.version() == "v500" })
	close(stop)
	all.Wait()
}

// TestHost_G6_ShortRunsWithOrphansLeaveNoZombies runs commands that leave children behind.
func TestHost_G6_ShortRunsWithOrphansLeaveNoZombies(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	write(t, filepath.Join(dir, "hooks.yaml"), header(dir)+`hooks: [{name: site, path: /site, verify: none, dedupe: none, run: "(sleep 0.01 &) ; setsid sleep 0.01 & true"}]`)
	p := launch(t, dir)
	runs := count("TENTERHOOK_ORPHANS", 100)
	for range runs {
		a, err := send("POST", p.url+"/site", "{}", nil)
		if err != nil || a.status != 202 {
			t.Fatalf("answered %d %v", a.status, err)
		}
	}
	within(t, 5*time.Minute, "all of them to end", func() bool { return strings.Count(p.log.String(), "job succeeded") == runs })
	eventually(t, "no child to be left", func() bool { return len(children(t, p.cmd.Process.Pid)) == 0 })
	t.Logf("%d runs with two orphans each, no child is left", runs)
}

// children are the processes of a parent, zombies included.
func children(t *testing.T, parent int) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it ended meanwhile
		}
		_, rest, _ := strings.Cut(string(text), ") ")
		var state string
		var ppid int
		if _, err := fmt.Sscan(rest, &state, &ppid); err == nil && ppid == parent {
			pids = append(pids, path)
		}
	}
	return pids
}

// TestHost_A12_AFatalErrorIsACrashLikeAnother ends the daemon under load as the runtime ends it when
// memory is corrupt or out, which SIGABRT does too: at once, with all goroutines on standard error.
func TestHost_A12_AFatalErrorIsACrashLikeAnother(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	for i := range 3 {
		p := launch(t, w.dir)
		stop := w.load(p)
		w.until(50 * (i + 1))
		must(t, p.cmd.Process.Signal(syscall.SIGABRT))
		select {
		case err := <-p.exit:
			p.exit <- nil
			if err == nil {
				t.Error("it ended in order")
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it did not end")
		}
		stop()
		if dump := p.log.String(); !strings.Contains(dump, "goroutine ") || strings.Contains(dump, secret) {
			t.Error("the dump has no goroutines, or a secret")
		}
	}
	w.finish()
	none(t, w.acked, "deliveries acknowledged before a fatal error was lost")
}

// TestHost_J4_ASleepLosesNothing stops the daemon in the middle of everything, as a machine does
// that is suspended, and lets it go on.
func TestHost_J4_ASleepLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	p := launch(t, w.dir)
	stop := w.load(p)
	for i := range 3 {
		w.until(50 * (i + 1))
		must(t, p.cmd.Process.Signal(syscall.SIGSTOP))
		<-time.After(2 * time.Second) // how long the machine sleeps
		must(t, p.cmd.Process.Signal(syscall.SIGCONT))
	}
	w.until(200)
	stop()
	p.end(t)
	w.finish()
	none(t, w.acked, "deliveries acknowledged around a sleep was lost")
}
