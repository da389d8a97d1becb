-- What proved who wrote a report: own, dkim, spf or unproven; unknown for those from before.
ALTER TABLE report ADD COLUMN proof TEXT NOT NULL DEFAULT 'unknown';
