-- How far sources have been read. See job.Position.
CREATE TABLE position (
    hook   text NOT NULL PRIMARY KEY,
    source text NOT NULL,
    place  text NOT NULL
);
