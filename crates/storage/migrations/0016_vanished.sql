-- What vanished is remembered for a number of entries; of what vanished up to the mod-sequence `forgotten` it is only known that it
-- is not there any more.
ALTER TABLE mailbox ADD COLUMN vanished_entries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN forgotten INTEGER NOT NULL DEFAULT 0;
UPDATE mailbox SET vanished_entries = (SELECT count(*) FROM vanished v WHERE v.mailbox = mailbox.id);

-- Which mailboxes of an account have changed.
CREATE INDEX mailbox_changed ON mailbox (account, modseq);
