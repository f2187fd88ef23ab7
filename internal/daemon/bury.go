package daemon

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tenterhook/tenterhook/internal/launch"
)

// buryAfter gathers the ends of many processes into one look.
const buryAfter = time.Second

// bury takes leave of processes that runs left behind and that the daemon adopted, soon after they
// have ended. The end of the next run would do it too, but that may be tomorrow's.
func (d *Daemon) bury(ctx context.Context) {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)
	defer signal.Stop(ended)
	for {
		select {
		case <-ended:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(buryAfter):
		case <-ctx.Done():
			return
		}
		launch.NoOrphans()
	}
}
