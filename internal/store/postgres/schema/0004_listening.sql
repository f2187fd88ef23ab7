-- The spans in which the daemon took deliveries. See job.Listened.
CREATE TABLE listened (
    seq   bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id    uuid        NOT NULL UNIQUE,
    since timestamptz NOT NULL,
    until timestamptz NOT NULL CHECK (until >= since)
);
