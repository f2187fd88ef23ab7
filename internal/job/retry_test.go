package job

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestRetry_PausesGrowToTheirBound(t *testing.T) {
	p := RetryPolicy{Attempts: 6, Initial: 10 * time.Second, Factor: 2, Max: time.Minute}
	want := []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}
	for i, w := range want {
		if got, again := p.Next(i+1, 0); got != w || !again {
			t.Errorf("after attempt %d: %v, %t; want %v", i+1, got, again, w)
		}
	}
	if _, again := p.Next(6, 0); again {
		t.Error("a seventh attempt of six")
	}
}

func TestRetry_OneAttemptIsOne(t *testing.T) {
	if _, again := (RetryPolicy{Attempts: 1, Initial: time.Second, Factor: 2, Max: time.Hour}).Next(1, time.Minute); again {
		t.Error("tried again")
	}
}

func TestRetry_AWaitThatWasAskedForIsHonouredUpToTheBound(t *testing.T) {
	p := RetryPolicy{Attempts: 3, Initial: time.Second, Factor: 2, Max: time.Minute, Jitter: true}
	if got, _ := p.Next(1, 30*time.Second); got != 30*time.Second {
		t.Errorf("waited %v, asked for 30s", got)
	}
	if got, _ := p.Next(1, time.Hour); got != time.Minute {
		t.Errorf("waited %v, bound is 1m", got)
	}
}

func TestRetry_NoPauseIsEverNegativeOrBeyondItsBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := RetryPolicy{
			Attempts: rapid.IntRange(1, 1_000_000).Draw(t, "attempts"),
			Initial:  time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "initial")),
			Factor:   rapid.Float64Range(1, 100).Draw(t, "factor"),
			Max:      time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "max")),
			Jitter:   rapid.Bool().Draw(t, "jitter"),
		}
		n := rapid.IntRange(1, 1_000_000).Draw(t, "n")
		after := time.Duration(rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "after"))
		pause, again := p.Next(n, after)
		if again != (n < p.Attempts) || pause < 0 || pause > p.Max {
			t.Fatalf("after attempt %d: %v, %t", n, pause, again)
		}
	})
}

func TestRetry_JitterSpreadsOverTheWholePause(t *testing.T) {
	p := RetryPolicy{Attempts: 2, Initial: time.Hour, Factor: 2, Max: time.Hour, Jitter: true}
	low, high := 0, 0
	for range 1000 {
		if pause, _ := p.Next(1, 0); pause < 30*time.Minute {
			low++
		} else {
			high++
		}
	}
	if low < 300 || high < 300 {
		t.Errorf("%d short and %d long pauses of 1000", low, high)
	}
}
