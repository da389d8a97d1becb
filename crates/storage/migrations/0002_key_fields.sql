-- The header fields that search, sort and thread ask for, as mail::mime::KeyFields writes them. In a table of their own,
-- so that they lie close together; a body that came before this table has no row until somebody looks for it.
CREATE TABLE body_key_fields (
    body INTEGER PRIMARY KEY REFERENCES body (id) ON DELETE CASCADE,
    fields BLOB NOT NULL
) STRICT;
