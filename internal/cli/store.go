package cli

import (
	"context"

	"github.com/tenterhook/tenterhook/internal/store/sqlite"
)

// openStore opens the store of a daemon that is down.
func openStore(ctx context.Context, path string) (reader, error) {
	return sqlite.OpenReader(ctx, path)
}
