-- Several daemons on one store. See package fleet for what the rows mean together.

-- A node is one life of a daemon: a restart is another row of the same name. Silence is measured by
-- whether beat changes, never by comparing clocks.
CREATE TABLE node (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text        NOT NULL,
    labels     text[]      NOT NULL,
    workers    integer     NOT NULL CHECK (workers > 0),
    lease      bigint      NOT NULL,            -- microseconds of silence after which its jobs are taken over
    state      text        NOT NULL CHECK (state IN ('up', 'draining', 'left', 'silent', 'replaced')),
    beat       bigint      NOT NULL DEFAULT 0,
    beat_at    timestamptz NOT NULL,            -- for people
    started_at timestamptz NOT NULL,
    config     text        NOT NULL,            -- digest
    version    text        NOT NULL
) WITH (fillfactor = 50);

CREATE INDEX node_name ON node (name);

-- One row: who decides which job runs next. Everything it decides is written only while term is its.
CREATE TABLE leader (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    term   bigint  NOT NULL,
    beat   bigint  NOT NULL,
    holder bigint                               -- node, null for none
) WITH (fillfactor = 50);

INSERT INTO leader (term, beat) VALUES (0, 0);

-- A job that was given to a node, until its attempt, and what follows it, is over.
CREATE TABLE ticket (
    id        bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job       bigint  NOT NULL UNIQUE REFERENCES job (seq),
    node      bigint  NOT NULL,
    cancel    text    NOT NULL DEFAULT '',      -- why a person ends it
    overtaken text    NOT NULL DEFAULT ''       -- the job it has to make room for
);

CREATE INDEX ticket_node ON ticket (node);
