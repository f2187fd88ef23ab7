package daemon

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestEvery_CallsAtEachTickAndWhenWokenUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		wake := make(chan struct{}, 1)
		var calls []time.Duration
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			every(ctx, time.Minute, wake, func() { calls = append(calls, time.Since(began)) })
		}()
		time.Sleep(90 * time.Second)
		wake <- struct{}{}
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		<-ended
		time.Sleep(time.Hour)
		want := []time.Duration{time.Minute, 90 * time.Second, 2 * time.Minute}
		if len(calls) != len(want) || calls[0] != want[0] || calls[1] != want[1] || calls[2] != want[2] {
			t.Errorf("called after %v, want %v", calls, want)
		}
	})
}
