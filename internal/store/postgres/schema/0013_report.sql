-- What senders are told of jobs. See job.Report.
CREATE TABLE report (
    job     bigint      NOT NULL REFERENCES job (seq),
    n       integer     NOT NULL,
    kind    text        NOT NULL,
    reached text        NOT NULL,
    remote  text        NOT NULL,
    tries   integer     NOT NULL,
    next_at timestamptz,
    at      timestamptz,
    error   text        NOT NULL,
    open    boolean     NOT NULL,
    PRIMARY KEY (job, n)
);

CREATE INDEX report_open ON report (next_at) WHERE open;
