package sqlite

import (
	"bufio"
	"context"
	"database/sql/driver"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"modernc.org/sqlite"

	"github.com/tenterhook/tenterhook/internal/job"
)

// The test binary runs itself as a child that may be killed.
const (
	childRole = "TENTERHOOK_TEST_CHILD"
	childPath = "TENTERHOOK_TEST_PATH"
)

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	return cmd
}

// runAsChild takes the role of a child and exits, if this process is one.
func runAsChild() {
	roles := map[string]func(path string) error{
		"accept": childAccept, "few": childAcceptFew, "io-error": childIOError, "migrate": childMigrate, "hold": childHold, "stray": childStray,
	}
	role := roles[os.Getenv(childRole)]
	if role == nil {
		return
	}
	if err := role(os.Getenv(childPath)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// childAccept stores deliveries until it is killed, and prints each id once it is stored.
func childAccept(path string) error {
	s, err := Open(context.Background(), path, Options{runLength: 20}) // so that a kill meets new runs
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for {
				d := newDelivery(job.NewID())
				d.Body = noise(rand.IntN(20_000))
				if err := put(s, d); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				_, _ = os.Stdout.WriteString(d.ID + "\n")
			}
		})
	}
	group.Wait()
	return nil
}

// childAcceptFew stores less than a checkpoint waits for, and is killed.
func childAcceptFew(path string) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	for range 10 {
		d := newDelivery("")
		d.Body = noise(checkpointPages * pageSize / 20)
		if err := put(s, d); err != nil {
			return err
		}
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL)
}

func TestTheLogDoesNotGrowFromKillToKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	for range 10 {
		_ = child(t, "few", path).Run() // it is killed
	}
	s := open(t, path, Options{})
	defer func() { _ = s.Close() }()
	if stored, err := s.Counts(t.Context()); err != nil || len(stored) == 0 {
		t.Errorf("nothing was stored (%v)", err)
	}
	if size, err := logSize(path); err != nil || size == 0 || size > 3*checkpointPages*pageSize {
		t.Errorf("the log has %d bytes (%v), want some, and at most what three checkpoints write", size, err)
	}
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.db")
	acked := 0
	for range 10 {
		ids := acceptAndKill(t, path, time.Duration(10+rand.IntN(150))*time.Millisecond)
		s := open(t, path, Options{})
		for _, id := range ids {
			d, err := s.Delivery(context.Background(), id)
			if err != nil || len(d.JobIDs) != 1 {
				t.Errorf("acknowledged delivery %s: %d jobs, %v", id, len(d.JobIDs), err)
			}
			again := newDelivery(d.Key)
			if r, err := s.Accept(context.Background(), again, newJob(again)); err != nil || !r.Duplicate || r.Delivery != id {
				t.Errorf("acknowledged delivery %s came again: %+v, %v", id, r, err)
			}
		}
		acked += len(ids)
		if answer := integrity(t, s); answer != "ok" {
			t.Errorf("after a kill: %s", answer)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if acked < 100 {
		t.Errorf("only %d deliveries were acknowledged in all", acked)
	}
	t.Logf("%d acknowledged, 10 kills", acked)
}

// acceptAndKill runs a child, kills it some time after its first acknowledgement, and returns
// what it acknowledged.
func acceptAndKill(t *testing.T, path string, after time.Duration) (ids []string) {
	t.Helper()
	cmd := child(t, "accept", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // a line cut off is an answer nobody got
		}
		if ids = append(ids, strings.TrimSpace(line)); len(ids) == 1 {
			timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return ids
}

func integrity(t *testing.T, s *Store) (answer string) {
	t.Helper()
	if err := s.db.QueryRow("PRAGMA integrity_check").Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// childMigrate takes a second step that kills the process half-way.
func childMigrate(path string) error {
	err := sqlite.RegisterScalarFunction("die", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		return nil, syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	if err != nil {
		return err
	}
	steps, err := schema()
	if err != nil {
		return err
	}
	c, err := openConnection(context.Background(), path, time.Second)
	if err != nil {
		return err
	}
	return migrate(context.Background(), c.conn, append(steps, "CREATE TABLE half (a); DROP TABLE attempt; SELECT die()"))
}

func TestACrashInAMigrationLeavesTheOldSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	d := mustPut(t, s, "k")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := child(t, "migrate", path).CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child should have been killed: %v\n%s", err, out)
	}
	s = open(t, path, Options{})
	if !stored(t, s, d.ID) {
		t.Error("the delivery is lost")
	}
	if answer := integrity(t, s); answer != "ok" {
		t.Error(answer)
	}
	var half int
	if err := s.db.QueryRow("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").Scan(&half); err != nil || half != 0 {
		t.Errorf("half a migration is there: %d, %v", half, err)
	}
}

func TestAFailedMigrationChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	s := open(t, path, Options{})
	mustPut(t, s, "k")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	steps, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	c, err := openConnection(context.Background(), path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	err = migrate(context.Background(), c.conn, append(steps, "DROP TABLE attempt", "no SQL"))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("migrate to schema %d", len(steps)+2)) {
		t.Errorf("got %v", err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, open(t, path, Options{}), "l")
}

// childHold keeps a store open until its standard input ends.
func childHold(path string) error {
	s, err := Open(context.Background(), path, Options{})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	return s.Close()
}

func TestASecondDaemonIsRefusedQuicklyAndTheFirstIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "t.db")
	cmd := child(t, "hold", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = Open(context.Background(), path, Options{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d", cmd.Process.Pid)) {
		t.Errorf("got %v, want it to name pid %d", err, cmd.Process.Pid)
	}
	if took := time.Since(began); took > 20*time.Second { // at once, not after the lock's own wait
		t.Errorf("refused after %v", took)
	}
	// A reader may look on meanwhile.
	r, err := OpenReader(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, open(t, path, Options{}), "") // free again
}
