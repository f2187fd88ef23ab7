-- What people changed, each row with the hash of the one before it. See job.AuditEntry.
CREATE TABLE audit (
    n        INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    who      TEXT    NOT NULL,
    remote   TEXT    NOT NULL,
    action   TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    detail   TEXT    NOT NULL,
    result   TEXT    NOT NULL,
    previous TEXT    NOT NULL,
    hash     TEXT    NOT NULL
) STRICT;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only appended to'); END;

-- The last entry that retention took away: at most one row.
CREATE TABLE audit_anchor (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    n    INTEGER NOT NULL,
    hash TEXT    NOT NULL
) STRICT;

-- The latest requests that were refused.
CREATE TABLE reject (
    seq     INTEGER PRIMARY KEY,
    id      BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    at      INTEGER NOT NULL,
    ip      TEXT    NOT NULL,
    hook    TEXT    NOT NULL,
    status  INTEGER NOT NULL,
    error   TEXT    NOT NULL,
    reason  TEXT    NOT NULL,
    size    INTEGER NOT NULL,
    count   INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;

-- Replays of many deliveries, and how far they are.
CREATE TABLE replay (
    seq  INTEGER PRIMARY KEY,
    id   BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    data TEXT NOT NULL -- JSON of a job.Replay
) STRICT;
