//! What local programs leave out: the header, From, and the domain behind a name.

use mail::{Address, Domain, header};

/// Fields in which a name without a domain is one of this machine.
const ADDRESSES: [&str; 13] = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Bcc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Resent-Cc",
    "Resent-Bcc",
    "Errors-To",
    "Disposition-Notification-To",
];
/// Longest full name that is used, in characters.
const NAME_MAX: usize = 200;

/// The message with a header, with From, and with a domain behind each name. Lines end in CR LF.
pub(super) fn complete(message: &[u8], domain: &Domain, own: &Address, full_name: Option<&str>) -> Vec<u8> {
    let length =
        if begins_with_header(message) { header::length(message).unwrap_or(message.len()) } else { 0 };
    let (head, body) = message.split_at(length);
    let mut out = Vec::with_capacity(message.len() + 200);
    if header::find(head, "From").is_none() {
        out.extend_from_slice(from_field(own, full_name).as_bytes());
    }
    for field in header::fields(head) {
        let raw = &head[field.start..field.end];
        match raw.iter().position(|octet| *octet == b':') {
            Some(colon) if ADDRESSES.iter().any(|name| field.is(name)) => {
                out.extend_from_slice(&raw[..=colon]);
                out.extend_from_slice(&addresses(&raw[colon + 1..], domain));
            }
            _ => out.extend_from_slice(raw),
        }
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

/// Whether the first line is a field, or the blank line that ends an empty header.
fn begins_with_header(message: &[u8]) -> bool {
    let line = message.split(|octet| *octet == b'\r').next().unwrap_or_default();
    let Some(colon) = line.iter().position(|octet| *octet == b':') else {
        return line.is_empty() && !message.is_empty();
    };
    let name = line[..colon].trim_ascii_end();
    !name.is_empty() && name.iter().all(|octet| (b'!'..=b'~').contains(octet))
}

fn from_field(own: &Address, full_name: Option<&str>) -> String {
    let name: String =
        full_name.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    match name.trim() {
        "" => format!("From: {own}\r\n"),
        name => format!("From: \"{}\" <{own}>\r\n", name.replace('\\', "\\\\").replace('"', "\\\"")),
    }
}

/// What stands at a place of an address field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Quotes,
    Brackets,
    Comment(u32),
}

/// The value of a field with a domain behind each name that has none.
pub(super) fn addresses(value: &[u8], domain: &Domain) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 40);
    let (mut begin, mut inside, mut escaped) = (0, Inside::Nothing, false);
    for (at, octet) in value.iter().enumerate() {
        if std::mem::take(&mut escaped) {
            continue;
        }
        inside = match (inside, octet) {
            (Inside::Quotes | Inside::Comment(_), b'\\') => {
                escaped = true;
                inside
            }
            (Inside::Quotes, b'"') => Inside::Nothing,
            (Inside::Quotes, _) => inside,
            (Inside::Comment(depth), b'(') => Inside::Comment(depth.saturating_add(1)),
            (Inside::Comment(1), b')') => Inside::Nothing,
            (Inside::Comment(depth), b')') => Inside::Comment(depth - 1),
            (Inside::Comment(_), _) => inside,
            (_, b'"') if inside == Inside::Nothing => Inside::Quotes,
            (Inside::Nothing, b'(') => Inside::Comment(1),
            (Inside::Nothing, b'<') => Inside::Brackets,
            (Inside::Brackets, b'>') => Inside::Nothing,
            (Inside::Nothing, b',' | b';' | b':') => {
                one(
                    &value[begin..at],
                    domain,
                    if *octet == b':' { Kind::GroupName } else { Kind::Entry },
                    &mut out,
                );
                out.push(*octet);
                begin = at + 1;
                inside
            }
            _ => inside,
        };
    }
    one(&value[begin..], domain, Kind::Entry, &mut out);
    out
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    GroupName,
}

/// One entry: the name in brackets, or the only word outside of comments.
fn one(entry: &[u8], domain: &Domain, kind: Kind, out: &mut Vec<u8>) {
    let place = if kind == Kind::GroupName { None } else { place_of_name(entry) };
    match place {
        Some(end) => {
            out.extend_from_slice(&entry[..end]);
            out.extend_from_slice(format!("@{domain}").as_bytes());
            out.extend_from_slice(&entry[end..]);
        }
        None => out.extend_from_slice(entry),
    }
}

