-- Deliveries that are held for other daemons. See job.Held.
CREATE TABLE held (
    delivery INTEGER PRIMARY KEY REFERENCES delivery (seq),
    hook     TEXT    NOT NULL,
    state    TEXT    NOT NULL CHECK (state IN ('waiting', 'acknowledged', 'refused')),
    taker    TEXT    NOT NULL,
    tries    INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    reason   TEXT    NOT NULL,
    scheme   TEXT    NOT NULL,
    host     TEXT    NOT NULL,
    raw_path TEXT    NOT NULL,
    sealed   BLOB
) STRICT;

CREATE INDEX held_open ON held (hook, delivery) WHERE state <> 'acknowledged';
