-- The delivery keys that are taken, in the order in which they came: a key that scatters does not
-- dirty a page of its own. keyIndex finds them. A key outlives its pruned delivery until its window
-- ends, therefore delivery is an id here.
CREATE TABLE dedupe_key (
    seq        INTEGER PRIMARY KEY,
    hook       TEXT    NOT NULL,
    key        BLOB    NOT NULL, -- 'k' and the key, or 'h' and the SHA-256 of a long one
    delivery   BLOB    NOT NULL CHECK (length(delivery) = 16),
    expires_at INTEGER NOT NULL
) STRICT;

-- What finds the keys from first on, as many as length says, as keyRun.encode writes it. Later ones
-- have no run yet.
CREATE TABLE dedupe_run (
    first  INTEGER PRIMARY KEY,
    length INTEGER NOT NULL CHECK (length > 0),
    due    INTEGER NOT NULL, -- no key of the run ends before
    data   BLOB    NOT NULL
) STRICT;

INSERT INTO dedupe_key (hook, key, delivery, expires_at)
    SELECT hook, key, delivery, expires_at FROM dedupe ORDER BY expires_at;

DROP TABLE dedupe;
