//! ENVELOPE of a header, ready to send (RFC 9051 §7.5.2), and the strings of IMAP responses.

use crate::address_list::{self, Entry, Mailbox};
use crate::header;

/// Longest text that is sent in quotes; longer ones go as literals.
const QUOTED_MAX: usize = 1000;
/// Longest single value in an envelope, in octets.
const VALUE_MAX: usize = 16 * 1024;

/// Writes a string: in quotes where the grammar allows, else as a literal (RFC 9051 §4.3).
///
/// Never an empty literal, which stops some readers; and no NUL, which no string may hold.
pub(super) fn put_string(out: &mut Vec<u8>, value: &[u8]) {
    let quotable = |b: &u8| b.is_ascii() && !matches!(b, 0 | b'\r' | b'\n');
    if value.len() <= QUOTED_MAX && value.iter().all(quotable) {
        out.push(b'"');
        for octet in value {
            if matches!(octet, b'"' | b'\\') {
                out.push(b'\\');
            }
            out.push(*octet);
        }
        out.push(b'"');
        return;
    }
    let clean: Vec<u8> = value.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect();
    out.extend_from_slice(format!("{{{}}}\r\n", clean.len()).as_bytes());
    out.extend_from_slice(&clean);
}

/// Writes a string, or NIL.
pub(super) fn put_nstring(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) => put_string(out, value),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// The envelope of a header.
pub(super) fn envelope(header: &[u8]) -> Vec<u8> {
    let from = addresses(header, "from");
    let or_from = |list: Vec<u8>| if list == b"NIL" { from.clone() } else { list };
    let mut out = b"(".to_vec();
    put_nstring(&mut out, value(header, "date").as_deref());
    out.push(b' ');
    put_nstring(&mut out, value(header, "subject").as_deref());
    for list in [
        from.clone(),
        or_from(addresses(header, "sender")),
        or_from(addresses(header, "reply-to")),
        addresses(header, "to"),
        addresses(header, "cc"),
        addresses(header, "bcc"),
    ] {
        out.push(b' ');
        out.extend_from_slice(&list);
    }
    for name in ["in-reply-to", "message-id"] {
        out.push(b' ');
        put_nstring(&mut out, value(header, name).as_deref());
    }
    out.push(b')');
    out
}

/// The text of a field as written, unfolded.
fn value(header: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut value = header::find(header, name)?.unfolded();
    value.truncate(VALUE_MAX);
    Some(value)
}

/// The addresses of all fields of that name; NIL if there is none.
fn addresses(header: &[u8], name: &str) -> Vec<u8> {
    let mut list = Vec::new();
    let mut count = 0;
    for entry in
        header::fields(header).filter(|field| field.is(name)).flat_map(|f| address_list::parse(f.value))
    {
        if count >= address_list::MAILBOXES_MAX {
            break;
        }
        match entry {
            Entry::Mailbox(mailbox) => put_mailbox(&mut list, &mailbox),
            Entry::Group { name, members } => {
                count += members.len();
                list.extend_from_slice(b"(NIL NIL ");
                put_string(&mut list, &line(&name));
                list.extend_from_slice(b" NIL)");
                members.iter().for_each(|mailbox| put_mailbox(&mut list, mailbox));
                list.extend_from_slice(b"(NIL NIL NIL NIL)");
            }
        }
        count += 1;
    }
    if list.is_empty() {
        return b"NIL".to_vec();
    }
    [b"(".as_slice(), &list, b")"].concat()
}

/// A host of NIL would begin or end a group, so a missing domain is an empty string.
fn put_mailbox(out: &mut Vec<u8>, mailbox: &Mailbox) {
    out.push(b'(');
    put_nstring(out, mailbox.display.as_deref().map(line).as_deref());
    out.push(b' ');
    put_nstring(out, mailbox.route.as_deref().map(line).as_deref());
    out.push(b' ');
    put_string(out, &line(&mailbox.local));
    out.push(b' ');
    put_string(out, &line(&mailbox.domain));
    out.push(b')');
}

fn line(value: &[u8]) -> Vec<u8> {
    let mut line: Vec<u8> = value.iter().copied().filter(|b| !matches!(b, b'\r' | b'\n')).collect();
    line.truncate(VALUE_MAX);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(header: &str) -> String {
        String::from_utf8(envelope(header.as_bytes())).unwrap()
    }

    #[test]
    fn envelopes() {
        assert_eq!(shown(""), "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        assert_eq!(
            shown(
                "Date: Fri, 20 Nov 2026 07:30:00 +0000\r\nSubject: =?utf-8?q?x?=\r\n \"y\\\r\n\
                 From: Alice <a@b.c>\r\nTo: Team: x@y.z;\r\nCc:\r\nMessage-ID: <1@b.c>\r\nIn-Reply-To:\r\n\r\n"
            ),
            "(\"Fri, 20 Nov 2026 07:30:00 +0000\" \"=?utf-8?q?x?= \\\"y\\\\\" \
             ((\"Alice\" NIL \"a\" \"b.c\")) ((\"Alice\" NIL \"a\" \"b.c\")) ((\"Alice\" NIL \"a\" \"b.c\")) \
             ((NIL NIL \"Team\" NIL)(NIL NIL \"x\" \"y.z\")(NIL NIL NIL NIL)) NIL NIL \"\" \"<1@b.c>\")"
        );
        assert_eq!(
            shown("Subject: grüße\r\nTo: a@b\r\nTo: c\r\n\r\n"),
            "(NIL {7}\r\ngrüße NIL NIL NIL ((NIL NIL \"a\" \"b\")(NIL NIL \"c\" \"\")) NIL NIL NIL NIL)"
        );
    }

    #[test]
    fn strings_never_break_the_line() {
        for (value, want) in [
            (&b""[..], &b"\"\""[..]),
            (b"a\"b", b"\"a\\\"b\""),
            (b"a\0b", b"{3}\r\na b"),
            (b"a\rb", b"{3}\r\na\rb"),
            (b"\xff", b"{1}\r\n\xff"),
        ] {
            let mut out = Vec::new();
            put_string(&mut out, value);
            assert_eq!(out, want);
        }
    }
}
