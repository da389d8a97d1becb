-- What each sender has sent within a day, its own limits, and to whom it has written before. A sender is the name of an
-- account, or "sendmail:" and the name of a user of this machine.
CREATE TABLE sender (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    -- NULL: as configured; -1: none
    limit_messages INTEGER,
    limit_new INTEGER,
    -- Of which day the counts are, in days since 1970.
    day INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    new_recipients INTEGER NOT NULL,
    -- The last day on which its owner was told of a limit.
    told INTEGER NOT NULL,
    -- Rows of known_recipient.
    known INTEGER NOT NULL
) STRICT;
CREATE INDEX sender_idle ON sender (day) WHERE limit_messages IS NULL AND limit_new IS NULL;

CREATE TABLE known_recipient (
    sender INTEGER NOT NULL REFERENCES sender (id) ON DELETE CASCADE,
    -- The first octets of a hash, as a number.
    recipient INTEGER NOT NULL,
    -- The day on which it was last written to, to within some days.
    used INTEGER NOT NULL,
    PRIMARY KEY (sender, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_recipient_used ON known_recipient (sender, used);

-- Who brought the message, as JSON: for next hosts that are told. NULL: it is our own.
ALTER TABLE job ADD COLUMN client TEXT;
