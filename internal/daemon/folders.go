package daemon

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tenterhook/tenterhook/internal/action"
)

// logDir is where commands with limits.log have their whole output.
func (d *Daemon) logDir() string { return d.booted.Files + ".logs" }

// surviveDir is where runs that are to live on are written down.
func (d *Daemon) surviveDir() string { return d.booted.Files + ".survive" }

// runFolder makes the folder where running attempts have their files: in memory where the machine
// has room for that, since nobody needs them after a crash, else beside the store.
func runFolder(store string) (string, error) {
	sum := sha256.Sum256([]byte(store))
	prefix := "tenterhook-" + hex.EncodeToString(sum[:8]) + "-"
	for _, dir := range []string{os.Getenv("RUNTIME_DIRECTORY"), "/run", "/dev/shm"} {
		if dir == "" || !roomyMemory(dir) {
			continue
		}
		left, _ := filepath.Glob(filepath.Join(dir, prefix+"*")) // the pattern is a good one
		for _, old := range left {
			_ = os.RemoveAll(old) // what a crashed run left; another user's stays
		}
		if made, err := os.MkdirTemp(dir, prefix); err == nil {
			return made, nil
		}
	}
	return store + ".runs", freshDir(store + ".runs")
}

// surviving names the runs that are to live on, as their control groups are named.
func surviving(dir string) (names []string) {
	all, _ := action.Survivors(dir) // Recover reports what goes wrong with it
	for _, s := range all {
		names = append(names, fmt.Sprintf("%s-%d", s.Job, s.Attempt))
	}
	return names
}

// freshDir makes an empty private directory: what a crashed run left in it goes.
func freshDir(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("clear %q: %w", path, err)
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the directory for running jobs: %w", err)
	}
	return nil
}
