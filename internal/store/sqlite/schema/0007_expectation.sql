-- Hooks that expect deliveries. See job.Expectation.
CREATE TABLE expectation (
    hook   TEXT    NOT NULL PRIMARY KEY,
    since  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    silent INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
