package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// A run with survive: true lives on when the daemon stops, is upgraded or dies. Beside the daemon
// it has a supervisor, a small process of this same binary, that starts the command, keeps its
// output in a file, and writes down how it ended. What both share is a folder of the run:
//
//	payload, stdin, file-*   what the command is given
//	supervisor               who supervises; made by the supervisor before it starts anything
//	output                   what the command writes, secrets masked
//	result                   how it ended; made last, in one step
//
// A daemon that starts looks into these folders and goes on waiting.

// The files of a run's folder.
const (
	supervisorFile = "supervisor"
	outputFile     = "output"
	resultFile     = "result"
)

const (
	attachLook    = 100 * time.Millisecond // between two looks at a run
	startWait     = 10 * time.Second       // for a supervisor to say that it is there
	cancelSlack   = 30 * time.Second       // beyond the grace time, for a supervisor to end its run
	surviveOutput = 64 << 20               // bytes of output that are kept for the next daemon
)

// order is what a supervisor is told, through its standard input: the environment may hold
// secrets, and is never on disk.
type order struct {
	Folder         string
	Argv, Env      []string
	Dir            string
	OwnStdin       bool
	Timeout, Grace time.Duration
	Spec           json.RawMessage // launch.Spec
	Group          string          // folder of its control group, "" for none
	Mask           []string
	Job            string
	Attempt        int
}

// supervisor identifies the process that supervises a run.
type supervisor struct {
	PID  int
	Born uint64
}

// lives reports whether the supervisor is still there.
func (s supervisor) lives() bool {
	now := stat(s.PID)
	return s.PID > 0 && now.lives() && now.born == s.Born
}

// ended is how a run ended, as its supervisor wrote it down.
type ended struct {
	ExitCode  *int
	Signal    string
	Error     string // "" when it succeeded
	TimedOut  bool
	Leftovers int
}

// Survivor is a run that was left to itself.
type Survivor struct {
	Job     string
	Attempt int
}

func (s Survivor) folder(dir string) string {
	return filepath.Join(dir, s.Job+"-"+strconv.Itoa(s.Attempt))
}

// Survivors lists the runs in dir that have a supervisor, or had one.
func Survivors(dir string) ([]Survivor, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list surviving runs: %w", err)
	}
	var out []Survivor
	for _, e := range entries {
		i := strings.LastIndexByte(e.Name(), '-')
		if n, err := strconv.Atoi(e.Name()[i+1:]); i > 0 && err == nil && e.IsDir() {
			out = append(out, Survivor{Job: e.Name()[:i], Attempt: n})
		}
	}
	return out, nil
}

// Forget removes what is left of a run, once its end is recorded or nobody asks for it.
func (s Survivor) Forget(dir string) { removeAll(s.folder(dir)) }

// Claim reports whether the run was really begun. One that was not never will be: its supervisor
// finds the claim in its place.
func (s Survivor) Claim(dir string) bool {
	f, err := os.OpenFile(filepath.Join(s.folder(dir), supervisorFile), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return true
	}
	_ = f.Close() // it is empty
	return false
}

