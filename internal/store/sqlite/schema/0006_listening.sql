-- The spans in which the daemon took deliveries. See job.Listened.
CREATE TABLE listened (
    seq   INTEGER PRIMARY KEY,
    id    BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    since INTEGER NOT NULL,
    until INTEGER NOT NULL CHECK (until >= since)
) STRICT;
