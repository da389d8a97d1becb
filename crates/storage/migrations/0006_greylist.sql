-- Greylisting: triplets of client, sender and recipient (as hashes), and clients that have come again often enough.
-- AUTOINCREMENT: a number is never given twice, which is what bounds the tables.
CREATE TABLE grey_triplet (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    triplet BLOB NOT NULL UNIQUE,
    -- seconds since 1970
    first   INTEGER NOT NULL,
    passed  INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX grey_triplet_expires ON grey_triplet (expires);

CREATE TABLE grey_client (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    client  TEXT NOT NULL UNIQUE,
    passes  INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT;
CREATE INDEX grey_client_expires ON grey_client (expires);
