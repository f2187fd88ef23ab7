-- Configurations that were pushed, for nodes with config: {from: store}. The newest is the one in
-- force; a rollback is a new one.
CREATE TABLE configuration (
    n       bigint      PRIMARY KEY,
    at      timestamptz NOT NULL,
    author  text        NOT NULL,
    digest  text        NOT NULL,
    message text        NOT NULL,
    content text        NOT NULL
);
