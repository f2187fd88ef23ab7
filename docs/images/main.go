// Command images draws the picture of the README: it builds the program, runs it at a terminal of
// its own, and writes what the terminal showed, colours and all, as an SVG. And it draws what each
// flow control does, by letting the code of the daemon that decides it decide.
//
//	go run ./docs/images
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	columns = 92
	target  = "docs/images/terminal.svg"
)

// The configuration of the picture: a deploy that takes its time, and a chat that is down.
const hooks = `admin: {listen: unix:admin.sock}
server: {listen: unix:hooks.sock, drain: 1s}
hooks:
  - name: site
    path: /github
    provider: github
    secret: ${file:secret}
    match: event == "push" && branch == "main"
    run: while [ -e busy ]; do sleep 0.1; done; echo deployed
    concurrency: {key: "${{ repo }}", overflow: replace_pending}
  - name: chat
    path: /releases
    provider: github
    secret: ${file:secret}
    match: event == "release" && payload.action == "published"
    http: {url: "http://127.0.0.1:9", json: {text: "${{ payload.release.tag_name }} is out"}, allow_private: true}
`

func main() {
	if err := draw(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func draw(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "images-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := &stage{dir: dir}
	if err := s.build(ctx); err != nil {
		return err
	}
	stop, err := s.serve(ctx)
	if err != nil {
		return err
	}
	err = s.play(ctx)
	if err = errors.Join(err, stop()); err != nil {
		return err
	}
	if err := os.WriteFile(target, []byte(picture(s.lines)), 0o644); err != nil {
		return err
	}
	return drawControls()
}

// drawControls writes the timelines of docs/flow-control.md.
func drawControls() error {
	for _, c := range pictured {
		if err := os.WriteFile(c.file(), []byte(timeline(c.title, c.play())), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stage is a folder in which the program runs, and what was seen of it.
type stage struct {
	dir   string
	lines []line
}

func (s *stage) build(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(s.dir, "bin", "tenterhook"), "./cmd/tenterhook").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	for name, text := range map[string]string{"hooks.yaml": hooks, "secret": "0123456789abcdef0123456789abcdef\n"} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// command is a command of the picture, which finds the program by its name.
func (s *stage) command(ctx context.Context, text string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"), "TERM=xterm-256color", "NO_COLOR=", "TENTERHOOK_CONFIG=")
	return cmd
}

// serve starts the daemon and waits until it takes deliveries.
func (s *stage) serve(ctx context.Context) (stop func() error, err error) {
	cmd := s.command(ctx, "exec tenterhook serve")
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() error { return errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()) }
	for range 100 {
		if s.command(ctx, "tenterhook status").Run() == nil {
			return stop, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.Join(errors.New("the daemon does not start"), stop())
}

// play lets deliveries come, and shows what one sees of them.
func (s *stage) play(ctx context.Context) error {
	const release = `{"action":"published","release":{"tag_name":"v1.2.0"}}`
	for _, text := range []string{
		"tenterhook send site", // deployed at once
		"while tenterhook jobs --json | grep -q running; do sleep 0.1; done; touch busy",
		"tenterhook send site",
		"tenterhook send chat --event release --data '" + release + "'",
		"tenterhook send site; tenterhook send site", // while a deploy runs: the newest waits
		`tenterhook send site --data '{"ref":"refs/heads/door","after":"9f2c1e"}'`,
		"while ! tenterhook jobs --json | grep -q scheduled; do sleep 0.1; done",
	} {
		if out, err := s.command(ctx, text).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", text, err, out)
		}
	}
	ids, err := s.command(ctx, "tenterhook complete deliveries").Output()
	if err != nil {
		return fmt.Errorf("find the delivery: %w", err)
	}
	id, _, _ := strings.Cut(string(ids), "\t")
	for _, text := range []string{"tenterhook jobs", "tenterhook explain " + id[len(id)-min(8, len(id)):]} {
		if err := s.show(ctx, text); err != nil {
			return err
		}
	}
	return os.Remove(filepath.Join(s.dir, "busy"))
}

// show runs a command at a terminal, and keeps what was typed and seen. How it ends does not
// matter: the picture has a mistake in it.
func (s *stage) show(ctx context.Context, text string) error {
	master, slave, err := terminal()
	if err != nil {
		return fmt.Errorf("open a terminal: %w", err)
	}
	defer master.Close()
	cmd := s.command(ctx, text)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := errors.Join(cmd.Start(), slave.Close()); err != nil {
		return err
	}
	seen, _ := io.ReadAll(master) // it ends with an error when the last program closes the terminal
	_ = cmd.Wait()
	if len(s.lines) > 0 {
		s.lines = append(s.lines, line{})
	}
	s.lines = append(s.lines, line{runs: []run{{text: "$ ", faint: true}, {text: text, bold: true}}})
	s.lines = append(s.lines, read(strings.ReplaceAll(string(seen), s.dir, "/srv/hooks"))...)
	return nil
}

// terminal opens a pseudo-terminal of the picture's width.
func terminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	n, numErr := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err = errors.Join(err, numErr, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 50, Col: columns})); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	if slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}
