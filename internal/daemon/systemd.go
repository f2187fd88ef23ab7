package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// notifier tells the service manager how the daemon is. Without one every call does nothing.
type notifier struct{}

func (notifier) send(state string) {
	// A manager that does not listen is no reason to stop.
	_, _ = systemd.SdNotify(false, state)
}

func (d *Daemon) notifyReady() {
	d.systemd.send(fmt.Sprintf("%s\nSTATUS=%d hooks, digest %s", systemd.SdNotifyReady, len(d.hooks().Hooks()), d.config.Load().File.Digest))
}

func (d *Daemon) notifyStopping() { d.systemd.send(systemd.SdNotifyStopping) }

// notifyReloading carries the monotonic time: without it, a manager that waits for the end of
// the reload (Type=notify-reload) waits for ever. See sd_notify(3).
func (d *Daemon) notifyReloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return
	}
	d.systemd.send(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", systemd.SdNotifyReloading, now.Nano()/1000))
}

// watchdog tells the service manager that the daemon makes progress: that its store could
// commit just now. A daemon whose writer is stuck falls silent and is restarted.
func (d *Daemon) watchdog(ctx context.Context) {
	interval, err := systemd.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return
	}
	every(ctx, interval/3, nil, func() {
		check, cancel := context.WithTimeout(ctx, interval/3)
		defer cancel()
		if err := d.store.Ready(check); err != nil {
			d.log.Error("not ready, the watchdog is not fed", "error", err)
			return
		}
		d.systemd.send(systemd.SdNotifyWatchdog)
	})
}

// watchSignals reloads on SIGHUP.
func (d *Daemon) watchSignals(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
			d.poke(triggerSignal)
		}
	}
}
