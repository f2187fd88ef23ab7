package doctor

import (
	"context"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
)

func init() { register(check{70, "unit", lookUnit}) }

var unitPlaces = []string{
	"/etc/systemd/system/tenterhook.service", "/usr/local/lib/systemd/system/tenterhook.service",
	"/usr/lib/systemd/system/tenterhook.service", "/lib/systemd/system/tenterhook.service",
}

// directive is one line that a unit should have.
type directive struct {
	name  string
	good  func(values []string) bool
	state State
	says  string
	fix   string
}

func yes(values []string) bool {
	return len(values) > 0 && slices.Contains([]string{"yes", "true", "on", "1"}, values[len(values)-1])
}

func set(values []string) bool { return len(values) > 0 && values[len(values)-1] != "" }

func among(words ...string) func([]string) bool {
	return func(values []string) bool { return len(values) > 0 && slices.Contains(words, values[len(values)-1]) }
}

// directives are what a careful unit says. Commands inherit the sandbox, so that some may have to
// be loosened: those are warnings.
var directives = []directive{
	{"Type", among("notify", "notify-reload"), Problem, "systemd does not wait until deliveries are taken", "Type=notify"},
	{"Restart", among("on-failure", "always", "on-abnormal"), Problem, "nobody starts the daemon again when it ends badly", "Restart=on-failure"},
	{"KillMode", among("mixed", "process"), Problem, "a stop ends running jobs at once, with the daemon", "KillMode=mixed (process with survive: true)"},
	{"WatchdogSec", set, Warning, "nobody notices a daemon that hangs", "WatchdogSec=30"},
	{"Delegate", set, Warning, "limits: cpu, memory and processes cannot hold for all of a run", "Delegate=yes"},
	{"LimitNOFILE", set, Warning, "the number of open files is systemd's own", "LimitNOFILE=16384"},
	{"OOMPolicy", among("continue"), Warning, "a job that runs out of memory takes the daemon with it", "OOMPolicy=continue"},
	{"NoNewPrivileges", yes, Warning, "commands can gain rights through setuid programs", "NoNewPrivileges=yes"},
	{"ProtectSystem", among("strict", "full"), Warning, "commands can write to the system", "ProtectSystem=strict"},
	{"ProtectHome", among("yes", "true", "on", "1", "read-only", "tmpfs"), Warning, "commands can reach everybody's files", "ProtectHome=yes"},
	{"PrivateTmp", func(v []string) bool { return yes(v) || among("disconnected")(v) }, Warning, "commands share /tmp with everybody", "PrivateTmp=yes"},
	{"PrivateDevices", yes, Warning, "commands can reach devices", "PrivateDevices=yes"},
	{"ProtectKernelTunables", yes, Warning, "commands can change the kernel's settings", "ProtectKernelTunables=yes"},
	{"ProtectKernelModules", yes, Warning, "commands can load kernel modules", "ProtectKernelModules=yes"},
	{"RestrictSUIDSGID", yes, Warning, "commands can make setuid programs", "RestrictSUIDSGID=yes"},
	{"SystemCallFilter", set, Warning, "commands can make every system call", "SystemCallFilter=@system-service"},
	{"CapabilityBoundingSet", func(v []string) bool { return len(v) > 0 }, Warning, "commands can have every capability", "CapabilityBoundingSet="},
	{"UMask", func(v []string) bool { return set(v) && strings.HasSuffix(v[len(v)-1], "77") }, Warning, "files the daemon makes can be read by others", "UMask=0077"},
}

// lookUnit reads a unit's file as systemd would, without its drop-ins.
func lookUnit(_ context.Context, s *Subject, r *report) {
	path := s.Unit
	if path == "" {
		i := slices.IndexFunc(unitPlaces, func(p string) bool {
			_, err := os.Stat(p)
			return err == nil
		})
		if i < 0 {
			return // it is not run by systemd, or not here
		}
		path = unitPlaces[i]
	}
	f, err := os.Open(path)
	if err != nil {
		r.problem("--unit FILE names it", "the unit cannot be read: %v", err)
		return
	}
	defer f.Close()
	options, err := unit.DeserializeOptions(f)
	if err != nil {
		r.problem("systemd-analyze verify "+path, "the unit %s cannot be read: %v", path, err)
		return
	}
	service := map[string][]string{}
	for _, o := range options {
		if o.Section == "Service" {
			service[o.Name] = append(service[o.Name], o.Value)
		}
	}
	before := len(r.found)
	lookService(s, service, r)
	if len(r.found) == before {
		r.ok("%s binds the daemon and its jobs as it should", path)
	}
}

func lookService(s *Subject, service map[string][]string, r *report) {
	if user := service["User"]; !yes(service["DynamicUser"]) && (!set(user) || user[len(user)-1] == "root") {
		r.warn("DynamicUser=yes, or User=tenterhook", "the daemon and every command run as root")
	}
	for _, d := range directives {
		if !d.good(service[d.name]) {
			r.add(d.state, "in the unit: "+d.fix, "%s", d.says)
		}
	}
	if yes(service["ProtectControlGroups"]) && set(service["Delegate"]) {
		r.warn("in the unit: remove ProtectControlGroups", "ProtectControlGroups takes away the control groups that Delegate gives")
	}
	if s.usable() && set(service["TimeoutStopSec"]) {
		stop := service["TimeoutStopSec"][len(service["TimeoutStopSec"])-1]
		if d, ok := seconds(stop); ok && d < s.Config.Settings.Server.Drain {
			r.problem("in the unit: TimeoutStopSec="+longer(s.Config.Settings.Server.Drain), "systemd kills the daemon after %s, before running jobs have had their %s (server.drain)", stop, s.Config.Settings.Server.Drain)
		}
	}
}

// seconds reads a time span of systemd, as far as people write them.
func seconds(text string) (time.Duration, bool) {
	if d, err := time.ParseDuration(text); err == nil {
		return d, true
	}
	d, err := time.ParseDuration(text + "s")
	return d, err == nil
}

func longer(d time.Duration) string { return strconv.Itoa(int((d + 30*time.Second).Seconds())) }
