-- Deliveries that are held for other daemons. See job.Held.
CREATE TABLE held (
    delivery bigint      PRIMARY KEY REFERENCES delivery (seq),
    hook     text        NOT NULL,
    state    text        NOT NULL CHECK (state IN ('waiting', 'acknowledged', 'refused')),
    taker    text        NOT NULL,
    tries    integer     NOT NULL,
    until    timestamptz,
    at       timestamptz NOT NULL,
    reason   text        NOT NULL,
    scheme   text        NOT NULL,
    host     text        NOT NULL,
    raw_path text        NOT NULL,
    sealed   bytea
);

CREATE INDEX held_open ON held (hook, delivery) WHERE state <> 'acknowledged';
