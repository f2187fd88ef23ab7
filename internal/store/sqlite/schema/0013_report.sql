-- What senders are told of jobs. See job.Report.
CREATE TABLE report (
    job     INTEGER NOT NULL REFERENCES job (seq),
    n       INTEGER NOT NULL,
    kind    TEXT    NOT NULL,
    reached TEXT    NOT NULL,
    remote  TEXT    NOT NULL,
    tries   INTEGER NOT NULL,
    next_at INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    error   TEXT    NOT NULL,
    open    INTEGER NOT NULL,
    PRIMARY KEY (job, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX report_open ON report (next_at) WHERE open = 1;
