//! What clients see of header fields in UTF-8 that have not said that they understand it: ENVELOPE in ASCII
//! (RFC 6855 §8), after the manner of RFC 6858. The octets of a message itself never change.

/// Said instead of an address that ASCII cannot hold (RFC 6858 §2.1).
const LOCAL: &[u8] = b"invalid";
const DOMAIN: &[u8] = b"internationalized-address.invalid";

/// A piece of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// `(`, `)`, blanks, atoms.
    Other(Vec<u8>),
    /// A quoted string or a literal, by what it holds.
    Text(Vec<u8>),
}

/// `structured` with all strings in ASCII: words in UTF-8 become encoded words (RFC 2047), addresses are named by their
/// display names. Octets that are no UTF-8 stay as they are.
pub(crate) fn ascii(structured: Vec<u8>) -> Vec<u8> {
    if structured.is_ascii() {
        return structured;
    }
    let Some(mut pieces) = split(&structured) else { return structured };
    for at in 0..pieces.len() {
        let Piece::Text(text) = &pieces[at] else { continue };
        if text.is_ascii() || std::str::from_utf8(text).is_err() {
            continue;
        }
        match address(&pieces, at) {
            // A host of NIL begins a group, whose name is a text.
            Some(first) if !is(pieces.get(first + 6), b"NIL") => rename(&mut pieces, first),
            _ => pieces[at] = Piece::Text(encoded(text)),
        }
    }
    join(&pieces)
}

fn encoded(text: &[u8]) -> Vec<u8> {
    mail::words::encode(&String::from_utf8_lossy(text)).into_bytes()
}

/// Where the four strings of an address begin, if the one at `at` is its local part or its domain.
fn address(pieces: &[Piece], at: usize) -> Option<usize> {
    // `(name route local domain)`: seven pieces from the first string on, blanks between.
    [4, 6].into_iter().filter_map(|back| at.checked_sub(back)).find(|first| is_address(pieces, *first))
}

/// Whether the pieces from `first` on are what stands in the parentheses of an address.
fn is_address(pieces: &[Piece], first: usize) -> bool {
    let Some(before) = first.checked_sub(1).and_then(|at| pieces.get(at)) else { return false };
    let opens = matches!(before, Piece::Other(other) if other.ends_with(b"("));
    let value = |at| matches!(pieces.get(at), Some(Piece::Text(_))) || is(pieces.get(at), b"NIL");
    let blank = |at| is(pieces.get(at), b" ");
    let closes = matches!(pieces.get(first + 7), Some(Piece::Other(other)) if other.starts_with(b")"));
    opens
        && closes
        && [0, 2, 4, 6].iter().all(|n| value(first + n))
        && [1, 3, 5].iter().all(|n| blank(first + n))
}

fn is(piece: Option<&Piece>, text: &[u8]) -> bool {
    matches!(piece, Some(Piece::Other(other)) if other == text)
}

fn rename(pieces: &mut [Piece], first: usize) {
    let text = |at: usize| match &pieces[at] {
        Piece::Text(text) => String::from_utf8_lossy(text).into_owned(),
        Piece::Other(_) => String::new(),
    };
    let address = format!("{}@{}", text(first + 4), text(first + 6));
    let name = mail::words::decode(text(first).as_bytes());
    let name = if name.is_empty() { address } else { format!("{name} <{address}>") };
    pieces[first] = Piece::Text(encoded(name.as_bytes()));
    pieces[first + 4] = Piece::Text(LOCAL.to_vec());
    pieces[first + 6] = Piece::Text(DOMAIN.to_vec());
}

