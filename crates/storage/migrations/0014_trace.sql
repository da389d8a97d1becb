-- The life of each message as it was told while it happened, kept for a time and never more than so much.
-- AUTOINCREMENT: a number is never given twice, which is what bounds the tables.
CREATE TABLE trace (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    -- What happened, as JSON
    text TEXT NOT NULL
) STRICT;
CREATE INDEX trace_mail ON trace (mail_id, id);

-- By what a message is found: addresses, its Message-ID, the number of its job.
CREATE TABLE trace_name (
    name TEXT NOT NULL,
    mail_id TEXT NOT NULL,
    -- The last row of `trace` that named it
    last INTEGER NOT NULL,
    PRIMARY KEY (name, mail_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_name_last ON trace_name (last);

-- Octets of all texts together, kept by the triggers.
CREATE TABLE trace_size (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    octets INTEGER NOT NULL
) STRICT;
INSERT INTO trace_size (id, octets) VALUES (1, 0);
CREATE TRIGGER trace_came AFTER INSERT ON trace
BEGIN
    UPDATE trace_size SET octets = octets + octet_length(new.text);
END;
CREATE TRIGGER trace_went AFTER DELETE ON trace
BEGIN
    UPDATE trace_size SET octets = octets - octet_length(old.text);
END;
