package launch

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

func TestExit_TellsOfTheEndWithAHandleAndWithout(t *testing.T) {
	t.Parallel()
	for _, way := range []struct {
		name string
		exit func(pid int) *Exit
	}{
		{"a handle", ExitOf},
		{"a thread", func(pid int) *Exit {
			e := &Exit{pid: pid}
			e.stand()
			return e
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command("cat")
			input, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := Begin(cmd, &Spec{}); err != nil {
				t.Fatal(err)
			}
			exit := way.exit(cmd.Process.Pid)
			defer exit.Close()

			ended, cancel := context.WithCancel(context.Background())
			cancel()
			if exit.Has() || exit.Await(ended, time.Hour) || exit.Await(t.Context(), time.Millisecond) {
				t.Error("it is said to have ended while it reads")
			}
			if err := input.Close(); err != nil {
				t.Fatal(err)
			}
			if !exit.Await(t.Context(), time.Minute) || !exit.Has() || !exit.Await(ended, 0) {
				t.Error("it is not said to have ended")
			}
			if err := Bury(cmd); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExit_OneWaitDoesNotDisturbTheNext ends contexts while waits with others begin.
func TestExit_OneWaitDoesNotDisturbTheNext(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("cat")
	input, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := Begin(cmd, &Spec{}); err != nil {
		t.Fatal(err)
	}
	exit := ExitOf(cmd.Process.Pid)
	defer exit.Close()
	for range 200 {
		ctx, cancel := context.WithCancel(context.Background())
		go cancel()
		exit.Await(ctx, 50*time.Microsecond) // the one or the other ends it
		began := time.Now()
		if exit.Await(t.Context(), time.Millisecond) || time.Since(began) < time.Millisecond {
			t.Fatalf("a wait of a millisecond ended after %v", time.Since(began))
		}
		cancel()
	}
	if err := input.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Wait(cmd); err != nil {
		t.Error(err)
	}
}

func TestExit_OfWhatIsNotThereHasCome(t *testing.T) {
	t.Parallel()
	exit := ExitOf(1 << 30) // beyond every number that is given out
	defer exit.Close()
	if !exit.Await(t.Context(), time.Minute) || !exit.Has() {
		t.Error("it is not said to have ended")
	}
}
