package sqlite

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestDeadlines_NobodyWaitsShorterAndNobodyMuchLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deadlines{span: 5 * time.Second}
		defer p.stop()
		channels := map[<-chan struct{}]bool{}
		for range 200 {
			began, end := time.Now(), p.end()
			channels[end] = true
			go func() {
				<-end
				if took := time.Since(began); took < p.span || took > p.span+p.span/16 {
					t.Errorf("waited for %v", took)
				}
			}()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(2 * p.span)
		synctest.Wait()
		if n := len(channels); n > 10 {
			t.Errorf("%d timers for 200 callers within 2 s", n)
		}
	})
}
