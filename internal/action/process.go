package action

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
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
	defer removeAll(dir)
	group, err := p.group()
	if err != nil {
		return Result{Err: fmt.Errorf("could not start: %w", err)}
	}
	if group != nil {
		defer group.Remove()
	}
	return p.runIn(ctx, dir, group, out)
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
	result := p.supervise(ctx, process)
	if group != nil && result.Err != nil && group.OutOfMemory() {
		result.Err = fmt.Errorf("killed by the kernel: over limits.memory; %w", result.Err)
	}
	output.finish(pipeWait)
	output.close()
	_ = masked.Flush() // Output takes everything
	return result
}

// makeDir makes the attempt's private folder with the payload and the declared files.
func (p *preparedCommand) makeDir() (string, error) {
	dir, err := os.MkdirTemp(p.runFolder())
	if err != nil {
		return "", err
	}
	if err := p.fill(dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// fill puts what the command is given into its folder.
func (p *preparedCommand) fill(dir string) error {
	files := map[string][]byte{payloadFile: p.body}
	for name, content := range p.files {
		files["file-"+name] = []byte(content)
	}
	if p.command.stdin != nil {
		files["stdin"] = p.stdin
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o400); err != nil {
			return err
		}
	}
	if p.command.launch.User == nil {
		return nil
	}
	// Before the folder is the user's, who could put a link in the file's place.
	input, err := p.openInput(dir)
	if err != nil {
		return err
	}
	p.input = input
	return p.give(dir, slices.Collect(maps.Keys(files)))
}

// openInput opens what the command reads. It is a file, not a pipe: a command that never reads it
// holds nobody up.
func (p *preparedCommand) openInput(dir string) (*os.File, error) {
	name := payloadFile
	if p.command.stdin != nil {
		name = "stdin"
	}
	return os.Open(filepath.Join(dir, name))
}

// runFolder is where the attempt gets its own folder. Another user cannot get into the daemon's.
func (p *preparedCommand) runFolder() (parent, pattern string) {
	if p.command.launch.User == nil {
		return p.facts.RunDir, "run-"
	}
	return os.TempDir(), sharedPrefix(p.facts.Shared)
}

// sharedPrefix begins the names of folders that a daemon's runs have beside its own.
func sharedPrefix(daemon string) string {
	sum := sha256.Sum256([]byte(daemon))
	return "tenterhook-as-" + hex.EncodeToString(sum[:6]) + "-"
}

// ClearShared removes the folders that runs of a daemon that died left beside its own.
func ClearShared(daemon string) {
	left, _ := filepath.Glob(filepath.Join(os.TempDir(), sharedPrefix(daemon)+"*")) // the pattern is a good one
	for _, dir := range left {
		removeAll(dir)
	}
}

// give gives the attempt's folder to the user it runs as.
func (p *preparedCommand) give(dir string, files []string) error {
	u := p.command.launch.User
	if u == nil || u.UID == os.Getuid() {
		return nil
	}
	for _, name := range files {
		if err := os.Lchown(filepath.Join(dir, name), u.UID, u.GID); err != nil {
			return err
		}
	}
	return os.Lchown(dir, u.UID, u.GID)
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

// removeAll removes a run's folder, also with folders in it that the script closed. What is left
// is cleared at the next start.
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	parent, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return
	}
	defer func() { _ = parent.Close() }() // nothing was written through it
	_ = fs.WalkDir(parent.FS(), filepath.Base(dir), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = parent.Chmod(path, 0o700) // before it is read; it cannot lead out
		}
		return nil
	})
	_ = os.RemoveAll(dir)
}

// child is a started command. Its pid is the id of its session and process group, and stays its
// own until it is reaped, which is done last.
type child struct {
	cmd    *exec.Cmd
	tree   tree
	exited chan struct{} // closed when the main process has ended
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
			cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, group.FD()
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
		c := &child{cmd: cmd, exited: make(chan struct{}), tree: newTree(cmd.Process.Pid, p.facts, group)}
		go func() {
			defer close(c.exited)
			launch.AwaitExit(cmd.Process.Pid)
		}()
		return c, nil
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

// supervise waits for the end of the command, or brings it about, and leaves nothing running.
func (p *preparedCommand) supervise(ctx context.Context, c *child) Result {
	timer := time.NewTimer(p.command.timeout)
	defer timer.Stop()
	var result Result
	var ended error
	select {
	case <-c.exited:
		if !c.tree.settle(settleTime) {
			result.Leftovers = c.tree.end(leftoverGrace).met
		}
		return c.finished(result)
	case <-timer.C:
		result.TimedOut = true
		ended = fmt.Errorf("timed out after %s", p.command.timeout)
	case <-ctx.Done():
		ended = context.Cause(ctx)
	}
	how := c.end(p.command.grace)
	result = c.finished(result)
	result.Err = fmt.Errorf("%w; %s", ended, how)
	return result
}

// end terminates the whole tree, and kills it when the grace time is over. It says how it went.
func (c *child) end(grace time.Duration) string {
	e := c.tree.end(grace)
	if e.gone {
		stuck := time.NewTimer(reapWait)
		defer stuck.Stop()
		select {
		case <-c.exited:
		case <-stuck.C:
			e.gone = false
		}
	}
	switch {
	case !e.gone:
		return "killed, but the kernel does not let it go"
	case e.killed:
		return fmt.Sprintf("killed %s later", grace)
	}
	return "terminated"
}

// finished reaps the main process and reads how it ended.
func (c *child) finished(r Result) Result {
	select {
	case <-c.exited:
	default:
		go func() { _ = launch.Wait(c.cmd) }() // given up; it ends when the kernel lets it
		return r
	}
	err := launch.Wait(c.cmd)
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

// finish waits for the rest of the output, at most so long: somebody who still holds the pipe
// open does not hold the run up.
func (c *collector) finish(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
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
