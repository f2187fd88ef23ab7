-- What people changed, each row with the hash of the one before it. See job.AuditEntry.
CREATE TABLE audit (
    n        bigint PRIMARY KEY,
    at       timestamptz,
    who      text NOT NULL,
    remote   text NOT NULL,
    action   text NOT NULL,
    subject  text NOT NULL,
    detail   text NOT NULL,
    result   text NOT NULL,
    previous text NOT NULL,
    hash     text NOT NULL
);

-- The last entry that retention took away: at most one row.
CREATE TABLE audit_anchor (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    n    bigint NOT NULL,
    hash text   NOT NULL
);

-- The latest requests that were refused.
CREATE TABLE reject (
    seq     bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      uuid        NOT NULL UNIQUE,
    at      timestamptz,
    ip      text        NOT NULL,
    hook    text        NOT NULL,
    status  integer     NOT NULL,
    error   text        NOT NULL,
    reason  text        NOT NULL,
    size    bigint      NOT NULL,
    count   bigint      NOT NULL,
    last_at timestamptz
);

-- Replays of many deliveries, and how far they are.
CREATE TABLE replay (
    seq  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id   uuid NOT NULL UNIQUE,
    data text NOT NULL -- JSON of a job.Replay
);
