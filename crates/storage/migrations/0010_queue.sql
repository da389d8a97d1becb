-- The queue by destination and priority, messages that are held, what each attempt came to, addresses that keep failing.

ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
-- BY= of MAIL (RFC 2852): seconds after arrival; NULL: not given. 0 N, 1 R, plus 2 if the way is to be told.
ALTER TABLE job ADD COLUMN by_seconds INTEGER;
ALTER TABLE job ADD COLUMN by_mode INTEGER NOT NULL DEFAULT 0;
-- From when on it may be delivered, and its age counts (RFC 4865); NULL: since it arrived.
ALTER TABLE job ADD COLUMN release_at INTEGER;
-- Since when an administrator holds it; NULL: nobody does.
ALTER TABLE job ADD COLUMN held INTEGER;
CREATE INDEX job_mail ON job (mail_id);
CREATE INDEX job_held ON job (held) WHERE held IS NOT NULL;

-- That of the job. The state 3 joins the others: held.
ALTER TABLE job_recipient ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
DROP INDEX job_recipient_due;
CREATE INDEX job_recipient_due ON job_recipient (priority, max(due, lease_until)) WHERE state = 0;
CREATE INDEX job_recipient_destination ON job_recipient (domain, priority, max(due, lease_until)) WHERE state = 0;

-- Where something waits to go, and when the first of it can be taken. Kept by the triggers below.
CREATE TABLE destination (
    domain TEXT NOT NULL,
    priority INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (domain, priority)
) STRICT, WITHOUT ROWID;
CREATE INDEX destination_next ON destination (priority, next);
CREATE INDEX destination_first ON destination (next);
INSERT INTO destination (domain, priority, next)
    SELECT domain, priority, min(max(due, lease_until)) FROM job_recipient WHERE state = 0 GROUP BY domain, priority;

CREATE TRIGGER job_recipient_came AFTER INSERT ON job_recipient WHEN new.state = 0
BEGIN
    INSERT INTO destination (domain, priority, next) VALUES (new.domain, new.priority, max(new.due, new.lease_until))
        ON CONFLICT (domain, priority) DO UPDATE SET next = min(next, excluded.next);
END;

CREATE TRIGGER job_recipient_changed AFTER UPDATE OF domain, priority, state, due, lease_until ON job_recipient
    WHEN old.state = 0 OR new.state = 0
BEGIN
    DELETE FROM destination WHERE domain = old.domain AND priority = old.priority AND NOT EXISTS (
        SELECT 1 FROM job_recipient WHERE domain = old.domain AND priority = old.priority AND state = 0);
    INSERT OR REPLACE INTO destination (domain, priority, next)
        SELECT domain, priority, max(due, lease_until) FROM job_recipient
        WHERE domain = old.domain AND priority = old.priority AND state = 0 ORDER BY max(due, lease_until) LIMIT 1;
    INSERT OR REPLACE INTO destination (domain, priority, next)
        SELECT domain, priority, max(due, lease_until) FROM job_recipient
        WHERE domain = new.domain AND priority = new.priority AND state = 0 ORDER BY max(due, lease_until) LIMIT 1;
END;

CREATE TRIGGER job_recipient_went AFTER DELETE ON job_recipient WHEN old.state = 0
BEGIN
    DELETE FROM destination WHERE domain = old.domain AND priority = old.priority AND NOT EXISTS (
        SELECT 1 FROM job_recipient WHERE domain = old.domain AND priority = old.priority AND state = 0);
    INSERT OR REPLACE INTO destination (domain, priority, next)
        SELECT domain, priority, max(due, lease_until) FROM job_recipient
        WHERE domain = old.domain AND priority = old.priority AND state = 0 ORDER BY max(due, lease_until) LIMIT 1;
END;

-- What each attempt came to; outlives the job by the time that is configured.
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    mail_id TEXT NOT NULL,
    job INTEGER NOT NULL,
    at INTEGER NOT NULL,
    domain TEXT NOT NULL,
    -- Addresses divided by blanks, as many as fit, and how many there were.
    recipients TEXT NOT NULL,
    recipient_count INTEGER NOT NULL,
    -- Who was asked, where, and how the connection was protected; empty: nobody was reached.
    host TEXT NOT NULL,
    address TEXT NOT NULL,
    tls TEXT NOT NULL,
    -- 0 no answer for the message, 1 delivered, 2 put off, 3 refused
    result INTEGER NOT NULL,
    code INTEGER NOT NULL,
    status TEXT,
    text TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_mail ON attempt (mail_id, id);
CREATE INDEX attempt_job ON attempt (job, id);
CREATE INDEX attempt_at ON attempt (at);

-- Addresses elsewhere that were refused for good, and those to which nothing is sent any more.
CREATE TABLE failing (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- With its local part in small letters.
    address TEXT NOT NULL UNIQUE,
    failures INTEGER NOT NULL,
    first_at INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    -- Nothing is sent until then; 0: failures are only counted, NULL: for good.
    until INTEGER,
    reason TEXT NOT NULL
) STRICT;
