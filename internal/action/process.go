package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// The waits that a run's end is bounded by, beside its grace time.
const (
	settleTime    = 100 * time.Millisecond // for what is about to end by itself, such as a tee, when the main process is gone
	leftoverGrace = 2 * time.Second        // from SIGTERM to SIGKILL for processes that outlive their parent
	pipeWait      = 2 * time.Second        // for output after the last process is gone
	reapWait      = 5 * time.Second        // for a killed process: one in an uninterruptible call is given up
	busyRetries   = 20                     // of a program that is just being written
	shortRun      = 20 * time.Millisecond  // for which the end of the output is waited for alone, not beside that of the process or a cancellation
)

// identity is who commands run as: the daemon's own user.
var identity = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	if u, err := user.Current(); err == nil {
		out["USER"], out["HOME"] = u.Username, u.HomeDir
	}
	if tz := os.Getenv("TZ"); tz != "" {
		out["TZ"] = tz
	}
	return out
})

// Run implements Prepared.
func (p *preparedCommand) Run(ctx context.Context, out io.Writer) Result {
	if ctx.Err() != nil {
		return Result{Err: context.Cause(ctx)}
	}
	p.trace = traceVariables(traceContext(ctx))
	if p.command.log > 0 && p.facts.LogDir != "" {
		log := NewLogFile(LogPath(p.facts.LogDir, p.facts.Job, p.facts.Attempt), p.command.log)
		defer func() { _ = log.Close() }() // its last line says what is missing; a log is not worth a run
		out = io.MultiWriter(out, log)
	}
	if p.command.survive && p.facts.SurviveDir != "" {
		return p.runApart(ctx, out)
	}
	dir, err := p.makeDir()
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	defer dir.remove()
	group, err := p.group()
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	if group != nil {
		defer group.Remove()
	}
	return p.runIn(ctx, dir.path, group, out)
}

// runIn runs the command with what is in its folder, to its end.
func (p *preparedCommand) runIn(ctx context.Context, dir string, group *launch.Group, out io.Writer) Result {
	masked := p.command.mask.writer(out)
	output, err := newCollector(masked)
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	defer output.close() // again, when the start fails
	process, err := p.start(dir, output, group)
	if err != nil {
		return Result{Err: errors.New(p.command.mask.text(fmt.Sprintf("could not start: %s", err)))}
	}
	began := time.Now()
	if ctx.Err() == nil {
		output.attend(min(shortRun, p.command.timeout))
	} else {
		output.attend(0)
	}
	result := p.supervise(ctx, process, p.command.timeout-time.Since(began))
	if group != nil && result.Err != nil && group.OutOfMemory() {
		result.Err = fmt.Errorf("killed by the kernel: over limits.memory; %w", result.Err)
	}
	output.finish(pipeWait)
	output.close()
	_ = masked.Flush() // Output takes everything
	return result
}

// spec is what binds the command, with the attempt's own folder in its sandbox.
func (p *preparedCommand) spec(dir string) *launch.Spec {
	s := p.command.launch
	if s.Sandbox != nil && len(s.Sandbox.Read)+len(s.Sandbox.Write) > 0 {
		box := *s.Sandbox
		box.Write = append(slices.Clone(box.Write), dir)
		s.Sandbox = &box
	}
	return &s
}

// child is a started command. Its pid is the id of its session and process group, and stays its
// own until it is reaped, which is done last.
type child struct {
	cmd  *exec.Cmd
	tree tree
	exit *launch.Exit
}

func (p *preparedCommand) start(dir string, output *collector, group *launch.Group) (*child, error) {
	stdin := p.input
	if stdin == nil {
		var err error
		if stdin, err = p.openInput(dir); err != nil {
			return nil, err
		}
	}
	defer func() { _ = stdin.Close() }()
	for try := 0; ; try++ {
		cmd := &exec.Cmd{
			Path: p.argv[0], Args: p.argv, Dir: p.command.dir, Env: p.environment(dir),
			Stdin: stdin, Stdout: output.write, Stderr: output.write,
			SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		}
		if group != nil {
			joinGroup(cmd.SysProcAttr, group)
		}
		err := launch.Begin(cmd, p.spec(dir))
		if errors.Is(err, syscall.ETXTBSY) && try < busyRetries {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if err != nil {
			return nil, p.plainError(err)
		}
		output.started()
		pid := cmd.Process.Pid
		return &child{cmd: cmd, exit: launch.ExitOf(pid), tree: newTree(pid, p.facts, group)}, nil
	}
}

// plainError is the cause of a failed start with the program's name, without the call's. The
// kernel has one word for whatever is missing, so it is looked up.
func (p *preparedCommand) plainError(err error) error {
	program, dir := p.argv[0], p.command.dir
	if info, statErr := os.Stat(dir); statErr != nil || !info.IsDir() {
		return fmt.Errorf("folder %s does not exist", dir)
	}
	if _, statErr := os.Stat(program); statErr == nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: the interpreter in its first line does not exist", program)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// supervise waits for the end of the command, at most so long, or brings it about, and leaves nothing
// running.
func (p *preparedCommand) supervise(ctx context.Context, c *child, most time.Duration) Result {
	var result Result
	if c.exit.Await(ctx, most) {
		if !c.tree.settle(settleTime) {
			result.Leftovers = c.tree.end(leftoverGrace).met
		}
		return c.finished(result)
	}
	ended := context.Cause(ctx)
	if ended == nil {
		result.TimedOut = true
		ended = fmt.Errorf("timed out after %s", p.command.timeout)
	}
	how := c.end(p.command.grace)
	result = c.finished(result)
	result.Err = fmt.Errorf("%w; %s", ended, how)
	return result
}

// end terminates the whole tree, and kills it when the grace time is over. It says how it went.
func (c *child) end(grace time.Duration) string {
	e := c.tree.end(grace)
	switch {
	case !e.gone, !c.exit.Await(context.Background(), reapWait):
		return "killed, but the kernel does not let it go"
	case e.killed:
		return fmt.Sprintf("killed %s later", grace)
	}
	return "terminated"
}

// finished reaps the main process and reads how it ended.
func (c *child) finished(r Result) Result {
	defer c.exit.Close()
	if !c.exit.Has() {
		go func() { _ = launch.Wait(c.cmd) }() // given up; it ends when the kernel lets it
		return r
	}
	err := launch.Bury(c.cmd)
	state := c.cmd.ProcessState
	if state == nil {
		r.Err = err
		return r
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		r.Signal = signalName(status.Signal())
		r.Err = fmt.Errorf("killed by signal %s", r.Signal)
		return r
	}
	code := state.ExitCode()
	r.ExitCode = &code
	if code != 0 {
		r.Err = fmt.Errorf("exit status %d", code)
	}
	return r
}
