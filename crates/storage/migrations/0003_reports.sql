-- What other servers report of mail in the name of our domains (RFC 9990) and of connections to them (RFC 8460).
CREATE TABLE report (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- 0 DMARC aggregate report, 1 TLS report
    kind INTEGER NOT NULL,
    arrived INTEGER NOT NULL,
    organization TEXT NOT NULL,
    contact TEXT NOT NULL,
    -- What the reporter calls it
    name TEXT NOT NULL,
    domain TEXT NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    -- What the domain asked for
    policy TEXT NOT NULL,
    -- Messages or sessions, by whether all was well
    good INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    -- Rows that were too many to be kept
    dropped INTEGER NOT NULL,
    -- Rows that are kept
    lines INTEGER NOT NULL,
    UNIQUE (kind, domain, organization, name)
) STRICT;
CREATE INDEX report_arrived ON report (arrived);

CREATE TABLE report_row (
    report INTEGER NOT NULL REFERENCES report (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    -- The address that sent, or our host that was not reached
    source TEXT NOT NULL,
    good INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    -- What was done, or what failed
    result TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (report, at)
) STRICT, WITHOUT ROWID;
