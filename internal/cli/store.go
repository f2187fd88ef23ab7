package cli

import (
	"context"
	"strings"

	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// openStore opens the store of a daemon that is down: a database, or a SQLite file.
func openStore(ctx context.Context, at string) (reader, error) {
	if isDatabase(at) {
		return postgres.OpenReader(ctx, at)
	}
	return sqlite.OpenReader(ctx, at)
}

func isDatabase(at string) bool {
	return strings.HasPrefix(at, "postgres://") || strings.HasPrefix(at, "postgresql://")
}

// shownStore is where a store is, without a password.
func shownStore(at string) string {
	if isDatabase(at) {
		return postgres.Shown(at)
	}
	return printable(at)
}
