package action

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// beChild is what the test binary does when a test runs it as a command: what a shell cannot do,
// or does not do alike everywhere.
func beChild(mode string) {
	switch mode {
	case "environ":
		fmt.Print(strings.Join(os.Environ(), "\n"))
	case "stubborn": // says when it cannot be terminated any more
		signal.Ignore(syscall.SIGTERM)
		touch("ready")
		idle()
	case "slow": // takes its time to end, in a session of its own
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		touch("ready")
		select {
		case <-signals:
		case <-time.After(time.Minute):
			os.Exit(9)
		}
		<-time.After(300 * time.Millisecond)
		touch("tidied")
	case "chain": // each starts the next in a session of its own, and goes
		left, _ := strconv.Atoi(os.Getenv("LEFT")) // "" is none
		touch("ready")
		if left > 0 {
			again("chain", "LEFT="+strconv.Itoa(left-1))
			return
		}
		idle()
	case "daemon": // the classic double fork, all files closed
		again("daemon2")
	case "daemon2":
		again("idle")
	case "idle":
		touch("ready")
		idle()
	default:
		fmt.Println("no such mode:", mode)
		os.Exit(8)
	}
}

// idle waits longer than any test, and not for ever.
func idle() { <-time.After(5 * time.Minute) }

func touch(name string) {
	if err := os.WriteFile(filepath.Join(os.Getenv("DIR"), name), nil, 0o600); err != nil {
		fmt.Println(err)
		os.Exit(7)
	}
}

// again starts this binary in another mode and a session of its own, without its output.
func again(mode string, env ...string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), "CHILD="+mode), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		os.Exit(6)
	}
}

// inChild is a rule that runs this binary in a mode, and the folder it leaves its marks in.
func inChild(t *testing.T, mode, more string) (rule, dir string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	return fmt.Sprintf("exec: [%q]\nenv: {CHILD: %q, DIR: %q}\n%s\n", self, mode, dir, more), dir
}
