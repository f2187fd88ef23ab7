package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// migrateCmd is "migrate".
type migrateCmd struct {
	From string `required:"" placeholder:"sqlite:FILE" help:"The store to copy. No daemon may run on it."`
	To   string `required:"" placeholder:"postgres://…" help:"An empty database, or one that an earlier call has copied a part to. $NAME is read from the environment, so that the password need not be an argument."`
	JSON bool   `name:"json" help:"Print one JSON document."`
}

// Help is the longer text of the command.
func (migrateCmd) Help() string {
	return `Copies deliveries, jobs, held deliveries and reports still to be sent, what is remembered of keys, sources and expected deliveries, pauses and the audit log from a SQLite file into a PostgreSQL database, and then reads every row back and compares it. The file is not changed. When it is broken off, the same command goes on where it was.

    TO=postgres://tenterhook:…@db/tenterhook tenterhook migrate --from sqlite:tenterhook.db --to '$TO'

Afterwards set store.url to the database. Files of limits.log, and runs that survive the daemon, stay with the file.`
}

// migrated is the JSON of the command.
type migrated struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Copied  int    `json:"copied"`
	Before  int    `json:"copied_before"`
	Checked int    `json:"checked"`
	TookMS  int64  `json:"took_ms"`
}

// Run copies.
func (c migrateCmd) Run(e *env) error {
	path, ok := strings.CutPrefix(c.From, "sqlite:")
	if !ok || path == "" {
		return misuse(errors.New("--from wants sqlite:FILE"))
	}
	to := c.To
	if name, ok := strings.CutPrefix(to, "$"); ok {
		to = e.getenv(name)
	}
	if !isDatabase(to) {
		return misuse(errors.New("--to wants postgres://user@host/database"))
	}
	if _, err := os.Stat(path); err != nil {
		return fail(err, "--from is the file that store.url names, relative to where you are")
	}
	ctx, stop := signal.NotifyContext(e.ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	from, err := sqlite.Open(ctx, path, sqlite.Options{}) // for itself: nobody writes meanwhile
	if err != nil {
		return fail(err, "stop the daemon first")
	}
	defer func() { _ = from.Close() }()
	began := e.now()
	sum, err := postgres.Import(ctx, to, from, path, e.progress)
	e.progress(1, 1)
	switch {
	case ctx.Err() != nil:
		return fail(errors.New("interrupted"), "the same command goes on where it was")
	case err != nil:
		return fail(fmt.Errorf("copy %s to %s: %w", printable(c.From), postgres.Shown(to), err))
	}
	if c.JSON {
		return writeJSON(e.stdout, migrated{
			From: c.From, To: postgres.Shown(to), Copied: sum.Rows, Before: sum.Before, Checked: sum.Checked, TookMS: e.now().Sub(began).Milliseconds(),
		})
	}
	before := ""
	if sum.Before > 0 {
		before = fmt.Sprintf(" (%s before)", count(sum.Before, "row", "rows"))
	}
	fmt.Fprintf(e.stdout, "%s %s to %s: %s%s, every one compared, in %s\n", e.out.paint(green, "copied"), printable(c.From), postgres.Shown(to),
		count(sum.Rows, "row", "rows"), before, took(began, e.now()))
	e.say("next: store: {url: …} in the configuration, and start the daemon")
	return nil
}
