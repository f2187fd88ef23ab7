package doctor_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
	"github.com/tenterhook/tenterhook/internal/doctor"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

const good = `server: {listen: "127.0.0.1:0"}
admin: {listen: "unix:admin.sock"}
hooks:
  - {name: a, path: /a, provider: github, secret: "${file:secret}", run: "true"}
`

// world is a folder with a good configuration, a store and a unit, which a test spoils.
type world struct {
	t   *testing.T
	dir string
	s   doctor.Subject
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, dir: t.TempDir()}
	w.must(os.Chmod(w.dir, 0o700))
	w.write("hooks.yaml", good)
	w.write("secret", "0123456789abcdef0123456789abcdef\n")
	unit, err := os.ReadFile("../../examples/systemd/tenterhook.service")
	w.must(err)
	w.write("unit", string(unit))
	store, err := sqlite.Open(t.Context(), w.path("tenterhook.db"), sqlite.Options{})
	w.must(err)
	w.must(store.Close())
	w.s = doctor.Subject{Path: w.path("hooks.yaml"), Unit: w.path("unit"), Now: time.Now()}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) write(name, text string) { w.must(os.WriteFile(w.path(name), []byte(text), 0o600)) }

func (w *world) replace(name, old, text string) {
	was, err := os.ReadFile(w.path(name))
	w.must(err)
	if !strings.Contains(string(was), old) {
		w.t.Fatalf("%s has no %q", name, old)
	}
	w.write(name, strings.Replace(string(was), old, text, 1))
}

// findings are those of the areas that do not depend on the machine.
func (w *world) findings() []doctor.Finding {
	s := w.s
	s.Config, s.Diagnostics = daemon.Load(config.Options{Path: s.Path}, false)
	return slices.DeleteFunc(doctor.Examine(w.t.Context(), &s), func(f doctor.Finding) bool {
		return f.Area == "disk" || f.Area == "clock" || f.Area == "kernel" || strings.Contains(f.Says, "daemon does not run")
	})
}

func TestExamine_FindsNothingWhereAllIsWell(t *testing.T) {
	areas := map[string]bool{}
	for _, f := range newWorld(t).findings() {
		areas[f.Area] = true
		if f.State != doctor.OK || f.Fix != "" {
			t.Errorf("%+v", f)
		}
	}
	for _, area := range []string{"configuration", "permissions", "store", "addresses", "unit"} {
		if !areas[area] {
			t.Errorf("nobody looked at %s", area)
		}
	}
}

func TestExamine_LooksAtTheMachine(t *testing.T) {
	w := newWorld(t)
	s := w.s
	s.Config, s.Diagnostics = daemon.Load(config.Options{Path: s.Path}, false)
	areas := map[string]bool{}
	for _, f := range doctor.Examine(t.Context(), &s) {
		areas[f.Area] = true
	}
	for _, area := range []string{"disk", "clock", "kernel"} {
		if !areas[area] {
			t.Errorf("nobody looked at %s", area)
		}
	}
}

