// Package postgrestest gives tests a PostgreSQL server of their own, from Debian's package, by
// the script .ci/postgres.
package postgrestest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Server is a running server. It ends with the process that started it.
type Server struct {
	URL string

	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// errAbsent: PostgreSQL is not installed.
var errAbsent = errors.New("PostgreSQL is not installed (apt-get install postgresql)")

// start runs the script.
func start() (*Server, error) {
	script, err := find(".ci/postgres")
	if err != nil {
		return nil, err
	}
	s := &Server{cmd: exec.Command(script)}
	s.cmd.Stderr = os.Stderr
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	line, err := s.out.ReadString('\n')
	if s.URL = strings.TrimSpace(line); err != nil {
		err = s.cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 {
			return nil, errAbsent
		}
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return s, nil
}

// find looks for a file of the repository from the folder of the test upwards.
func find(name string) (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not above the test", name)
		}
	}
	return "", err
}

func (s *Server) stop() {
	_ = s.in.Close()
	_ = s.cmd.Wait()
}

// order sends a line to the script and returns its answer.
func (s *Server) order(t testing.TB, what string) string {
	t.Helper()
	if _, err := fmt.Fprintln(s.in, what); err != nil {
		t.Fatal(err)
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	return strings.TrimSpace(line)
}

// Restart ends the server as a crash does, and starts it again.
func (s *Server) Restart(t testing.TB) { s.order(t, "restart") }

// Crash ends the server for good, as a crash does.
func (s *Server) Crash(t testing.TB) { s.order(t, "crash") }

// Standby starts a standby beside the server, and returns its URL.
func (s *Server) Standby(t testing.TB) string { return s.order(t, "standby") }

var (
	shared    = sync.OnceValues(start)
	startedBy atomic.Bool
)

// Stop ends the server that Schema has started, if it has. TestMain calls it at the end.
func Stop() {
	if startedBy.Load() {
		if s, err := shared(); err == nil {
			s.stop()
		}
	}
}

// Own starts a server for one test alone.
func Own(t testing.TB) *Server {
	t.Helper()
	s, err := start()
	skip(t, err)
	t.Cleanup(s.stop)
	return s
}

// skip skips a test that has no server. Where one is demanded, that is a failure.
func skip(t testing.TB, err error) {
	t.Helper()
	switch {
	case err == nil:
	case errors.Is(err, errAbsent) && os.Getenv("TENTERHOOK_TEST_POSTGRES") != "required":
		t.Skip("needs PostgreSQL: " + err.Error())
	default:
		t.Fatal(err)
	}
}

var schemas atomic.Int64

// Schema returns the URL of an empty store on the server that the tests of a package share. It is
// dropped when t ends.
func Schema(t testing.TB) string {
	t.Helper()
	startedBy.Store(true)
	s, err := shared()
	skip(t, err)
	name := fmt.Sprintf("t%d_%d", os.Getpid(), schemas.Add(1))
	t.Cleanup(func() { Exec(t, s.URL, "DROP SCHEMA IF EXISTS "+name+" CASCADE") })
	return s.URL + "?" + url.Values{"search_path": {name}}.Encode()
}

// Exec runs SQL on a connection of its own.
func Exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, sql, args...); err != nil {
		t.Fatal(err)
	}
}
