-- What was seen of mail in the name of domains that want aggregate reports (RFC 9990), until their day is over and told.
CREATE TABLE dmarc_domain (
    -- Days since 1970, UTC
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    -- As the domain published it last, with the addresses for reports
    policy TEXT NOT NULL,
    PRIMARY KEY (day, domain)
) STRICT, WITHOUT ROWID;

CREATE TABLE dmarc_seen (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    detail TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, detail),
    FOREIGN KEY (day, domain) REFERENCES dmarc_domain (day, domain) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
