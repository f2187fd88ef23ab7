package daemon

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/tenterhook/tenterhook/internal/action"
	"github.com/tenterhook/tenterhook/internal/store"
)

func TestOpenLog_TakesNoPathForAnID(t *testing.T) {
	d := &Daemon{}
	d.booted.Files = filepath.Join(t.TempDir(), "t.db")
	if err := os.MkdirAll(d.logDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	for id, there := range map[string]bool{"job": true, "../outside": false, d.logDir() + "/job": false, "": false} {
		if err := os.WriteFile(action.LogPath(d.logDir(), id, 1), []byte("x"), 0o600); err != nil && there {
			t.Fatal(err)
		}
		f, err := d.openLog(id, 1)
		if there != (err == nil) || err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
		if err == nil {
			_ = f.Close()
		}
	}
}
