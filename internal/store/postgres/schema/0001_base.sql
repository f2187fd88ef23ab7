-- Times are null for none. Text that may hold any bytes (keys, paths, errors) is written by
-- encodeText: as it is when PostgreSQL can hold it, else in an escaped form. Inside, rows refer to
-- each other by seq, the order in which they were stored.

CREATE TABLE delivery (
    seq          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id           uuid        NOT NULL UNIQUE,
    hook         text        NOT NULL CHECK (hook <> ''),
    key          text        NOT NULL,
    key_window   bigint      NOT NULL,                  -- microseconds
    on_duplicate text        NOT NULL,
    event        text        NOT NULL,
    received_at  timestamptz NOT NULL,
    outcome      text        NOT NULL CHECK (outcome IN ('accepted', 'ignored')),
    origin       text        NOT NULL,
    method       text        NOT NULL,
    path         text        NOT NULL,
    query        text        NOT NULL,
    ip           text        NOT NULL,
    secret       integer     NOT NULL,
    config       text        NOT NULL,
    header       bytea,                                 -- length-prefixed names and values
    params       bytea,                                 -- the same
    withheld     text,                                  -- JSON
    verdicts     text,                                  -- JSON
    size         integer     NOT NULL CHECK (size >= 0), -- of the body as it arrived
    encoding     smallint    NOT NULL CHECK (encoding IN (0, 1)), -- 0 as it arrived, 1 zstd
    body         bytea
);

-- It is compressed already where that is worth it.
ALTER TABLE delivery ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE INDEX delivery_received ON delivery (received_at);

-- A key outlives its pruned delivery until its window ends, therefore delivery is an id here.
CREATE TABLE dedupe (
    hook       text        NOT NULL,
    key        bytea       NOT NULL, -- 'k' and the key, or 'h' and the SHA-256 of a long one
    delivery   uuid        NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (hook, key)
);

CREATE INDEX dedupe_expires ON dedupe (expires_at);

CREATE TABLE job (
    seq             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              uuid        NOT NULL UNIQUE,
    delivery        bigint      NOT NULL REFERENCES delivery (seq),
    hook            text        NOT NULL,
    rule            text        NOT NULL,
    state           text        NOT NULL CHECK (state IN ('scheduled', 'queued', 'running', 'succeeded',
                        'failed', 'timed_out', 'cancelled', 'superseded', 'skipped', 'stale', 'expired', 'interrupted')),
    reason          text        NOT NULL,
    attempt         integer     NOT NULL CHECK (attempt >= 0),
    since           integer     NOT NULL CHECK (since BETWEEN 0 AND attempt),
    run_at          timestamptz,
    created_at      timestamptz,
    started_at      timestamptz,
    finished_at     timestamptz,
    exit_code       integer,
    error           text        NOT NULL,
    concurrency_key text        NOT NULL,
    superseded_by   text        NOT NULL,
    replay_of       text        NOT NULL,
    node            text        NOT NULL,
    keys            text,                       -- JSON, null for none
    burst           uuid,                       -- the first job of a burst, null for none
    ending          text        NOT NULL,       -- the state after the follow-ups of a running job
    CHECK (state <> 'running' OR attempt > since)
);

CREATE INDEX job_delivery ON job (delivery);

-- What a start reads back. A query must repeat the condition to use it.
CREATE INDEX job_live ON job (seq) WHERE state IN ('scheduled', 'queued', 'running');

CREATE INDEX job_burst ON job (burst) WHERE burst IS NOT NULL;

CREATE TABLE attempt (
    job         bigint      NOT NULL REFERENCES job (seq),
    n           integer     NOT NULL CHECK (n > 0),
    started_at  timestamptz,
    finished_at timestamptz,
    exit_code   integer,
    signal      text        NOT NULL DEFAULT '',
    status      integer     NOT NULL DEFAULT 0,
    error       text        NOT NULL DEFAULT '',
    config      text        NOT NULL,
    size        integer     NOT NULL DEFAULT 0 CHECK (size >= 0), -- of the output
    encoding    smallint    NOT NULL DEFAULT 0 CHECK (encoding IN (0, 1)),
    output      bytea,
    PRIMARY KEY (job, n)
) WITH (fillfactor = 80); -- each row is written twice

ALTER TABLE attempt ALTER COLUMN output SET STORAGE EXTERNAL;

-- What the flow controls remember of a key, for each rule. See job.Ledger.
CREATE TABLE control (
    hook       text        NOT NULL,
    rule       text        NOT NULL,
    control    text        NOT NULL, -- once, sequence, rate_limit, throttle, debounce
    name       bytea       NOT NULL, -- of the key, as in dedupe
    key        text        NOT NULL,
    job        uuid        NOT NULL,
    at         timestamptz,
    value      text        NOT NULL,
    count      bigint      NOT NULL,
    bytes      bigint      NOT NULL,
    expires_at timestamptz,
    PRIMARY KEY (hook, rule, control, name)
);

CREATE INDEX control_expires ON control (expires_at);

-- Rules that start nothing for now; rule '' is every rule of the hook.
CREATE TABLE pause (
    hook   text        NOT NULL,
    rule   text        NOT NULL,
    since  timestamptz,
    reason text        NOT NULL,
    PRIMARY KEY (hook, rule)
);

-- The actions of on_success, on_failure and on_cancel that ran after an attempt.
CREATE TABLE follow_up (
    job         bigint      NOT NULL REFERENCES job (seq),
    attempt     integer     NOT NULL, -- that it followed
    step        integer     NOT NULL, -- its place in the list, from 1
    try         integer     NOT NULL, -- from 1
    event       text        NOT NULL, -- on_success, on_failure, on_cancel
    kind        text        NOT NULL, -- of the action: run, exec, http
    started_at  timestamptz,
    finished_at timestamptz,
    exit_code   integer,
    signal      text        NOT NULL DEFAULT '',
    status      integer     NOT NULL DEFAULT 0,
    error       text        NOT NULL DEFAULT '',
    size        integer     NOT NULL DEFAULT 0 CHECK (size >= 0), -- of the output
    encoding    smallint    NOT NULL DEFAULT 0 CHECK (encoding IN (0, 1)),
    output      bytea,
    PRIMARY KEY (job, attempt, step, try)
);
