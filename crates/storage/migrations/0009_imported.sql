-- What was brought in from elsewhere, so that it is brought in once, however often somebody begins anew.
CREATE TABLE imported (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- BLAKE3 of what the message is, or of where it was
    key BLOB NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;
