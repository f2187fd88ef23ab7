-- What the hashes of delivery keys begin with, so that nobody outside can choose keys whose hashes
-- agree: each of them would be one more row to look at. Runs that were made without are made anew.
CREATE TABLE dedupe_salt (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    salt BLOB    NOT NULL CHECK (length(salt) = 32)
) STRICT;

INSERT INTO dedupe_salt (one, salt) VALUES (1, randomblob(32));

DELETE FROM dedupe_run;
