package daemon_test

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenterhook/tenterhook/internal/config"
	"github.com/tenterhook/tenterhook/internal/daemon"
)

// TestLastGood_IsWhatRunsWhenTheFileIsBroken breaks the files in several ways while nothing runs.
func TestLastGood_IsWhatRunsWhenTheFileIsBroken(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	path, included := filepath.Join(dir, "hooks.yaml"), filepath.Join(dir, "more.yaml")
	whole := header(dir) + "include: [more*.yaml]\nhooks: [{name: one, path: /one, verify: none, run: \"true\"}]\n"
	more := "hooks: [{name: two, path: /two, provider: github, secret: \"${SECRET}\", run: \"true\"}]\n"
	write(t, path, whole)
	write(t, included, more)
	o := config.Options{Path: path, Environ: []string{"SECRET=" + secret}}
	write(t, filepath.Join(dir, "t.db.last-good.new"), strings.Repeat("left by a crash ", 1000))
	must(t, startWith(t, dir, o).stop())
	if left, _ := filepath.Glob(filepath.Join(dir, "t.db.last-good?*")); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
	kept, err := os.ReadFile(filepath.Join(dir, "t.db.last-good"))
	must(t, err)
	if strings.Contains(string(kept), secret) {
		t.Error("what a reference came to is on disk")
	}
	if info, err := os.Stat(filepath.Join(dir, "t.db.last-good")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	for name, broken := range map[string]func(){
		"an unknown key":     func() { write(t, path, strings.Replace(whole, "run:", "runn:", 1)) },
		"no YAML":            func() { write(t, path, whole+"\t- {") },
		"an include is bad":  func() { write(t, included, "hooks: [{name: two}]\n") },
		"an include is gone": func() { must(t, os.Remove(included)); write(t, path, strings.Replace(whole, "more*", "more", 1)) },
	} {
		t.Run(name, func(t *testing.T) {
			write(t, path, whole)
			write(t, included, more)
			broken()
			if _, err := daemon.New(t.Context(), daemon.Options{Config: o, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}); err == nil {
				t.Fatal("it starts without being asked to")
			}
			r := startWith(t, dir, o, func(o *daemon.Options) { o.LastGood = true })
			if a := r.push("/two", name, "push", "{}"); a.status != 202 {
				t.Errorf("the included hook answers %d", a.status)
			}
			if s := r.status().Config; s.LastReloadOK || len(s.Problems) == 0 {
				t.Errorf("status says %+v", s)
			}
			if log := r.log.String(); !strings.Contains(log, "starting with the last that worked") {
				t.Error("the log does not say so")
			}
			write(t, included, strings.Replace(more, "name: two, path: /two", "name: three, path: /three", 1))
			write(t, path, whole)
			r.eventually("the mended files to be taken up", func() bool { return r.status().Config.LastReloadOK })
			if a := r.push("/three", name, "push", "{}"); a.status != 202 {
				t.Errorf("the mended hook answers %d", a.status)
			}
			write(t, included, more) // and kept again for the next case
			r.eventually("the first files to be back", func() bool { return r.push("/two", name+"2", "push", "{}").status == 202 })
		})
	}
}
