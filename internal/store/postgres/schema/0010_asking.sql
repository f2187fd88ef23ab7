-- What nodes ask each other, and what happened on one while somebody listens on another. All of it is
-- of the moment: after a crash of the server the tables are empty.

CREATE UNLOGGED TABLE question (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node     bigint      NOT NULL,              -- that is asked
    kind     text        NOT NULL,
    subject  text        NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now(),
    answer   bytea                              -- null while there is none
);

CREATE INDEX question_node ON question (node) WHERE answer IS NULL;

CREATE UNLOGGED TABLE happened (
    id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at    timestamptz NOT NULL DEFAULT now(),
    kind  text        NOT NULL,
    hook  text        NOT NULL,
    job   text        NOT NULL,
    body  bytea       NOT NULL                  -- JSON
);

-- Somebody listens on the node.
ALTER TABLE node ADD COLUMN listens boolean NOT NULL DEFAULT false;
