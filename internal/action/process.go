package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// The waits that a run's end is bounded by, beside its grace time.
const (
	leftoverGrace = 2 * time.Second        // from SIGTERM to SIGKILL for processes that outlive their parent
	pipeGlance    = 100 * time.Millisecond // for the pipe to close when the main process is gone
	pipeWait      = 2 * time.Second        // for output after the last process is gone
	reapWait      = 5 * time.Second        // for a killed process: one in an uninterruptible call is given up
	busyRetries   = 20                     // of a program that is just being written
)

// identity is who commands run as: the daemon's own user.
var identity = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	if u, err := user.Current(); err == nil {
		out["USER"], out["LOGNAME"], out["HOME"] = u.Username, u.Username, u.HomeDir
	}
	if tz := os.Getenv("TZ"); tz != "" {
		out["TZ"] = tz
	}
	return out
})

// Run implements Prepared.
func (p *preparedCommand) Run(ctx context.Context, out io.Writer) Result {
	dir, err := p.makeDir()
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is cleared at the next start
	masked := newMasker(out, p.command.secrets)
	output, err := newCollector(masked)
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	defer output.close() // again, when the start fails
	process, err := p.start(dir, output)
	if err != nil {
		return Result{Err: errors.New(p.command.mask.text(fmt.Sprintf("could not start: %s", err)))}
	}
	result := p.supervise(ctx, process, output)
	output.finish(pipeWait)
	output.close()
	_ = masked.Flush() // Output takes everything
	return result
}

// makeDir makes the attempt's private folder with the payload and the declared files.
func (p *preparedCommand) makeDir() (string, error) {
	dir, err := os.MkdirTemp(p.facts.RunDir, "run-")
	if err != nil {
		return "", err
	}
	files := map[string][]byte{payloadFile: p.body}
	for name, content := range p.files {
		files["file-"+name] = []byte(content)
	}
	if p.command.stdin != nil {
		files["stdin"] = p.stdin
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o400); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// child is a started command. Its pid is the id of its session and process group.
type child struct {
	cmd    *exec.Cmd
	tree   tree
	exited chan struct{} // closed when the main process has been reaped
	err    error         // of Wait, once exited
}

func (p *preparedCommand) start(dir string, output *collector) (*child, error) {
	name := payloadFile
	if p.command.stdin != nil {
		name = "stdin"
	}
	// A file, not a pipe: a command that never reads it holds nobody up.
	stdin, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }()
	for try := 0; ; try++ {
		cmd := &exec.Cmd{
			Path: p.argv[0], Args: p.argv, Dir: p.command.dir, Env: p.environment(dir),
			Stdin: stdin, Stdout: output.write, Stderr: output.write,
			SysProcAttr: &syscall.SysProcAttr{Setsid: true},
		}
		err := cmd.Start()
		if errors.Is(err, syscall.ETXTBSY) && try < busyRetries {
			time.Sleep(5 * time.Millisecond)
			continue
		}
		if err != nil {
			return nil, plainError(err)
		}
		output.started()
		c := &child{cmd: cmd, exited: make(chan struct{}), tree: tree{session: cmd.Process.Pid, mark: markOf(p.facts)}}
		go func() {
			c.err = cmd.Wait()
			close(c.exited)
		}()
		return c, nil
	}
}

// plainError is the cause of a failed start with the program's name, without the call's.
func plainError(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// supervise waits for the end of the command, or brings it about, and leaves nothing running.
func (p *preparedCommand) supervise(ctx context.Context, c *child, output *collector) Result {
	timer := time.NewTimer(p.command.timeout)
	defer timer.Stop()
	var result Result
	var ended error
	select {
	case <-c.exited:
		if c.tree.any() || !output.finish(pipeGlance) {
			result.Leftovers = c.tree.endLeftovers(leftoverGrace)
		}
		return p.finished(c, result)
	case <-timer.C:
		result.TimedOut = true
		ended = fmt.Errorf("timed out after %s", p.command.timeout)
	case <-ctx.Done():
		ended = context.Cause(ctx)
	}
	how := p.end(c)
	result.Leftovers = c.tree.endLeftovers(0)
	result = p.finished(c, result)
	result.Err = fmt.Errorf("%w; %s", ended, how)
	return result
}

// end terminates the whole tree, and kills it when the grace time is over. It says how it went.
func (p *preparedCommand) end(c *child) string {
	c.tree.signalAll(syscall.SIGTERM)
	deadline := time.NewTimer(p.command.grace)
	defer deadline.Stop()
	if c.goneBefore(deadline.C) {
		return "terminated"
	}
	c.tree.signalAll(syscall.SIGKILL)
	stuck := time.NewTimer(reapWait)
	defer stuck.Stop()
	select {
	case <-c.exited:
		return fmt.Sprintf("killed %s later", p.command.grace)
	case <-stuck.C:
		return "killed, but the kernel does not let it go"
	}
}

// goneBefore waits until the main process and everything it started are gone.
func (c *child) goneBefore(deadline <-chan time.Time) bool {
	select {
	case <-c.exited:
	case <-deadline:
		return false
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for c.tree.any() {
		select {
		case <-poll.C:
		case <-deadline:
			return false
		}
	}
	return true
}

// finished reads how the main process ended.
func (p *preparedCommand) finished(c *child, r Result) Result {
	select {
	case <-c.exited:
	default:
		return r // given up
	}
	state := c.cmd.ProcessState
	if state == nil {
		r.Err = c.err
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

// collector reads one pipe into a writer until everybody who could write is gone.
type collector struct {
	write *os.File // the commands' end
	read  *os.File
	done  chan struct{}
}

func newCollector(out io.Writer) (*collector, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &collector{write: write, read: read, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_, _ = io.Copy(out, read) // ends with the pipe, or with finish
	}()
	return c, nil
}

// started closes our copy of the commands' end, so that theirs is the last.
func (c *collector) started() {
	_ = c.write.Close()
	c.write = nil
}

// finish waits for the rest of the output, at most so long, and reports whether it has come:
// somebody who still holds the pipe open does not hold the run up.
func (c *collector) finish(wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
		return true
	case <-timer.C:
		return false
	}
}

func (c *collector) close() {
	if c.write != nil {
		_ = c.write.Close()
	}
	_ = c.read.SetReadDeadline(time.Now()) // an error means that it is closed
	<-c.done
	_ = c.read.Close()
}
