-- What the flow controls remember of a key, for each rule. See job.Ledger.
CREATE TABLE control (
    hook       TEXT    NOT NULL,
    rule       TEXT    NOT NULL,
    control    TEXT    NOT NULL, -- once, sequence, rate_limit, throttle, debounce
    key        TEXT    NOT NULL,
    job        BLOB    NOT NULL CHECK (length(job) = 16),
    at         INTEGER NOT NULL,
    value      TEXT    NOT NULL,
    count      INTEGER NOT NULL,
    bytes      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (hook, rule, control, key)
) STRICT, WITHOUT ROWID;

CREATE INDEX control_expires ON control (expires_at);

-- Rules that start nothing for now; rule '' is every rule of the hook.
CREATE TABLE pause (
    hook   TEXT    NOT NULL,
    rule   TEXT    NOT NULL,
    since  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    PRIMARY KEY (hook, rule)
) STRICT, WITHOUT ROWID;

ALTER TABLE job ADD COLUMN keys   TEXT; -- JSON, null for none
ALTER TABLE job ADD COLUMN burst  BLOB; -- id of the first job of a burst, null for none
ALTER TABLE job ADD COLUMN ending TEXT NOT NULL DEFAULT ''; -- the state after the follow-ups of a running job

CREATE INDEX job_burst ON job (burst) WHERE burst IS NOT NULL;

-- The actions of on_success, on_failure and on_cancel that ran after an attempt.
CREATE TABLE follow_up (
    job         INTEGER NOT NULL REFERENCES job (seq),
    attempt     INTEGER NOT NULL, -- that it followed
    step        INTEGER NOT NULL, -- its place in the list, from 1
    try         INTEGER NOT NULL, -- from 1
    event       TEXT    NOT NULL, -- on_success, on_failure, on_cancel
    kind        TEXT    NOT NULL, -- of the action: run, exec, http
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    exit_code   INTEGER,
    signal      TEXT    NOT NULL,
    status      INTEGER NOT NULL,
    error       TEXT    NOT NULL,
    size        INTEGER NOT NULL CHECK (size >= 0), -- of the output
    encoding    INTEGER NOT NULL CHECK (encoding IN (0, 1)),
    output      BLOB,
    UNIQUE (job, attempt, step, try)
) STRICT;
