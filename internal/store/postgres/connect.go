package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultSchema = "tenterhook"
	oldestServer  = 140000 // PostgreSQL 14, as server_version_num
	readers       = 8
	connectWithin = 10 * time.Second
)

// target is where a store is, with what each connection needs set.
type target struct {
	config *pgxpool.Config
	schema string
	shown  string
	shared bool
}

// Shown is a store's URL without its password and parameters, for people.
func Shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "postgres://…"
	}
	shown := url.URL{Scheme: "postgres", Host: u.Host, Path: u.Path}
	if name := u.User.Username(); name != "" {
		shown.User = url.User(name)
	}
	return shown.String()
}

// Check reports what is wrong with a store's URL, without connecting.
func Check(raw string) error {
	_, err := parse(raw)
	return err
}

func parse(raw string) (target, error) {
	config, err := pgxpool.ParseConfig(raw)
	if err != nil {
		// The library's error may repeat the URL.
		if cause := errors.Unwrap(err); cause != nil && !strings.Contains(cause.Error(), raw) {
			return target{}, fmt.Errorf("it is not a URL of PostgreSQL: %w", cause)
		}
		return target{}, errors.New("it is not a URL of PostgreSQL")
	}
	t := target{config: config, schema: defaultSchema, shown: Shown(raw)}
	c := config.ConnConfig
	if path := c.RuntimeParams["search_path"]; path != "" {
		first, _, _ := strings.Cut(path, ",")
		t.schema = strings.Trim(strings.TrimSpace(first), `"`)
	}
	c.ConnectTimeout = min(nonZero(c.ConnectTimeout, connectWithin), connectWithin)
	c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	for name, value := range map[string]string{
		"search_path":      pgx.Identifier{t.schema}.Sanitize(),
		"application_name": "tenterhook",
		"timezone":         "UTC",
		// Every statement here is short, and tables that were never analysed look expensive to the planner: compiling a
		// plan then takes a second, again on each connection.
		"jit": "off",
		// A process that was frozen must not hold the others up with what it had locked.
		"idle_in_transaction_session_timeout": "5s",
		"lock_timeout":                        "4s",
		// So that a server notices within seconds that a machine is gone.
		"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3",
		"tcp_user_timeout": "10s",
	} {
		c.RuntimeParams[name] = value
	}
	return t, nil
}

func nonZero(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// connect opens the connection that writes.
func (t target) connect(ctx context.Context, within time.Duration) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, max(within, connectWithin))
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, t.config.ConnConfig.Copy())
	if err != nil {
		return nil, connectError(err)
	}
	return conn, nil
}

// connectError says what is wrong in words of ours where the library's would not help.
func connectError(err error) error {
	if strings.Contains(err.Error(), "read only connection") {
		return fmt.Errorf("the server cannot be written to: it is a standby, or read-only: %w", err)
	}
	return err
}

// openReads opens the connections that only read, at a server that validate lets pass.
func openReads(ctx context.Context, t target, validate pgconn.ValidateConnectFunc) (reads, error) {
	config := t.config.Copy()
	config.MaxConns = readers
	config.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
	config.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(readTimeout.Milliseconds())
	config.ConnConfig.ValidateConnect = validate
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return reads{pool}, err
}

// openSide opens the few connections for heartbeats and notes.
func openSide(ctx context.Context, t target) (*pgxpool.Pool, error) {
	config := t.config.Copy()
	config.MaxConns = 4
	config.ConnConfig.RuntimeParams["statement_timeout"] = fmt.Sprint(readTimeout.Milliseconds())
	return pgxpool.NewWithConfig(ctx, config)
}

// checkServer refuses a server whose commits cannot be relied on, and says in words what they
// survive. It raises synchronous_commit for the connection when the server has less.
func checkServer(ctx context.Context, conn *pgx.Conn) (durable string, err error) {
	var (
		version                               int
		fsync, full, sync, standbys, encoding string
		recovery                              bool
	)
	err = conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_setting('fsync'),
		current_setting('full_page_writes'), current_setting('synchronous_commit'),
		current_setting('synchronous_standby_names'), current_setting('server_encoding'), pg_is_in_recovery()`).
		Scan(&version, &fsync, &full, &sync, &standbys, &encoding, &recovery)
	switch {
	case err != nil:
		return "", fmt.Errorf("read the server's settings: %w", err)
	case version < oldestServer:
		return "", fmt.Errorf("PostgreSQL %d is too old: at least %d is needed", version/10000, oldestServer/10000)
	case recovery:
		return "", errors.New("the server cannot be written to: it is a standby")
	case encoding != "UTF8":
		return "", fmt.Errorf("the database's encoding is %s instead of UTF8", encoding)
	case fsync != "on":
		return "", errors.New("the server has fsync off: what it has committed is lost when its machine fails; turn it on")
	}
	if sync == "off" || sync == "local" && standbys != "" {
		if _, err := conn.Exec(ctx, "SET synchronous_commit = on"); err != nil {
			return "", fmt.Errorf("set synchronous_commit: %w", err)
		}
		sync = "on"
	}
	durable = "commits are flushed to the server's disk"
	switch {
	case standbys != "" && sync != "local":
		durable += byStandby + " (synchronous_commit " + sync + ")"
	default:
		durable += "; no standby confirms them"
	}
	if full != "on" {
		durable += "; full_page_writes is off, so a power cut may damage pages"
	}
	return durable, nil
}

const byStandby = " and confirmed by a standby"

// confirmedByStandby reports whether what checkServer says includes a standby.
func confirmedByStandby(durable string) bool { return strings.Contains(durable, byStandby) }
