package postgres

import (
	"context"
	"errors"
	"fmt"
)

// Reader reads a store without being able to change it, beside running daemons or without one.
type Reader struct{ reads }

// OpenReader connects to the database that url names for reading; a standby will do. It refuses
// one that holds no store, or one of another schema. No error holds the password.
func OpenReader(ctx context.Context, url string) (*Reader, error) {
	t, err := parse(url)
	if err != nil {
		return nil, fmt.Errorf("read store %s: %w", Shown(url), err)
	}
	rs, err := openReads(ctx, t, nil)
	if err != nil {
		return nil, fmt.Errorf("read store %s: %w", t.shown, err)
	}
	r := &Reader{rs}
	if err := r.check(ctx, t.schema); err != nil {
		return nil, errors.Join(fmt.Errorf("read store %s: %w", t.shown, err), r.Close())
	}
	return r, nil
}

func (r *Reader) check(ctx context.Context, schema string) error {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	texts, err := steps()
	if err != nil {
		return err
	}
	have, err := version(ctx, r.pool, schema)
	switch {
	case err != nil:
		return err
	case have == 0:
		return fmt.Errorf("schema %q holds no store", schema)
	case have < len(texts):
		return fmt.Errorf("its schema is %d and this program reads %d: start the daemon once to bring it up to date", have, len(texts))
	}
	return checkVersion(have, len(texts))
}

// Close releases the connections.
func (r *Reader) Close() error {
	r.pool.Close()
	return nil
}

// Examine connects to the database that url names, and says what its commits survive, or why it
// cannot be a store. It changes nothing.
func Examine(ctx context.Context, url string) (durable string, err error) {
	t, err := parse(url)
	if err != nil {
		return "", err
	}
	conn, err := t.connect(ctx, connectWithin)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if durable, err = checkServer(ctx, conn); err != nil {
		return "", err
	}
	texts, err := steps()
	if err != nil {
		return "", err
	}
	have, err := version(ctx, conn, t.schema)
	switch {
	case err != nil:
		return "", err
	case have == 0:
		return durable + "; the tables are made at the first start", nil
	case have < len(texts):
		return fmt.Sprintf("%s; its schema is %d, and the next start brings it to %d", durable, have, len(texts)), nil
	}
	return durable, checkVersion(have, len(texts))
}
