-- Who may do what with a mailbox besides its owner (RFC 4314).
CREATE TABLE acl (
    mailbox INTEGER NOT NULL REFERENCES mailbox (id) ON DELETE CASCADE,
    -- An account; 0: anyone.
    grantee INTEGER NOT NULL,
    -- 0: the rights are granted, 1: they are taken away.
    negative INTEGER NOT NULL,
    -- 1 l, 2 r, 4 s, 8 w, 16 i, 32 p, 64 k, 128 x, 256 t, 512 e, 1024 a
    rights INTEGER NOT NULL,
    PRIMARY KEY (mailbox, grantee, negative)
) STRICT, WITHOUT ROWID;
CREATE INDEX acl_grantee ON acl (grantee);

-- This name now stands above the mailboxes of other accounts. Where the new name is taken, the number makes it free.
UPDATE OR IGNORE mailbox SET name = 'My ' || name WHERE name = 'Other Users' OR name GLOB 'Other Users/*';
UPDATE OR IGNORE mailbox SET name = 'My Other Users ' || id || substr(name, 12)
    WHERE name = 'Other Users' OR name GLOB 'Other Users/*';
UPDATE OR IGNORE subscription SET name = 'My ' || name WHERE name = 'Other Users' OR name GLOB 'Other Users/*';
