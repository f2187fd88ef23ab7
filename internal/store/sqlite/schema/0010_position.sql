-- How far sources have been read. See job.Position.
CREATE TABLE position (
    hook   TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    place  TEXT NOT NULL
) STRICT, WITHOUT ROWID;
