-- Hooks that expect deliveries. See job.Expectation.
CREATE TABLE expectation (
    hook   text        NOT NULL PRIMARY KEY,
    since  timestamptz NOT NULL,
    last   timestamptz,
    silent timestamptz
);