// runApart starts the run with a supervisor and waits for its end.
func (p *preparedCommand) runApart(ctx context.Context, out io.Writer) Result {
	who := Survivor{p.facts.Job, p.facts.Attempt}
	dir := who.folder(p.facts.SurviveDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	if err := p.supervised(dir); err != nil {
		who.Forget(p.facts.SurviveDir)
		return Result{Err: errors.New(p.command.mask.text(fmt.Sprintf("could not start: %s", err)))}
	}
	r := who.Attach(ctx, p.facts.SurviveDir, out)
	if errors.Is(r.Err, ErrLost) {
		r.Err = errors.New("its supervisor was killed") // not with its daemon, by which it would be interrupted
		_, _ = Sweep(context.WithoutCancel(ctx), []string{who.Job})
	}
	return r
}

// supervised starts the supervisor and waits until it is there.
func (p *preparedCommand) supervised(dir string) error {
	if err := p.fill(&folder{path: dir}); err != nil {
		return err
	}
	o, err := p.order(dir)
	if err != nil {
		return err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("write order: %w", err)
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{supervisorName, p.facts.Job}, Dir: "/",
		Env:         []string{"PATH=" + path, supervisorName + "=1"}, // without the run's mark: it is not of the tree that it ends
		Stdin:       strings.NewReader(string(text)),
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := launch.Begin(cmd, &launch.Spec{}); err != nil {
		return fmt.Errorf("start supervisor: %w", err)
	}
	gone := make(chan struct{})
	go func() { // it is waited for as long as this daemon lives; then it is somebody else's
		defer close(gone)
		_ = launch.Wait(cmd)
	}()
	there := filepath.Join(dir, supervisorFile)
	for deadline := time.Now().Add(startWait); ; {
		if _, err := os.Stat(there); err == nil {
			return nil
		}
		select {
		case <-gone:
			return errors.New("the supervisor ended at once")
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			_ = cmd.Process.Kill()
			return errors.New("the supervisor does not answer")
		}
	}
}

func (p *preparedCommand) order(folder string) (*order, error) {
	spec, err := json.Marshal(p.spec(folder))
	if err != nil {
		return nil, fmt.Errorf("write launch: %w", err)
	}
	o := &order{
		Folder: folder, Argv: p.argv, Env: p.environment(folder), Dir: p.command.dir, OwnStdin: p.command.stdin != nil,
		Timeout: p.command.timeout, Grace: p.command.grace, Spec: spec, Mask: p.command.mask.values,
		Job: p.facts.Job, Attempt: p.facts.Attempt,
	}
	group, err := p.group()
	if err != nil {
		return nil, err
	}
	if group != nil {
		o.Group = group.Leave()
	}
	return o, nil
}

// Attach waits for the end of a run and copies its output from the beginning. When ctx ends
// because the daemon stops, the run is left to itself: the result is Detached. For any other
// cause it is ended, by its supervisor.
func (s Survivor) Attach(ctx context.Context, dir string, out io.Writer) (r Result) {
	defer func() { r.Apart = true }()
	folder := s.folder(dir)
	var by supervisor
	if text, err := os.ReadFile(filepath.Join(folder, supervisorFile)); err == nil {
		_ = json.Unmarshal(text, &by) // one that cannot be read supervises nothing
	}
	output := &follower{path: filepath.Join(folder, outputFile), out: out}
	defer output.close()
	var giveUp time.Time // set once the supervisor was told to end the run
	tick := time.NewTicker(attachLook)
	defer tick.Stop()
	for {
		lives := by.lives() // before the result is looked for: who is gone has written it
		output.copy()
		if r, ok := s.result(folder); ok {
			output.copy()
			return r
		}
		switch {
		case !lives:
			return Result{Err: ErrLost}
		case !giveUp.IsZero() && time.Now().After(giveUp):
			_ = syscall.Kill(by.PID, syscall.SIGKILL)
			_, _ = Sweep(context.WithoutCancel(ctx), []string{s.Job})
			return Result{Err: fmt.Errorf("%w; its supervisor did not answer and was killed", context.Cause(ctx))}
		}
		select {
		case <-tick.C:
		case <-done(ctx, giveUp):
			if errors.Is(context.Cause(ctx), ErrStopping) {
				return Result{Err: ErrStopping, Detached: true}
			}
			giveUp = time.Now().Add(longestGrace + cancelSlack)
			_ = syscall.Kill(by.PID, syscall.SIGTERM) // it lived a moment ago, and is not another by its birth
		}
	}
}

// done is ctx's end, once.
func done(ctx context.Context, told time.Time) <-chan struct{} {
	if told.IsZero() {
		return ctx.Done()
	}
	return nil
}

// ErrLost is what a run ended with whose supervisor died with it, as in a reboot.
var ErrLost = errors.New("its supervisor is gone; how far it came is not known")

func (s Survivor) result(folder string) (Result, bool) {
	text, err := os.ReadFile(filepath.Join(folder, resultFile))
	if err != nil {
		return Result{}, false
	}
	var e ended
	if err := json.Unmarshal(text, &e); err != nil {
		return Result{Err: fmt.Errorf("read how the run ended: %w", err)}, true
	}
	r := Result{ExitCode: e.ExitCode, Signal: e.Signal, TimedOut: e.TimedOut, Leftovers: e.Leftovers}
	if e.Error != "" {
		r.Err = errors.New(e.Error)
	}
	return r, true
}

// follower copies a file that grows.
type follower struct {
	path string
	out  io.Writer
	file *os.File
}

func (f *follower) copy() {
	if f.file == nil {
		file, err := os.Open(f.path)
		if err != nil {
			return // nothing was written yet
		}
		f.file = file
	}
	_, _ = io.Copy(f.out, f.file) // up to what is there now
}

func (f *follower) close() {
	if f.file != nil {
		_ = f.file.Close() // nothing was written
	}
}
