-- The first schema. Names are the field's: RFC 9051 for mailboxes, RFC 5321 and 3461 for the queue.
-- Times are seconds since 1970; sizes are octets. A statement never changes rows one by one.

-- Facts of the whole store: named secrets, and the highest UIDVALIDITY ever given out.
CREATE TABLE secret (
    name TEXT PRIMARY KEY,
    octets BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sequence (
    name TEXT PRIMARY KEY,
    last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO sequence (name, last) VALUES ('uidvalidity', 0), ('body', 0), ('content', 0), ('job', 0), ('recipient', 0);

CREATE TABLE credential (
    name TEXT PRIMARY KEY,
    -- argon2id, as a PHC string
    password TEXT NOT NULL,
    created INTEGER NOT NULL,
    changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE account (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    -- Largest message that APPEND takes; NULL: no limit of its own.
    append_limit INTEGER,
    -- Grows with each change to anything of the account; the number of the bell (RFC 7162 §3.1.1).
    modseq INTEGER NOT NULL
) STRICT;

CREATE TABLE mailbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- NULL: the mailbox is gone; its messages are taken away bit by bit.
    account INTEGER REFERENCES account (id),
    -- Whole path, UTF-8, levels separated by '/'.
    name TEXT NOT NULL,
    -- 0 selectable, 1 \NonExistent or \Noselect: only a name that holds others.
    kind INTEGER NOT NULL,
    special_use TEXT,
    uidvalidity INTEGER NOT NULL,
    uidnext INTEGER NOT NULL,
    -- HIGHESTMODSEQ
    modseq INTEGER NOT NULL,
    -- Counters, kept by every transaction that touches messages.
    messages INTEGER NOT NULL,
    unseen INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    size INTEGER NOT NULL,
    UNIQUE (account, name)
) STRICT;
CREATE INDEX mailbox_special_use ON mailbox (account, special_use) WHERE special_use IS NOT NULL;

-- The highest UIDVALIDITY that a name had before it was deleted or renamed away.
CREATE TABLE former_name (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    uidvalidity INTEGER NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE subscription (
    account INTEGER NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (account, name)
) STRICT, WITHOUT ROWID;

-- Keywords of a mailbox: bit 0 to 63 of message.keywords.
CREATE TABLE keyword (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    bit INTEGER NOT NULL,
    name TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (mailbox, bit),
    UNIQUE (mailbox, name)
) STRICT, WITHOUT ROWID;

-- Octets as received, named by their BLAKE3 hash, with what was made of them at delivery.
CREATE TABLE body (
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    -- 0 as they are in body_octets, 1 zstd in body_octets, 2 in the file of this name
    place INTEGER NOT NULL,
    file TEXT,
    -- ENVELOPE and BODYSTRUCTURE as they are sent, and where the parts begin
    envelope BLOB NOT NULL,
    bodystructure BLOB NOT NULL,
    parts BLOB NOT NULL
) STRICT;
CREATE INDEX body_file ON body (file) WHERE file IS NOT NULL;

CREATE TABLE body_octets (
    body INTEGER PRIMARY KEY REFERENCES body (id) ON DELETE CASCADE,
    octets BLOB NOT NULL
) STRICT;

-- A message as one mailbox got it: the fields we put in front, and the body. COPY shares it (RFC 8474 EMAILID).
CREATE TABLE content (
    id INTEGER PRIMARY KEY,
    body INTEGER NOT NULL REFERENCES body (id),
    prefix BLOB NOT NULL
) STRICT;
CREATE INDEX content_body ON content (body);

CREATE TABLE message (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id),
    uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    -- 1 \Seen, 2 \Answered, 4 \Flagged, 8 \Deleted, 16 \Draft
    flags INTEGER NOT NULL,
    keywords INTEGER NOT NULL,
    -- INTERNALDATE
    received INTEGER NOT NULL,
    -- SAVEDATE (RFC 8514)
    saved INTEGER NOT NULL,
    -- prefix and body
    size INTEGER NOT NULL,
    content INTEGER NOT NULL REFERENCES content (id),
    PRIMARY KEY (mailbox, uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX message_modseq ON message (mailbox, modseq);
CREATE INDEX message_content ON message (content);

-- UIDs that went, for QRESYNC (RFC 7162 §3.2).
CREATE TABLE vanished (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    modseq INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (mailbox, modseq, first)
) STRICT, WITHOUT ROWID;

-- Contents and bodies that may have lost their last user; looked at again before they are taken away.
CREATE TABLE loose_content (id INTEGER PRIMARY KEY) STRICT;
CREATE TABLE loose_body (id INTEGER PRIMARY KEY) STRICT;

CREATE TABLE job (
    id INTEGER PRIMARY KEY,
    mail_id TEXT NOT NULL,
    -- Reverse path without angle brackets; empty for <>.
    sender TEXT NOT NULL,
    -- 0 7BIT, 1 8BITMIME, 2 BINARYMIME
    body_type INTEGER NOT NULL,
    utf8 INTEGER NOT NULL,
    -- 0 not given, 1 FULL, 2 HDRS (RFC 3461 §4.3)
    ret INTEGER NOT NULL,
    envid TEXT,
    require_tls INTEGER NOT NULL,
    arrived INTEGER NOT NULL,
    size INTEGER NOT NULL,
    prefix BLOB NOT NULL,
    body INTEGER NOT NULL REFERENCES body (id)
) STRICT;
CREATE INDEX job_body ON job (body);

CREATE TABLE job_recipient (
    id INTEGER PRIMARY KEY,
    job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    address TEXT NOT NULL,
    -- Where it goes; recipients of one job and one domain travel together.
    domain TEXT NOT NULL,
    -- 0 not given, 1 NEVER, else the sum of 2 SUCCESS, 4 FAILURE, 8 DELAY (RFC 3461 §4.1)
    notify INTEGER NOT NULL,
    orcpt_kind TEXT,
    orcpt TEXT,
    -- 0 waiting, 1 delivered, 2 failed
    state INTEGER NOT NULL,
    due INTEGER NOT NULL,
    -- Who works on it, and until when that counts; 0 and 0: nobody.
    lease INTEGER NOT NULL,
    lease_until INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    delay_told INTEGER,
    last_at INTEGER,
    last_host TEXT,
    last_code INTEGER,
    last_status TEXT,
    last_text TEXT
) STRICT;
CREATE INDEX job_recipient_job ON job_recipient (job, domain);
-- When a row can next be taken: at its due time, or when its lease has run out.
CREATE INDEX job_recipient_due ON job_recipient (max(due, lease_until)) WHERE state = 0;
