package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// supervisorName is a supervisor's argv[0], and the variable that says that it is one.
const supervisorName = "tenterhook-supervise"

// A supervisor is this binary, whatever it is: the check is made before its main.
func init() {
	if os.Args[0] != supervisorName || os.Getenv(supervisorName) == "" {
		return
	}
	if err := supervise(); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// supervise runs one command and writes down how it ended.
func supervise() error {
	launch.OwnFiles()
	_ = launch.Adopt() // without it, all processes are looked at
	var o order
	if err := json.NewDecoder(os.Stdin).Decode(&o); err != nil {
		return fmt.Errorf("read order: %w", err)
	}
	// From now on the daemon's end is not ours.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	go func() { // ends with the process
		<-told
		cancel(ErrCancelled)
	}()
	if err := o.sign(); err != nil {
		return err // a daemon has decided that this run does not begin
	}
	r := o.run(ctx)
	e := ended{ExitCode: r.ExitCode, Signal: r.Signal, TimedOut: r.TimedOut, Leftovers: r.Leftovers}
	if r.Err != nil {
		e.Error = r.Err.Error()
	}
	return o.write(e)
}

// sign makes this process the run's supervisor, unless somebody is.
func (o *order) sign() error {
	me := supervisor{PID: os.Getpid(), Born: stat(os.Getpid()).born}
	text, err := json.Marshal(me)
	if err != nil {
		return fmt.Errorf("write supervisor: %w", err)
	}
	// In one step with its content: a link to a file that is whole.
	own := filepath.Join(o.Folder, fmt.Sprintf(".%s-%d", supervisorFile, me.PID))
	if err := os.WriteFile(own, text, 0o600); err != nil {
		return fmt.Errorf("write supervisor: %w", err)
	}
	err = os.Link(own, filepath.Join(o.Folder, supervisorFile))
	return errors.Join(err, os.Remove(own))
}

// run runs the command as a daemon would, its output into the run's file.
func (o *order) run(ctx context.Context) Result {
	p := &preparedCommand{
		command: &command{dir: o.Dir, timeout: o.Timeout, grace: o.Grace, mask: newMask(o.Mask)},
		facts:   Facts{Job: o.Job, Attempt: o.Attempt}, argv: o.Argv, whole: o.Env,
	}
	if o.OwnStdin {
		p.command.stdin = literal("")[0] // there is one, in its file
	}
	if err := json.Unmarshal(o.Spec, &p.command.launch); err != nil {
		return Result{Err: fmt.Errorf("read launch: %w", err)}
	}
	var group *launch.Group
	if o.Group != "" {
		var err error
		if group, err = launch.OpenGroup(o.Group); err != nil {
			return Result{Err: fmt.Errorf("could not start: %w", err)}
		}
		defer group.Remove()
	}
	log := NewLogFile(filepath.Join(o.Folder, outputFile), surviveOutput)
	defer func() { _ = log.Close() }() // a log is not worth a run
	return p.runIn(ctx, o.Folder, group, log)
}

// write writes the result down in one step, and onto the disk.
func (o *order) write(e ended) error {
	text, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	path := filepath.Join(o.Folder, resultFile)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
