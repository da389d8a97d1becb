"""A day of a mail program, in Python's own libraries: send, list, file, flag, search, copy, move, delete.

usage: session.py CA USER PASSWORD SUBMISSION SUBMISSIONS IMAP IMAPS
"""

import email
import email.policy
import imaplib
import smtplib
import ssl
import sys
import time
from email.message import EmailMessage

ca, user, password = sys.argv[1:4]
submission, submissions, imap_port, imaps_port = map(int, sys.argv[4:8])
tls = ssl.create_default_context(cafile=ca)


def fine(answer):
    """The data of an answer that must be OK."""
    kind, data = answer
    assert kind == "OK", answer
    return data


def message(subject):
    mail = EmailMessage()
    mail["From"] = user
    mail["To"] = user
    mail["Subject"] = subject
    mail.set_content("Grüße aus Köln\n")
    mail.add_alternative("<p>Grüße aus <b>Köln</b></p>\n", subtype="html")
    mail.add_attachment(bytes(range(256)) * 40, maintype="application", subtype="octet-stream", filename="größe.bin")
    return mail


# Sending, over STARTTLS and over TLS.
with smtplib.SMTP("localhost", submission, timeout=30) as smtp:
    smtp.starttls(context=tls)
    smtp.login(user, password)
    smtp.send_message(message("Mittagessen für zwei"))
with smtplib.SMTP_SSL("localhost", submissions, context=tls, timeout=30) as smtp:
    smtp.login(user, password)
    smtp.send_message(message("second"))
    # The connection is still good after a mail.
    smtp.send_message(message("third"))

# Reading, over STARTTLS.
imap = imaplib.IMAP4("localhost", imap_port, timeout=30)
assert "LOGINDISABLED" in imap.capabilities, imap.capabilities
imap.starttls(ssl_context=tls)
assert "LOGINDISABLED" not in imap.capabilities, imap.capabilities
try:
    imap.login(user, "wrong")
    raise SystemExit("a wrong password was taken")
except imaplib.IMAP4.error:
    pass
fine(imap.login(user, password))

names = b" ".join(fine(imap.list()))
for name, use in [(b"Sent", b"\\Sent"), (b"Trash", b"\\Trash"), (b"INBOX", b"")]:
    assert name in names and use in names, names
fine(imap.create("Work/Projects"))
fine(imap.subscribe("Work/Projects"))
assert b"Work/Projects" in b" ".join(fine(imap.lsub()))

for _ in range(300):
    count = int(fine(imap.select("INBOX"))[0])
    if count == 3:
        break
    time.sleep(0.05)
assert count == 3, count

# What was sent is what is read, to the octet.
data = fine(imap.fetch("1", "(UID FLAGS RFC822.SIZE BODY.PEEK[])"))
raw = data[0][1]
assert str(len(raw)).encode() in data[0][0], data[0][0]
mail = email.message_from_bytes(raw, policy=email.policy.default)
assert mail["Subject"] == "Mittagessen für zwei", mail["Subject"]
assert mail["Message-ID"] and mail["Date"], mail.keys()
assert mail.get_body(("plain",)).get_content().strip() == "Grüße aus Köln"
attachment = next(mail.iter_attachments())
assert attachment.get_filename() == "größe.bin" and attachment.get_content() == bytes(range(256)) * 40

# One part by itself is the same part of the whole.
part = fine(imap.fetch("1", "(BODY.PEEK[2])"))[0][1]
assert part in raw and len(part) > 256 * 40
# imaplib cuts an answer at its literals.
pieces = fine(imap.fetch("1", "(BODYSTRUCTURE)"))
structure = b"".join(b"".join(piece) if isinstance(piece, tuple) else piece for piece in pieces)
assert b'"ALTERNATIVE"' in structure and b'"MIXED"' in structure, structure
assert "größe.bin".encode() in structure, structure

# Searching: by header, by decoded text, by flag.
assert fine(imap.search(None, "SUBJECT", "second")) == [b"2"]
imap.literal = "köln".encode()
assert fine(imap.search("UTF-8", "BODY")) == [b"1 2 3"]
imap.literal = "FÜR".encode()
assert fine(imap.search("UTF-8", "SUBJECT")) == [b"1"]
fine(imap.store("2", "+FLAGS", "(\\Seen $label1)"))
assert fine(imap.search(None, "SEEN")) == [b"2"]
assert fine(imap.search(None, "KEYWORD", "$label1")) == [b"2"]
assert fine(imap.search(None, "NOT", "SEEN", "SINCE", "1-Jan-2020")) == [b"1 3"]

# Filing: append, copy, move, delete.
when = imaplib.Time2Internaldate(1_700_000_000)
fine(imap.append("Work/Projects", "(\\Flagged)", when, message("filed").as_bytes().replace(b"\n", b"\r\n")))
fine(imap.uid("COPY", "2", "Work/Projects"))
assert "MOVE" in imap.capabilities and "UIDPLUS" in imap.capabilities
fine(imap.uid("MOVE", "3", "Work/Projects"))
fine(imap.store("1", "+FLAGS", "(\\Deleted)"))
# imaplib also keeps the EXPUNGE that MOVE brought.
gone = fine(imap.expunge())
assert gone == [b"3", b"1"], gone
assert int(fine(imap.select("INBOX"))[0]) == 1
assert int(fine(imap.select("Work/Projects", readonly=True))[0]) == 3
first = fine(imap.fetch("1", "(FLAGS INTERNALDATE)"))[0]
assert b"\\Flagged" in first, first
# As the same moment, in whatever zone.
assert time.mktime(imaplib.Internaldate2tuple(first)) == 1_700_000_000, first
fine(imap.close())
assert imap.logout()[0] == "BYE"

# A second session sees it all, over TLS from the first octet.
with imaplib.IMAP4_SSL("localhost", imaps_port, ssl_context=tls, timeout=30) as imap:
    fine(imap.login(user, password))
    status = fine(imap.status("Work/Projects", "(MESSAGES UNSEEN UIDNEXT)"))[0]
    assert b"MESSAGES 3" in status and b"UIDNEXT 4" in status, status
    fine(imap.rename("Work", "Done"))
    assert b"Done/Projects" in b" ".join(fine(imap.list()))
    fine(imap.delete("Done/Projects"))

print("all fine")
