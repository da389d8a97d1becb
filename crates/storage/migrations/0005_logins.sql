-- What SCRAM needs to know of a password (RFC 5802): all secrets of an account share its salt, so that one question fits
-- them all. The keys are StoredKey and ServerKey, one after the other; NULL until the password is seen once.
ALTER TABLE credential ADD COLUMN scram_salt BLOB;
ALTER TABLE credential ADD COLUMN scram_iterations INTEGER;
ALTER TABLE credential ADD COLUMN scram_sha_1 BLOB;
ALTER TABLE credential ADD COLUMN scram_sha_256 BLOB;
CREATE INDEX credential_without_scram ON credential (name) WHERE scram_sha_256 IS NULL;

CREATE TABLE app_password (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    credential TEXT NOT NULL REFERENCES credential (name) ON DELETE CASCADE ON UPDATE CASCADE,
    name TEXT NOT NULL,
    -- SHA-256: there is nothing to guess in 140 random bits.
    digest BLOB NOT NULL,
    scram_sha_1 BLOB NOT NULL,
    scram_sha_256 BLOB NOT NULL,
    -- Words: what it is good for.
    scope TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    -- Within the hour.
    used INTEGER,
    UNIQUE (credential, name)
) STRICT;

-- Keys of client certificates with which somebody may log in.
CREATE TABLE login_certificate (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    credential TEXT NOT NULL REFERENCES credential (name) ON DELETE CASCADE ON UPDATE CASCADE,
    name TEXT NOT NULL,
    -- SHA-256 of the SubjectPublicKeyInfo.
    key BLOB NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER,
    UNIQUE (credential, name),
    UNIQUE (key, credential)
) STRICT;
