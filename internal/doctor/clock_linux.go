package doctor

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

func init() { register(check{40, "clock", lookClock}) }

// madeIn is a time that no right clock is before.
var madeIn = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// lookClock asks the kernel: signatures with a time are refused by a clock that is minutes off.
func lookClock(_ context.Context, s *Subject, r *report) {
	if s.Now.Before(madeIn) {
		r.problem("timedatectl set-ntp true", "the clock says %s", s.Now.UTC().Format(time.RFC3339))
		return
	}
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	switch {
	case err != nil:
		r.ok("the clock's state cannot be read here (%v)", err)
	case state == unix.TIME_ERROR || t.Status&unix.STA_UNSYNC != 0:
		r.warn("timedatectl set-ntp true", "nothing keeps the clock right: signatures with a time are refused when it is minutes off")
	default:
		r.ok("the clock is kept right, to %s or better", (time.Duration(t.Maxerror) * time.Microsecond).Round(time.Millisecond))
	}
}
