"""Two accounts and a mailbox that they share, with Python's own library.

usage: sharing.py CA OWNER OTHER PASSWORD IMAPS
"""

import imaplib
import ssl
import sys

ca, owner, other, password = sys.argv[1:5]
port = int(sys.argv[5])
tls = ssl.create_default_context(cafile=ca)
TEAM = f'"Other Users/{owner}/Team"'


def fine(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def refused(answer, code):
    """Whether it is NO with this code."""
    kind, data = answer
    assert kind == "NO" and data[0].startswith(f"[{code}]".encode()), answer


def log_in(user):
    imap = imaplib.IMAP4_SSL("localhost", port, ssl_context=tls, timeout=30)
    fine(imap.login(user, password))
    assert "ACL" in imap.capabilities and "RIGHTS=TEXK" in imap.capabilities, imap.capabilities
    return imap


def names(imap, pattern):
    return [line.decode().rsplit('"/" ', 1)[1] for line in fine(imap.list('""', pattern)) if line]


alice, bob = log_in(owner), log_in(other)
assert b'"Other Users/"' in fine(bob.namespace())[0]
fine(alice.create("Team"))
fine(alice.append("Team", r"(\Flagged)", None, b"Subject: one\r\n\r\none\r\n"))
assert names(bob, '"Other Users/*"') == []
refused(bob.select(TEAM), "NONEXISTENT")

# To look at only.
fine(alice.setacl("Team", other, "lr"))
assert fine(alice.getacl("Team"))[0].split(b" ")[0] in (b'"Team"', b"Team")
assert names(bob, '"Other Users/*"') == [TEAM]
assert fine(bob.myrights(TEAM))[0].endswith(b" lr")
try:
    bob.select(TEAM)
    raise SystemExit("a mailbox that may only be read was opened to be written to")
except imaplib.IMAP4.readonly:
    pass
assert fine(bob.select(TEAM, readonly=True)) == [b"1"]
assert b"Subject: one" in fine(bob.fetch("1", "(FLAGS BODY[])"))[0][1]
assert rb"\Seen" not in fine(bob.fetch("1", "(FLAGS)"))[0]
refused(bob.append(TEAM, None, None, b"Subject: two\r\n\r\ntwo\r\n"), "NOPERM")
refused(bob.getacl(TEAM), "NOPERM")
refused(bob.setacl(TEAM, other, "lrswipkxtea"), "NOPERM")
fine(bob.close())

# To work in.
fine(alice.setacl("Team", other, "+switek"))
assert sorted(fine(bob.myrights(TEAM))[0].decode().rsplit(" ", 1)[1]) == sorted("lrswitekcd")
fine(bob.append(TEAM, r"(\Seen)", None, b"Subject: two\r\n\r\ntwo\r\n"))
assert fine(bob.select(TEAM)) == [b"2"]
fine(bob.store("1", "+FLAGS", r"(\Seen \Answered)"))
assert fine(bob.search(None, "SUBJECT", "two")) == [b"2"]
fine(bob.copy("2", "INBOX"))
fine(bob.store("2", "+FLAGS", r"(\Deleted)"))
assert fine(bob.expunge()) == [b"2"]
fine(bob.create(TEAM[:-1] + '/Notes"'))
assert names(alice, '"Team*"') == ['"Team"', '"Team/Notes"']
refused(bob.delete(TEAM), "NOPERM")
assert fine(alice.select("Team")) == [b"1"]
flags = fine(alice.fetch("1", "(FLAGS)"))[0]
assert all(flag in flags for flag in (rb"\Seen", rb"\Answered", rb"\Flagged")), flags
assert fine(bob.select("INBOX")) == [b"1"]

# And taken back.
fine(alice.deleteacl("Team", other))
assert names(bob, '"Other Users/*"') == [TEAM[:-1] + '/Notes"'], names(bob, '"Other Users/*"')
refused(bob.select(TEAM), "NONEXISTENT")
alice.logout()
bob.logout()
print("all fine")
