package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// lab is what the measurements share: the programs, a folder on the disk under test, and the
// processes that run.
type lab struct {
	options
	dir     string
	program string // ours
	peer    string // "" when it is not installed
	wrk     string // "" when it is not installed
	strace  string // "" when it is not installed
	self    string
	serial  int
	running []*process
}

func newLab(o options) (*lab, error) {
	l := &lab{options: o}
	var err error
	if l.dir, err = os.MkdirTemp(o.keep, "tenterhook-scoreboard-"); err != nil {
		return nil, err
	}
	if l.self, err = os.Executable(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.dir))
	}
	l.peer, _ = exec.LookPath("webhook")
	l.wrk, _ = exec.LookPath("wrk")
	l.strace, _ = exec.LookPath("strace")
	l.program = filepath.Join(l.dir, "tenterhook")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", l.program, "github.com/tenterhook/tenterhook/cmd/tenterhook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, errors.Join(fmt.Errorf("build the program: %w\n%s", err, out), os.RemoveAll(l.dir))
	}
	return l, nil
}

func (l *lab) close() {
	for _, p := range l.running {
		p.stop()
	}
	_ = os.RemoveAll(l.dir)
}

func (l *lab) generatorName() string {
	if l.wrk != "" {
		return "wrk"
	}
	return "vegeta at full rate (wrk is not installed)"
}

// folder makes a new folder on the disk under test.
func (l *lab) folder() (string, error) {
	l.serial++
	dir := filepath.Join(l.dir, strconv.Itoa(l.serial))
	return dir, os.Mkdir(dir, 0o700)
}

// process is a server under test. Stop it once.
type process struct {
	name   string
	addr   string
	dir    string // of its files
	cmd    *exec.Cmd
	admin  *http.Client // nil unless it is ours
	traced bool         // cmd is the tracer
}

// hookLines are the two hooks that most measurements use: a rule that matches and one that does not.
const hookLines = `  - {name: site, path: /site, provider: github, secret: %[1]s, match: 'event == "push" && branch == "main"', exec: ["true"]}
  - {name: other, path: /other, provider: github, secret: %[1]s, match: 'event == "push" && branch == "other"', exec: ["true"]}
`

// setup is how a daemon of ours is configured.
type setup struct {
	dir       string // with its store; "" makes a new one
	hooks     string // "" is hookLines
	workers   int    // 0 is 1
	retention string // "" is the default
	wrap      []string
	addr      string // "" is any free port
}

// ours starts the program and waits until it is ready.
func (l *lab) ours(ctx context.Context, s setup) (*process, error) {
	p, err := l.launch(s)
	if err != nil {
		return nil, err
	}
	if err := l.await(ctx, p); err != nil {
		return nil, err
	}
	return p, p.awaitAdmin(ctx)
}

// awaitAdmin waits until the admin side answers too.
func (p *process) awaitAdmin(ctx context.Context) error {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		var status struct{ Jobs map[string]int }
		err := p.get(ctx, "status", &status)
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
	}
}

// launch starts the program.
func (l *lab) launch(s setup) (*process, error) {
	var err error
	if s.dir == "" {
		if s.dir, err = l.folder(); err != nil {
			return nil, err
		}
	}
	if s.addr == "" {
		if s.addr, err = freePort(); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(s.dir, "hooks.yaml"), []byte(s.config()), 0o600); err != nil {
		return nil, err
	}
	args := append(s.wrap, l.program, "serve", "-c", filepath.Join(s.dir, "hooks.yaml"), "--log-format", "json")
	socket := filepath.Join(s.dir, "a.sock")
	p := &process{name: "tenterhook", addr: s.addr, dir: s.dir, traced: len(s.wrap) > 0, admin: &http.Client{
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}},
	}}
	return p, l.start(p, args)
}

func (s setup) config() string {
	hooks := s.hooks
	if hooks == "" {
		hooks = fmt.Sprintf(hookLines, secret)
	}
	retention := ""
	if s.retention != "" {
		retention = ", retention: " + s.retention
	}
	return fmt.Sprintf("server: {listen: '%s', drain: 1s}\nadmin: {listen: 'unix:%s'}\nstore: {url: 'sqlite:%s'%s}\nworkers: %d\nhooks:\n%s",
		s.addr, filepath.Join(s.dir, "a.sock"), filepath.Join(s.dir, "t.db"), retention, max(1, s.workers), hooks)
}

