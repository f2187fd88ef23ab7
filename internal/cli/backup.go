package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// backupCmd is "backup".
type backupCmd struct {
	File  string `arg:"" placeholder:"FILE" help:"Where the backup goes."`
	Force bool   `help:"Replace a file that is there, once the new one is good."`
	JSON  bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (backupCmd) Help() string {
	return `Copies the store, also while the daemon runs and takes deliveries: everything that was committed when it began. The copy is opened, checked from end to end and counted before it gets its name, so a file of that name is a good backup. Only you can read it: it holds what senders sent.

    tenterhook backup /var/backups/tenterhook-$(date +%F).db

To go back to a backup, stop the daemon, put the file in the place of the store (store.url) without the -wal and -shm files beside it, and start the daemon. To look into one, name it for a single command:

    TENTERHOOK_STORE__URL=sqlite:/var/backups/tenterhook-2026-11-28.db tenterhook jobs

Files of limits.log and runs that survive the daemon are not in it.`
}

// backedUp is the JSON of the command.
type backedUp struct {
	File       string `json:"file"`
	Store      string `json:"store"`
	Bytes      int64  `json:"bytes"`
	Deliveries int64  `json:"deliveries"`
	Jobs       int64  `json:"jobs"`
	Attempts   int64  `json:"attempts"`
	Schema     int64  `json:"schema"`
	TookMS     int64  `json:"took_ms"`
}

// Run copies.
func (c backupCmd) Run(e *env) error {
	s, err := e.settings()
	if err != nil {
		return err
	}
	if s.store == "" || isDatabase(s.store) {
		return fail(errors.New("the store is no SQLite file"), "back its database up with its own tools, such as pg_dump")
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	began := e.now()
	copied, err := sqlite.Backup(ctx, s.store, c.File, c.Force, e.progress)
	e.progress(1, 1)
	switch {
	case errors.Is(err, context.Canceled):
		return fail(errors.New("interrupted: no backup was written"))
	case errors.Is(err, sqlite.ErrOwnFile):
		return fail(err, "name another file for the backup")
	case errors.Is(err, fs.ErrExist):
		return fail(fmt.Errorf("%s is there already", c.File), "--force replaces it, once the new one is good")
	case errors.Is(err, fs.ErrNotExist):
		return fail(err, "the store is where store.url in the configuration says")
	case err != nil:
		return err
	}
	if c.JSON {
		return writeJSON(e.stdout, backedUp{
			File: c.File, Store: s.store, Bytes: copied.Bytes, Deliveries: copied.Deliveries, Jobs: copied.Jobs, Attempts: copied.Attempts,
			Schema: copied.Schema, TookMS: e.now().Sub(began).Milliseconds(),
		})
	}
	fmt.Fprintf(e.stdout, "%s %s: %s, %s, %s, checked, in %s\n", e.out.paint(green, "backed up to"), printable(c.File), size(int(copied.Bytes)),
		count(int(copied.Deliveries), "delivery", "deliveries"), count(int(copied.Jobs), "job", "jobs"), took(began, e.now()))
	return nil
}