func TestExamine_FindsWhatIsWrongAndSaysTheFix(t *testing.T) {
	for name, c := range map[string]struct {
		spoil     func(w *world)
		state     doctor.State
		says, fix string
	}{
		"no configuration":  {func(w *world) { w.must(os.Remove(w.path("hooks.yaml"))) }, doctor.Problem, "there is no ", "tenterhook init"},
		"a bad one":         {func(w *world) { w.replace("hooks.yaml", "provider: github", "provider: gihub") }, doctor.Problem, "has problems (1)", "tenterhook check"},
		"one with a secret": {func(w *world) { w.replace("hooks.yaml", "${file:secret}", "short") }, doctor.Warning, "has warnings (1)", "tenterhook check"},
		"an open hook": {
			func(w *world) { w.replace("hooks.yaml", `provider: github, secret: "${file:secret}"`, "verify: none") },
			doctor.Warning, "hook a is not verified", "give it provider: or verify:",
		},
		"others write it":        {func(w *world) { w.must(os.Chmod(w.path("hooks.yaml"), 0o622)) }, doctor.Problem, "what it says, runs", "chmod go-w "},
		"others write its place": {func(w *world) { w.must(os.Chmod(w.dir, 0o777)) }, doctor.Problem, "everybody can write to the folder", "chmod o-w "},
		"others read a secret":   {func(w *world) { w.must(os.Chmod(w.path("secret"), 0o644)) }, doctor.Warning, "everybody on this machine can read", "chmod 600 "},
		"others write a secret":  {func(w *world) { w.must(os.Chmod(w.path("secret"), 0o620)) }, doctor.Problem, "secrets are in it", "chmod go-w "},
		"others read the store":  {func(w *world) { w.must(os.Chmod(w.path("tenterhook.db"), 0o644)) }, doctor.Problem, "which holds what senders sent", "chmod 600 "},
		"no database":            {func(w *world) { w.write("tenterhook.db", strings.Repeat("x", 8192)) }, doctor.Problem, "cannot be read", "go back to a backup"},
		"no unit":                {func(w *world) { w.s.Unit = w.path("nowhere") }, doctor.Problem, "the unit cannot be read", "--unit FILE"},
		"a unit of root's":       {func(w *world) { w.replace("unit", "DynamicUser=yes", "") }, doctor.Warning, "run as root", "DynamicUser=yes"},
		"a unit that gives up":   {func(w *world) { w.replace("unit", "Restart=on-failure", "Restart=no") }, doctor.Problem, "nobody starts the daemon again", "in the unit: Restart=on-failure"},
		"a unit in a hurry":      {func(w *world) { w.replace("unit", "TimeoutStopSec=90", "TimeoutStopSec=20s") }, doctor.Problem, "before running jobs have had their", "in the unit: TimeoutStopSec=90"},
		"a unit that is careless": {
			func(w *world) { w.replace("unit", "ProtectSystem=strict", "") }, doctor.Warning, "commands can write to the system", "in the unit: ProtectSystem=strict",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			c.spoil(w)
			found := w.findings()
			if !slices.ContainsFunc(found, func(f doctor.Finding) bool {
				return f.State == c.state && strings.Contains(f.Says, c.says) && strings.HasPrefix(f.Fix, c.fix)
			}) {
				t.Errorf("%+v", found)
			}
		})
	}
}

func TestExamine_KnowsAnAddressThatIsTaken(t *testing.T) {
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	defer l.Close()
	w.replace("hooks.yaml", "127.0.0.1:0", l.Addr().String())
	taken := func(f doctor.Finding) bool {
		return f.State == doctor.Problem && strings.Contains(f.Says, "another program listens on")
	}
	if found := w.findings(); !slices.ContainsFunc(found, taken) {
		t.Errorf("%+v", found)
	}
	w.s.Running = true // it is the daemon itself; its admin side does not answer
	if found := w.findings(); slices.ContainsFunc(found, taken) || !slices.ContainsFunc(found, func(f doctor.Finding) bool {
		return f.State == doctor.Problem && strings.Contains(f.Says, "does not answer, although the daemon runs")
	}) {
		t.Errorf("%+v", found)
	}
}

func TestExamine_KnowsAStoreThatIsDamaged(t *testing.T) {
	w := newWorld(t)
	f, err := os.OpenFile(w.path("tenterhook.db"), os.O_RDWR, 0)
	w.must(err)
	garbage := make([]byte, 8192)
	for i := range garbage {
		garbage[i] = 0xff
	}
	_, err = f.WriteAt(garbage, 2*8192)
	w.must(err)
	w.must(f.Close())
	if found := w.findings(); !slices.ContainsFunc(found, func(f doctor.Finding) bool { return f.Area == "store" && f.State == doctor.Problem }) {
		t.Errorf("%+v", found)
	}
}

func TestExamine_KnowsAClockThatIsWrong(t *testing.T) {
	w := newWorld(t)
	s := w.s
	s.Now = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	s.Config, s.Diagnostics = daemon.Load(config.Options{Path: s.Path}, false)
	if !slices.ContainsFunc(doctor.Examine(t.Context(), &s), func(f doctor.Finding) bool {
		return f.State == doctor.Problem && strings.Contains(f.Says, "the clock says 1970-01-02")
	}) {
		t.Error("not noticed")
	}
}
