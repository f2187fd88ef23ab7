package daemon

import (
	"context"
	"log/slog"

	"github.com/tenterhook/tenterhook/internal/job"
	"github.com/tenterhook/tenterhook/internal/store"
	"github.com/tenterhook/tenterhook/internal/store/postgres"
	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// opened is a store with what the daemon needs of it beside the contract.
type opened interface {
	store.Store
	// Broken delivers one error when the store can never be trusted again in this process.
	Broken() <-chan error
}

// openStore opens the store that the settings name; it tells committed of jobs that it stored.
func openStore(ctx context.Context, s Settings, committed func([]job.Job), log *slog.Logger) (opened, error) {
	if url := string(s.Database.Reveal()); url != "" {
		db, err := postgres.Open(ctx, url, postgres.Options{Committed: committed, Log: log})
		if err != nil {
			return nil, err
		}
		log.Info("store opened", "store", s.Store, "durability", db.Durability())
		return db, nil
	}
	file, err := sqlite.Open(ctx, s.Store, sqlite.Options{Committed: committed, Log: log})
	if err != nil {
		return nil, err
	}
	return file, nil
}
