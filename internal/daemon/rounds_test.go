package daemon_test

import (
	"iter"
	"os"
	"strconv"
	"testing"
	"time"
)

// A test that repeats a fault takes from the environment how often, and may be given a moment when
// it is to have ended: go run ./internal/proof says both. What was done by then is what it shows.

// count is how much of something a test does: little by default, much for published figures.
func count(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// rounds goes up to what the variable says, or so many times without it, and ends before when the
// time is over. There is always a first round.
func rounds(t testing.TB, name string, otherwise int) iter.Seq[int] {
	most := count(name, otherwise)
	return func(yield func(int) bool) {
		tell := every(10 * time.Second)
		for i := range most {
			if tell() {
				t.Logf("progress: %d of %d", i, most)
			}
			if i > 0 && timeIsOver() || !yield(i) {
				return
			}
		}
	}
}

// every is true once in a while.
func every(d time.Duration) func() bool {
	last := time.Now()
	return func() bool {
		if time.Since(last) < d {
			return false
		}
		last = time.Now()
		return true
	}
}

// timeIsOver reports whether TENTERHOOK_UNTIL, in seconds since 1970, has passed.
func timeIsOver() bool {
	until, err := strconv.ParseInt(os.Getenv("TENTERHOOK_UNTIL"), 10, 64)
	return err == nil && time.Now().Unix() >= until
}

// none says that nothing went wrong in so many trials. go run ./internal/proof puts beside it what
// that means.
func none(t testing.TB, n int64, format string, args ...any) {
	t.Helper()
	if !t.Failed() && n > 0 {
		t.Logf("none of %d "+format, append([]any{n}, args...)...)
	}
}
