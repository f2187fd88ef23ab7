-- Times are microseconds since 1970 in UTC, 0 for none. Ids are the 16 bytes of a UUID; inside,
-- rows refer to each other by seq, which is the order in which they were committed.

PRAGMA application_id = 0x74656e74; -- "tent"

CREATE TABLE delivery (
    seq          INTEGER PRIMARY KEY,
    id           BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    hook         TEXT    NOT NULL CHECK (hook <> ''),
    key          TEXT    NOT NULL,
    key_window   INTEGER NOT NULL,                  -- microseconds
    on_duplicate TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    received_at  INTEGER NOT NULL,
    outcome      TEXT    NOT NULL CHECK (outcome IN ('accepted', 'ignored')),
    origin       TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    path         TEXT    NOT NULL,
    query        TEXT    NOT NULL,
    ip           TEXT    NOT NULL,
    secret       INTEGER NOT NULL,
    config       TEXT    NOT NULL,
    header       BLOB,                              -- length-prefixed names and values
    params       BLOB,                              -- the same
    withheld     TEXT,                              -- JSON
    verdicts     TEXT,                              -- JSON
    size         INTEGER NOT NULL CHECK (size >= 0) -- of the body as it arrived
) STRICT;

CREATE INDEX delivery_received ON delivery (received_at);

-- Bodies live apart, so that listing and pruning read small rows only.
CREATE TABLE body (
    delivery INTEGER PRIMARY KEY REFERENCES delivery (seq),
    encoding INTEGER NOT NULL CHECK (encoding IN (0, 1)), -- 0 as it arrived, 1 zstd
    data     BLOB    NOT NULL
) STRICT;

-- A key outlives its pruned delivery until its window ends, therefore delivery is an id here.
CREATE TABLE dedupe (
    hook       TEXT    NOT NULL,
    key        BLOB    NOT NULL, -- 'k' and the key, or 'h' and the SHA-256 of a long one
    delivery   BLOB    NOT NULL CHECK (length(delivery) = 16),
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (hook, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX dedupe_expires ON dedupe (expires_at);

CREATE TABLE job (
    seq             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    delivery        INTEGER NOT NULL REFERENCES delivery (seq),
    hook            TEXT    NOT NULL,
    rule            TEXT    NOT NULL,
    -- Not IN, which would build a table of the twelve names for each row.
    state           TEXT    NOT NULL CHECK (state = 'queued' OR state = 'running'
                        OR state = 'succeeded' OR state = 'scheduled' OR state = 'failed'
                        OR state = 'timed_out' OR state = 'cancelled' OR state = 'superseded'
                        OR state = 'skipped' OR state = 'stale' OR state = 'expired'
                        OR state = 'interrupted'),
    reason          TEXT    NOT NULL,
    attempt         INTEGER NOT NULL CHECK (attempt >= 0),
    since           INTEGER NOT NULL CHECK (since BETWEEN 0 AND attempt),
    run_at          INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER NOT NULL,
    exit_code       INTEGER,
    error           TEXT    NOT NULL,
    concurrency_key TEXT    NOT NULL,
    superseded_by   TEXT    NOT NULL,
    replay_of       TEXT    NOT NULL,
    node            TEXT    NOT NULL,
    CHECK (state <> 'running' OR attempt > since)
) STRICT;

CREATE INDEX job_delivery ON job (delivery);

-- What a start reads back: the jobs that have not ended, in order, with their states.
-- A query must repeat the condition word for word to use it.
CREATE INDEX job_live ON job (seq, state)
    WHERE state = 'scheduled' OR state = 'queued' OR state = 'running';

CREATE TABLE attempt (
    job         INTEGER NOT NULL REFERENCES job (seq),
    n           INTEGER NOT NULL CHECK (n > 0),
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    exit_code   INTEGER,
    signal      TEXT    NOT NULL,
    status      INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    config      TEXT    NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0), -- of the output
    encoding    INTEGER NOT NULL CHECK (encoding IN (0, 1)),
    output      BLOB,
    UNIQUE (job, n)
) STRICT;
