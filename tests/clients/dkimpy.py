"""Verifies a message with dkimpy. Its signatures and its ARC chain; keys come from a zone file."""
import re
import sys

import dkim

zone = {}
for line in open(sys.argv[1]):
    if not line.startswith(";"):
        name, strings = line.split(" IN TXT ", 1)
        zone[name.rstrip(".")] = "".join(re.findall(r'"([^"]*)"', strings)).encode()


def look_up(name, timeout=5):
    return zone.get(name.decode().rstrip(".").lower())


message = sys.stdin.buffer.read()
count = len(re.findall(rb"(?im)^DKIM-Signature:", message))
verifier = dkim.DKIM(message)
for at in range(count):
    try:
        print("dkim", verifier.verify(idx=at, dnsfunc=look_up))
    except dkim.ValidationError:
        print("dkim", False)
status, sets, reason = dkim.ARC(message).verify(dnsfunc=look_up)
print("arc", status.decode() if status else status, len(sets or []), reason)
