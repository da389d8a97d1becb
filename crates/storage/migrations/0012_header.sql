-- Headers as received, for those who list a mailbox: so that nobody reads a message for the sake of its header. A body that came
-- before this table, or has a larger header than is kept here, has no row.
CREATE TABLE body_header (
    body INTEGER PRIMARY KEY REFERENCES body (id) ON DELETE CASCADE,
    octets BLOB NOT NULL
) STRICT;
