-- The one node that a job is for, '*' for one that is not there yet; '' for no matter. See job.Site.
ALTER TABLE job ADD COLUMN target text NOT NULL DEFAULT '';

-- What a node that comes later catches up with.
CREATE INDEX job_target ON job (hook, rule, created_at) WHERE target <> '';
