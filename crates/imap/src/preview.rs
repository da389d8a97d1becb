//! The first words of a message, for lists of messages (RFC 8970).

use crate::body::Body;
use mail::mime::{self, Encoding, Kind, Part};

/// Octets of a part that are looked at. An HTML mail may begin with many styles.
const READ: u64 = 32 * 1024;
/// Parts that are tried until one has words in it.
const PARTS_MAX: usize = 4;
/// Longest preview in characters (RFC 8970 §3.3).
const LENGTH: usize = 200;

/// The preview; empty if there is no text, or none that can be read.
pub(crate) async fn of(body: &Body) -> String {
    for part in body.parts().texts().take(PARTS_MAX) {
        if is_unreadable(part) {
            continue;
        }
        let Ok(raw) = body.read_range(&part.body, READ).await else { return String::new() };
        let words = shorten(&mime::text(part, whole(part, &raw)));
        if !words.is_empty() {
            return words;
        }
    }
    String::new()
}

/// An encoding that is not known gives no text.
fn is_unreadable(part: &Part) -> bool {
    part.encoding == Encoding::Unknown || part.kind == Kind::Other
}

/// Without the half letter or tag at the end of what was cut off.
fn whole<'a>(part: &Part, raw: &'a [u8]) -> &'a [u8] {
    if (raw.len() as u64) < READ {
        return raw;
    }
    let at = match part.encoding {
        Encoding::Base64 => return raw,
        _ => raw.iter().rposition(|octet| *octet == b'\n'),
    };
    at.map_or(raw, |at| &raw[..at])
}

/// One line, blanks made single, quoted lines and lines without words left out, at most [`LENGTH`] characters.
fn shorten(text: &str) -> String {
    let mut out = String::new();
    let mut length = 0;
    let lines = text.lines().filter(|line| {
        let line = line.trim_start();
        !line.starts_with('>') && line.chars().any(char::is_alphanumeric)
    });
    for word in lines.flat_map(str::split_whitespace) {
        let blank = usize::from(!out.is_empty());
        for c in std::iter::repeat_n(' ', blank).chain(word.chars().filter(|c| !c.is_control())) {
            if length == LENGTH {
                return out.trim_end().to_owned();
            }
            out.push(c);
            length += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_one_line() {
        for (text, want) in [
            ("", ""),
            ("Hello,\r\n\r\n  how\tare you?\r\n", "Hello, how are you?"),
            ("> you wrote\r\n>> that\r\nYes.\r\n-- \r\nx", "Yes. x"),
            ("\u{0}a\u{7}b", "ab"),
            ("-----\n***\n", ""),
        ] {
            assert_eq!(shorten(text), want, "{text:?}");
        }
        let long = "ö".repeat(1000);
        assert_eq!(shorten(&long).chars().count(), LENGTH);
        assert_eq!(shorten(&"abc ".repeat(100)).chars().count(), LENGTH - 1, "no blank at the end");
    }
}
