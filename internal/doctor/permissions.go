package doctor

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tenterhook/tenterhook/internal/hook"
)

func init() { register(check{20, "permissions", lookPermissions}) }

func (s *Subject) hooks() []*hook.Hook {
	if !s.usable() {
		return nil
	}
	return s.Config.Hooks.Hooks()
}

// lookPermissions finds who else could change what runs, or read what is secret.
func lookPermissions(_ context.Context, s *Subject, r *report) {
	if s.Config == nil {
		return
	}
	before := len(r.found)
	folders := map[string]bool{}
	for _, path := range s.Config.File.Files {
		r.writable(path, "what it says, runs")
		folders[filepath.Dir(path)] = true
	}
	for _, path := range s.Config.File.Watch {
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || slices.Contains(s.Config.File.Files, path) || s.isFile(path) {
			continue
		}
		r.writable(path, "secrets are in it")
		if info.Mode().Perm()&0o004 != 0 {
			r.warn("chmod 600 "+path, "everybody on this machine can read %s, which the configuration takes a value from", path)
		}
	}
	for folder := range folders {
		r.folder(folder)
	}
	r.store(s.file())
	if len(r.found) == before {
		r.ok("nobody else can change the configuration, or read the store")
	}
}

// isFile reports whether a path is one of the configuration's own files, however it is written.
func (s *Subject) isFile(path string) bool {
	info, err := os.Stat(path)
	if err != nil {
		return false
	}
	return slices.ContainsFunc(s.Config.File.Files, func(file string) bool {
		other, err := os.Stat(file)
		return err == nil && os.SameFile(info, other)
	})
}

func (r *report) writable(path, why string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		r.problem("chmod go-w "+path, "others can write %s: %s", path, why)
	}
}

func (r *report) folder(path string) {
	info, err := os.Stat(path)
	if err == nil && info.Mode().Perm()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
		r.problem("chmod o-w "+path, "everybody can write to the folder %s, and so put another file in the configuration's place", path)
	}
}

func (r *report) store(path string) {
	info, err := os.Stat(path)
	switch {
	case path == "" || errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		r.problem("run this as the daemon's user", "the store cannot be looked at: %v", err)
		return
	}
	if info.Mode().Perm()&0o077 != 0 {
		r.problem("chmod 600 "+path, "others can reach the store %s, which holds what senders sent", path)
	}
	r.folder(filepath.Dir(path))
}
