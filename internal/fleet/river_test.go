package fleet_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/tenterhook/tenterhook/internal/store/postgres/postgrestest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	postgrestest.Stop()
	os.Exit(code)
}

// River would be the engine that exists and is trusted for what this package does with tickets.
// These tests show where it cannot hold the contract: a dead node's jobs within seconds, while jobs
// may run for an hour. When one of them fails, River can do it, and the choice is to be made anew.

type deploy struct{}

func (deploy) Kind() string { return "deploy" }

type deployer struct {
	river.WorkerDefaults[deploy]
	began chan struct{}
}

func (d *deployer) Work(ctx context.Context, _ *river.Job[deploy]) error {
	d.began <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func riverClient(t *testing.T, pool *pgxpool.Pool, d *deployer, change func(*river.Config)) (*river.Client[pgx.Tx], error) {
	t.Helper()
	workers := river.NewWorkers()
	river.AddWorker(workers, d)
	c := &river.Config{
		Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2}}, Workers: workers,
		JobTimeout: time.Hour, // a deployment may take that long
	}
	change(c)
	return river.NewClient(riverpgxv5.New(pool), c)
}

func TestRiver_CannotTakeOverSoonerThanTheLongestJob(t *testing.T) {
	pool, err := pgxpool.New(t.Context(), "postgres://nobody@127.0.0.1:1/none") // nothing connects
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	_, err = riverClient(t, pool, &deployer{}, func(c *river.Config) { c.RescueStuckJobsAfter = 10 * time.Second })
	if err == nil || !strings.Contains(err.Error(), "RescueStuckJobsAfter") {
		t.Errorf("a job of an hour can be rescued after 10s: %v", err)
	}
}

func TestRiver_LeavesTheJobsOfADeadClientWhereTheyAre(t *testing.T) {
	url := postgrestest.Schema(t)
	_, schema, _ := strings.Cut(url, "search_path=")
	postgrestest.Exec(t, url, "CREATE SCHEMA "+schema)
	connect := func() *pgxpool.Pool {
		pool, err := pgxpool.New(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	}
	other := connect()
	migrator, err := rivermigrate.New(riverpgxv5.New(other), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := migrator.Migrate(t.Context(), rivermigrate.DirectionUp, nil); err != nil {
		t.Fatal(err)
	}
	first := &deployer{began: make(chan struct{}, 1)}
	dying, cut := context.WithCancel(t.Context())
	a, err := riverClient(t, connect(), first, func(*river.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(dying); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Insert(t.Context(), deploy{}, nil); err != nil {
		t.Fatal(err)
	}
	<-first.began
	// What is left of a client whose process was killed: a row that says it runs.
	var id int64
	if err := other.QueryRow(t.Context(), "UPDATE river_job SET attempted_by = ARRAY['dead'] RETURNING id").Scan(&id); err != nil {
		t.Fatal(err)
	}
	second := &deployer{began: make(chan struct{}, 1)}
	b, err := riverClient(t, other, second, func(*river.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-second.began:
		t.Error("River takes a dead client's job over within seconds")
	case <-time.After(5 * time.Second): // as long as a short lease
	}
	cut()
	stop, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, c := range []*river.Client[pgx.Tx]{a, b} {
		if err := c.StopAndCancel(stop); err != nil && !errors.Is(err, context.Canceled) {
			t.Log(err)
		}
	}
}
