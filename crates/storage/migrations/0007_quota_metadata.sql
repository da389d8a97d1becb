-- Limits of accounts and what they use (RFC 9208), and annotations (RFC 5464).

-- Octets and messages that an account may keep; NULL: as configured, -1: no limit.
ALTER TABLE account ADD COLUMN quota_octets INTEGER;
ALTER TABLE account ADD COLUMN quota_messages INTEGER;
-- What its mailboxes hold together, kept by the trigger below.
ALTER TABLE account ADD COLUMN used_octets INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN used_messages INTEGER NOT NULL DEFAULT 0;
UPDATE account SET
    used_octets = (SELECT coalesce(sum(size), 0) FROM mailbox WHERE mailbox.account = account.id),
    used_messages = (SELECT coalesce(sum(messages), 0) FROM mailbox WHERE mailbox.account = account.id);

-- Whatever changes a mailbox's counters, or whose it is, changes those of the account with them.
CREATE TRIGGER mailbox_usage AFTER UPDATE OF account, messages, size ON mailbox
WHEN old.account IS NOT new.account OR old.messages <> new.messages OR old.size <> new.size
BEGIN
    UPDATE account SET used_octets = used_octets - old.size, used_messages = used_messages - old.messages
        WHERE id = old.account;
    UPDATE account SET used_octets = used_octets + new.size, used_messages = used_messages + new.messages
        WHERE id = new.account;
END;

-- Annotations. The name is whole: /private/… or /shared/….
CREATE TABLE annotation (
    -- Who pays for it: for private ones the reader, for shared ones whose mailbox it is.
    owner INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    -- NULL: of the server as a whole.
    mailbox INTEGER REFERENCES mailbox (id) ON DELETE CASCADE,
    name TEXT NOT NULL COLLATE NOCASE,
    -- NULL: it was taken away, which sessions are still to hear.
    value BLOB,
    -- The owner's mod-sequence when it was last set.
    modseq INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX annotation_name ON annotation (owner, coalesce(mailbox, 0), name);
CREATE INDEX annotation_mailbox ON annotation (mailbox, owner);
CREATE INDEX annotation_modseq ON annotation (owner, modseq);
