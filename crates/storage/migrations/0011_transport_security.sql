-- Policies of MTA-STS that were fetched (RFC 8461 §3.3), for as long as they hold.
CREATE TABLE sts_policy (
    domain TEXT PRIMARY KEY,
    -- As the domain's record named it when the policy was fetched
    version TEXT NOT NULL,
    policy TEXT NOT NULL,
    fetched INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    -- When mail last went by it, to the day
    used INTEGER NOT NULL,
    -- When it was last looked whether there is a newer one
    tried INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sts_policy_used ON sts_policy (used);

-- How connections to other domains fared, for those that want TLS reports (RFC 8460), until their day is over and told.
CREATE TABLE tls_domain (
    -- Days since 1970, UTC
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    PRIMARY KEY (day, domain)
) STRICT, WITHOUT ROWID;

CREATE TABLE tls_seen (
    day INTEGER NOT NULL,
    domain TEXT NOT NULL,
    policy TEXT NOT NULL,
    -- Empty for connections that were as the policy wants them
    detail TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, detail),
    FOREIGN KEY (day, domain) REFERENCES tls_domain (day, domain) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
