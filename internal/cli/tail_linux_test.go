package cli

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tenterhook/tenterhook/internal/admin"
	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// terminal is a pseudo-terminal: what is typed at it, and what it shows.
type terminal struct {
	master, slave *os.File
	mu            sync.Mutex
	seen          bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudo-terminals here: %v", err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetUint32(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{master: master, slave: slave}
	x.resize(t, 90, 12)
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			x.mu.Lock()
			x.seen.Write(buf[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = slave.Close() // the reader's end
		<-done
		_ = master.Close()
	})
	return x
}

func (x *terminal) resize(t *testing.T, width, height uint16) {
	t.Helper()
	if err := unix.IoctlSetWinsize(int(x.master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: width, Row: height}); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the terminal has been sent a text.
func (x *terminal) shows(t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; <-tick.C {
		x.mu.Lock()
		seen := x.seen.String()
		x.mu.Unlock()
		if strings.Contains(seen, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the terminal does not show %q but ends in %q", text, seen[max(0, len(seen)-2000):])
		}
	}
}

func TestTail_IsAScreenUntilQ(t *testing.T) {
	x := newTerminal(t)
	before, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "hooks.yaml")
	write(t, file, "admin: {listen: 'unix:admin.sock'}\nstore: {url: 'sqlite:t.db'}\n")
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "t.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d := &job.Delivery{ID: id(1), Hook: "site", Key: "k", Window: time.Hour, OnDuplicate: job.Skip, ReceivedAt: time.Now(), Outcome: job.Accepted, Origin: "request"}
	if _, err := s.Accept(t.Context(), d, []job.Job{{ID: id(11), Delivery: id(1), Hook: "site", Rule: "deploy", State: job.Queued, CreatedAt: d.ReceivedAt}}); err != nil {
		t.Fatal(err)
	}
	feed := admin.NewFeed()
	l, err := admin.Listen("unix:" + filepath.Join(dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	server := admin.NewServer(admin.Handler(backend{s}, admin.Options{Feed: feed, Log: slog.New(slog.DiscardHandler)}), nil)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	defer func() {
		feed.Close()
		_ = server.Close()
		<-served
	}()

	status := make(chan int, 1)
	go func() {
		status <- run([]string{"jobs", "tail"}, &env{
			ctx: t.Context(), stdin: x.slave, stdout: x.slave, stderr: &bytes.Buffer{}, environ: []string{"TENTERHOOK_CONFIG=" + file},
			now: time.Now, every: time.Millisecond,
			openStore: func(context.Context, string) (reader, error) { return nil, store.ErrNotFound },
		})
	}()
	x.shows(t, enterScreen)
	x.shows(t, "site/deploy")
	x.shows(t, "q quits")
	for deadline := time.Now().Add(20 * time.Second); !feed.Heard(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the screen does not listen")
		}
	}
	feed.PublishJob(id(11), func(context.Context) (admin.Job, error) {
		return admin.Job{ID: id(11), Hook: "site", Rule: "deploy", State: job.Failed, Reason: "exit status 77"}, nil
	})
	x.shows(t, "exit status 77")
	x.resize(t, 40, 6)
	if err := unix.Kill(unix.Getpid(), unix.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	x.shows(t, "counted since "+time.Now().Format("15")[:1]+"…") // cut where the narrow screen ends
	if _, err := x.master.WriteString("jq"); err != nil {
		t.Fatal(err)
	}
	if got := <-status; got != exitOK {
		t.Errorf("exit status %d", got)
	}
	x.shows(t, leaveScreen)
	after, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if *before != *after {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}
