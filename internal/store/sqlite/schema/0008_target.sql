-- The one node that a job is for, '*' for one that is not there yet. '' for no matter. See job.Site.
ALTER TABLE job ADD COLUMN target TEXT NOT NULL DEFAULT '';