/// Where the name ends that lacks a domain.
fn place_of_name(entry: &[u8]) -> Option<usize> {
    let (mut words, mut end, mut depth, mut quoted, mut in_word) = (0, 0, 0_u32, false, false);
    let mut at = 0;
    while at < entry.len() {
        let octet = entry[at];
        match octet {
            b'\\' if quoted || depth > 0 => at += 1,
            b'"' if depth == 0 => {
                quoted = !quoted;
                in_word = true;
            }
            _ if quoted => {}
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            b'<' => return place_in_brackets(entry, at),
            b' ' | b'\t' | b'\r' | b'\n' => {
                words += usize::from(std::mem::take(&mut in_word));
            }
            b'@' => return None,
            _ => in_word = true,
        }
        at += 1;
        if in_word {
            end = at.min(entry.len());
        }
    }
    (words + usize::from(in_word) == 1 && !quoted).then_some(end)
}

fn place_in_brackets(entry: &[u8], open: usize) -> Option<usize> {
    let close = open + entry[open..].iter().position(|octet| *octet == b'>')?;
    let inner = entry[open + 1..close].trim_ascii();
    let is_bare = !inner.is_empty() && !inner.contains(&b'@') && !inner.iter().any(u8::is_ascii_whitespace);
    is_bare.then(|| open + 1 + entry[open + 1..close].trim_ascii_end().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        Domain::parse("box.example").unwrap()
    }

    #[test]
    fn names_get_a_domain() {
        for (value, want) in [
            (" root\r\n", " root@box.example\r\n"),
            ("root (Cron Daemon)", "root@box.example (Cron Daemon)"),
            ("Cron <root>", "Cron <root@box.example>"),
            ("<root >", "<root@box.example >"),
            ("a@b.example", "a@b.example"),
            ("a@b.example, bob,\r\n\tcarol", "a@b.example, bob@box.example,\r\n\tcarol@box.example"),
            ("friends: bob, a@b.example;", "friends: bob@box.example, a@b.example;"),
            ("undisclosed-recipients:;", "undisclosed-recipients:;"),
            ("\"a, b\" <c>", "\"a, b\" <c@box.example>"),
            ("\"a b\"", "\"a b\"@box.example"),
            ("(x, \\) y) bob", "(x, \\) y) bob@box.example"),
            ("two words", "two words"),
            ("Joe <>", "Joe <>"),
            ("", ""),
            ("\"open", "\"open"),
            ("a <b", "a <b"),
            ("(((", "((("),
        ] {
            let got = addresses(value.as_bytes(), &domain());
            assert_eq!(String::from_utf8(got).unwrap(), want, "{value:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_added() {
        let own = Address::parse("www@box.example").unwrap();
        for (message, name, want) in [
            ("", None, "From: www@box.example\r\n\r\n"),
            ("hello\r\n", None, "From: www@box.example\r\n\r\nhello\r\n"),
            ("\r\nhello: x\r\n", None, "From: www@box.example\r\n\r\nhello: x\r\n"),
            (
                "Subject: x\r\n\r\nhello\r\n",
                Some("A \"B\"\r\n C"),
                "From: \"A \\\"B\\\" C\" <www@box.example>\r\nSubject: x\r\n\r\nhello\r\n",
            ),
            ("Subject: x\r\n", None, "From: www@box.example\r\nSubject: x\r\n\r\n"),
            (
                "To: root\r\nfrom: bob\r\n\r\nx",
                None,
                "To: root@box.example\r\nfrom: bob@box.example\r\n\r\nx",
            ),
            (
                "Hello: everybody, all\r\n\r\nx",
                None,
                "From: www@box.example\r\nHello: everybody, all\r\n\r\nx",
            ),
            ("Dear all: x y\r\n", None, "From: www@box.example\r\n\r\nDear all: x y\r\n"),
        ] {
            let got = complete(message.as_bytes(), &domain(), &own, name);
            assert_eq!(String::from_utf8(got).unwrap(), want, "{message:?}");
        }
    }
}