/// `None`: it is not a response that we would write.
fn split(structured: &[u8]) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = structured;
    while let Some(first) = rest.first() {
        let (piece, after) = match first {
            b'"' => quoted(rest)?,
            b'{' => literal(rest)?,
            b' ' => (Piece::Other(vec![b' ']), &rest[1..]),
            _ => {
                let parenthesis = |b: &u8| matches!(b, b'(' | b')');
                let end = |b: &u8| matches!(b, b'"' | b'{' | b' ') || parenthesis(b) != parenthesis(first);
                let at = rest.iter().position(end).unwrap_or(rest.len());
                (Piece::Other(rest[..at].to_vec()), &rest[at..])
            }
        };
        pieces.push(piece);
        rest = after;
    }
    Some(pieces)
}

fn quoted(rest: &[u8]) -> Option<(Piece, &[u8])> {
    let mut text = Vec::new();
    let mut octets = rest.iter().enumerate().skip(1);
    while let Some((at, octet)) = octets.next() {
        match octet {
            b'"' => return Some((Piece::Text(text), &rest[at + 1..])),
            b'\\' => text.push(*octets.next()?.1),
            other => text.push(*other),
        }
    }
    None
}

fn literal(rest: &[u8]) -> Option<(Piece, &[u8])> {
    let end = rest.iter().position(|b| *b == b'\n')?;
    let len: usize = std::str::from_utf8(rest.get(1..end.checked_sub(2)?)?).ok()?.parse().ok()?;
    let from = end + 1;
    let to = from.checked_add(len)?;
    Some((Piece::Text(rest.get(from..to)?.to_vec()), &rest[to..]))
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Other(other) => out.extend_from_slice(other),
            Piece::Text(text) => imap_proto::response::string(text, &mut out),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes() {
        let word = mail::words::encode;
        let address =
            format!("(\"{}\" NIL \"invalid\" \"internationalized-address.invalid\")", word("ü@b.example"));
        for (from, want) in [
            ("(NIL \"x\" NIL)", "(NIL \"x\" NIL)".to_owned()),
            ("(\"d\" {7}\r\nGrüße)", format!("(\"d\" \"{}\")", word("Grüße"))),
            (
                "(NIL {2}\r\nü ((NIL NIL \"a\" \"b\"))((NIL NIL {2}\r\nü \"b.example\")) NIL)",
                format!("(NIL \"{}\" ((NIL NIL \"a\" \"b\"))({address}) NIL)", word("ü")),
            ),
            (
                "(((NIL NIL {2}\r\nü NIL)(NIL NIL \"x\" \"y.z\")(NIL NIL NIL NIL)) NIL)",
                format!("(((NIL NIL \"{}\" NIL)(NIL NIL \"x\" \"y.z\")(NIL NIL NIL NIL)) NIL)", word("ü")),
            ),
        ] {
            assert_eq!(String::from_utf8(ascii(from.as_bytes().to_vec())).unwrap(), want, "{from}");
        }
        assert!(word("ü").starts_with("=?"));
    }

    #[test]
    fn what_is_no_utf8_or_no_response_stays() {
        for from in [&b"(\"a\" {1}\r\n\xff)"[..], b"{9}\r\n\xc3\xbc", b"\"\xc3\xbc", b"{x}\r\n\xc3\xbc"] {
            assert_eq!(ascii(from.to_vec()), from);
        }
    }

    /// Whatever is written, strings keep their places.
    #[test]
    fn envelopes_of_messages() {
        let message = "From: J\u{f6}rg <j\u{f6}rg@b\u{fc}cher.example>\r\nTo: a@x.example, \u{fc} <b@y.example>\r\n\
                       Subject: \u{65e5}\u{672c} \"x\"\r\nMessage-ID: <\u{fc}@x>\r\n\r\nx\r\n";
        let analysis = mail::mime::analyse(&mut message.as_bytes()).unwrap();
        let told = ascii(analysis.envelope);
        assert!(told.is_ascii());
        let told = String::from_utf8(told).unwrap();
        assert!(told.contains("NIL \"invalid\" \"internationalized-address.invalid\""), "{told}");
        assert!(told.contains("\"b\" \"y.example\""), "{told}");
    }
}
