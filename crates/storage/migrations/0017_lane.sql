-- What waits is kept in order by where it goes: its domain, or the next host of the route that it takes. So one slow next host that
-- takes the mail of many domains has one place in the order, as a domain has.

DROP TRIGGER job_recipient_came;
DROP TRIGGER job_recipient_changed;
DROP TRIGGER job_recipient_went;
DROP TABLE destination;
DROP INDEX job_recipient_destination;

-- The name of where it goes; the worker gives those that waited already their names when it starts.
ALTER TABLE job_recipient ADD COLUMN lane TEXT NOT NULL DEFAULT '';
UPDATE job_recipient SET lane = domain;
CREATE INDEX job_recipient_lane ON job_recipient (lane, priority, max(due, lease_until)) WHERE state = 0;

-- Where something waits to go, and when the first of it can be taken. Kept by the triggers below.
CREATE TABLE lane (
    name TEXT NOT NULL,
    priority INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (name, priority)
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_next ON lane (priority, next);
CREATE INDEX lane_first ON lane (next);
INSERT INTO lane (name, priority, next)
    SELECT lane, priority, min(max(due, lease_until)) FROM job_recipient WHERE state = 0 GROUP BY lane, priority;

CREATE TRIGGER job_recipient_came AFTER INSERT ON job_recipient WHEN new.state = 0
BEGIN
    INSERT INTO lane (name, priority, next) VALUES (new.lane, new.priority, max(new.due, new.lease_until))
        ON CONFLICT (name, priority) DO UPDATE SET next = excluded.next WHERE excluded.next < next;
END;

-- The first of a lane is looked up by its index, and written where it is another than before.
CREATE TRIGGER job_recipient_changed AFTER UPDATE OF lane, priority, state, due, lease_until ON job_recipient
    WHEN (old.state = 0 OR new.state = 0) AND (old.lane, old.priority, old.state, max(old.due, old.lease_until))
        IS NOT (new.lane, new.priority, new.state, max(new.due, new.lease_until))
BEGIN
    DELETE FROM lane WHERE name = old.lane AND priority = old.priority AND NOT EXISTS (
        SELECT 1 FROM job_recipient WHERE lane = old.lane AND priority = old.priority AND state = 0);
    INSERT OR REPLACE INTO lane (name, priority, next)
        SELECT f.name, f.priority, f.next FROM (SELECT lane AS name, priority, max(due, lease_until) AS next
            FROM job_recipient WHERE lane = new.lane AND priority = new.priority AND state = 0
            ORDER BY max(due, lease_until) LIMIT 1) f
        WHERE NOT EXISTS (SELECT 1 FROM lane l WHERE l.name = f.name AND l.priority = f.priority AND l.next = f.next);
    INSERT OR REPLACE INTO lane (name, priority, next)
        SELECT lane, priority, max(due, lease_until) FROM job_recipient
        WHERE (old.lane, old.priority) IS NOT (new.lane, new.priority)
            AND lane = old.lane AND priority = old.priority AND state = 0 ORDER BY max(due, lease_until) LIMIT 1;
END;

CREATE TRIGGER job_recipient_went AFTER DELETE ON job_recipient WHEN old.state = 0
BEGIN
    DELETE FROM lane WHERE name = old.lane AND priority = old.priority AND NOT EXISTS (
        SELECT 1 FROM job_recipient WHERE lane = old.lane AND priority = old.priority AND state = 0);
    INSERT OR REPLACE INTO lane (name, priority, next)
        SELECT lane, priority, max(due, lease_until) FROM job_recipient
        WHERE lane = old.lane AND priority = old.priority AND state = 0 ORDER BY max(due, lease_until) LIMIT 1;
END;
