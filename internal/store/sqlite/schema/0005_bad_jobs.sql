-- Jobs that ended badly are few and looked for often. A query must repeat the condition word for
-- word to use it.
CREATE INDEX job_bad ON job (state, seq)
    WHERE state = 'failed' OR state = 'timed_out' OR state = 'interrupted';
