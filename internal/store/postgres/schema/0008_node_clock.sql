-- By how many microseconds the node's clock is ahead of the database's, for people.
ALTER TABLE node ADD COLUMN clock bigint NOT NULL DEFAULT 0;