// start starts a server; what it says goes to a file, as under an init system.
func (l *lab) start(p *process, args []string) error {
	log, err := os.Create(filepath.Join(p.dir, "log"))
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	p.cmd = exec.Command(args[0], args[1:]...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return err
	}
	l.running = append(l.running, p)
	return nil
}

// await waits until the server takes connections.
func (l *lab) await(ctx context.Context, p *process) error {
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if c, err := net.Dial("tcp", p.addr); err == nil {
			return c.Close()
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	log, _ := os.ReadFile(filepath.Join(p.dir, "log"))
	return fmt.Errorf("%s does not listen:\n%s", p.name, bytes.TrimSpace(log[:min(len(log), 2000)]))
}

// freePort is an address that nothing listens on; the programs that need it cannot take a
// listener over.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// startPeer starts the peer with the same check and one rule on the ref.
func (l *lab) startPeer(ctx context.Context, ref string) (*process, error) {
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	hooks := fmt.Sprintf(`[{"id":"site","execute-command":"/bin/true","trigger-rule":{"and":[
{"match":{"type":"payload-hmac-sha256","secret":"%s","parameter":{"source":"header","name":"X-Hub-Signature-256"}}},
{"match":{"type":"value","value":"%s","parameter":{"source":"payload","name":"ref"}}}]}}]`, secret, ref)
	file := filepath.Join(dir, "hooks.json")
	if err := os.WriteFile(file, []byte(hooks), 0o600); err != nil {
		return nil, err
	}
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(addr)
	p := &process{name: "webhook", addr: addr, dir: dir}
	if err := l.start(p, []string{l.peer, "-hooks", file, "-ip", "127.0.0.1", "-port", port}); err != nil {
		return nil, err
	}
	return p, l.await(ctx, p)
}

// startSelf starts one of this program's own servers, see serveContender.
func (l *lab) startSelf(ctx context.Context, kind string) (*process, error) {
	addr, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := l.folder()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "hooks.yaml")
	if err := os.WriteFile(file, []byte(setup{dir: dir, addr: addr}.config()), 0o600); err != nil {
		return nil, err
	}
	p := &process{name: kind, addr: addr, dir: dir}
	if err := l.start(p, []string{l.self, kind, file}); err != nil {
		return nil, err
	}
	return p, l.await(ctx, p)
}

// stop ends a server and forgets its files. It does nothing the second time.
func (p *process) stop() {
	p.end()
	_ = os.RemoveAll(p.dir)
}

// end ends a server and keeps its files.
func (p *process) end() {
	if p.cmd == nil || p.cmd.Process == nil || p.cmd.ProcessState != nil {
		return
	}
	if p.admin != nil {
		p.admin.CloseIdleConnections()
	}
	if pid := p.pid(); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
	}
	late := time.AfterFunc(20*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait()
}

// pid is the server's, also under a tracer; 0 when there is none.
func (p *process) pid() int {
	if !p.traced {
		return p.cmd.Process.Pid
	}
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.cmd.Process.Pid, p.cmd.Process.Pid))
	pid, _ := strconv.Atoi(strings.TrimSpace(string(children)))
	return pid
}

// cpu is the processor time the server has used.
func (p *process) cpu() time.Duration { return p.times(11, 12) }

// cpuWithChildren is that and what the processes have used that it started and that have ended.
func (p *process) cpuWithChildren() time.Duration { return p.times(11, 12, 13, 14) }

// times adds up fields of /proc/PID/stat, counted from the state.
func (p *process) times(fields ...int) time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0
	}
	all := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	ticks := 0
	for _, i := range fields {
		n, _ := strconv.Atoi(all[i])
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // a clock tick is 1/100 s for programs
}

// settle waits until the server has used no processor time for half a second, at most a while.
func (p *process) settle(ctx context.Context) {
	const quiet = 500 * time.Millisecond
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && ctx.Err() == nil; {
		before := p.cpu()
		time.Sleep(quiet)
		if p.cpu() == before {
			return
		}
	}
}

// memory is a figure of /proc/PID/status, such as VmRSS, in MB.
func (p *process) memory(name string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	_, rest, _ := strings.Cut(string(status), name+":")
	kb, _ := strconv.Atoi(strings.TrimSpace(strings.Split(rest, " kB")[0]))
	return float64(kb) / 1024
}
