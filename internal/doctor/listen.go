package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"strings"
	"time"
)

func init() { register(check{60, "addresses", lookAddresses}) }

// lookAddresses connects where the daemon runs, and finds out where it does not whether it could.
func lookAddresses(ctx context.Context, s *Subject, r *report) {
	if !s.usable() {
		return
	}
	for _, one := range []struct{ what, key, listen string }{
		{"deliveries", "server.listen", s.Config.Settings.Server.Listen}, {"the admin side", "admin.listen", s.Config.Settings.Admin.Listen},
	} {
		network, address := "tcp", one.listen
		if path, ok := strings.CutPrefix(one.listen, "unix:"); ok {
			network, address = "unix", path
		}
		answers := dials(ctx, network, address)
		switch {
		case answers && s.Running:
			r.ok("%s: %s answers", one.what, one.listen)
		case answers:
			r.problem("end it, or choose another "+one.key, "%s: another program listens on %s", one.what, one.listen)
		case s.Running:
			r.problem("tenterhook status", "%s: %s does not answer, although the daemon runs", one.what, one.listen)
		default:
			couldListen(ctx, r, one.what, one.key, network, address)
		}
	}
	if !s.Running {
		r.warn("tenterhook serve, or systemctl start tenterhook", "the daemon does not run")
	}
}

func dials(ctx context.Context, network, address string) bool {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// couldListen tries an address for a moment. A socket's file is left alone.
func couldListen(ctx context.Context, r *report, what, key, network, address string) {
	if network == "unix" {
		r.ok("%s: %s is free", what, address)
		return
	}
	var with net.ListenConfig
	l, err := with.Listen(ctx, network, address)
	switch {
	case errors.Is(err, fs.ErrPermission):
		r.problem("choose a port from 1024 on for "+key+", or hand the socket over with systemd", "%s: this user may not listen on %s", what, address)
	case err != nil:
		r.problem("choose another "+key, "%s: %v", what, err)
	default:
		_ = l.Close()
		r.ok("%s: %s is free", what, address)
	}
}
