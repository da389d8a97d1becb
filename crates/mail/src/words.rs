//! Encoded words (RFC 2047) and charsets: header text to Unicode and back.

use crate::fold;
use crate::mime::decode::{base64, quoted_printable};
use mail_parser::decoders::charsets::map::charset_decoder;

/// Longest encoded word in characters (RFC 2047 §2).
const WORD_MAX: usize = 75;
/// Octets of text in one encoded word that we write: with `=?utf-8?B?`, `?=` and the name of a field before it
/// it stays below [`WORD_MAX`].
const WORD_OCTETS: usize = 36;

/// Longest encoded word in octets that is read. Many programs do not keep to [`WORD_MAX`].
pub(crate) const WORD_READ_MAX: usize = 1024;

/// Turns octets in a charset into text. An unknown or missing charset is taken as UTF-8 where it is that,
/// as Latin-1 where not.
pub fn from_charset(charset: &str, octets: &[u8]) -> String {
    let charset = charset.trim();
    let plain =
        ["", "utf-8", "utf8", "us-ascii", "ascii"].iter().any(|name| charset.eq_ignore_ascii_case(name));
    if !plain && let Some(decoder) = charset_decoder(charset.as_bytes()) {
        return decoder(octets);
    }
    if charset.to_ascii_lowercase().starts_with("utf") {
        return String::from_utf8_lossy(octets).into_owned();
    }
    guess(octets)
}

/// Text without a known charset.
fn guess(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|b| char::from(*b)).collect(),
    }
}

/// One encoded word, still encoded.
struct Word<'a> {
    charset: &'a str,
    encoding: u8,
    text: &'a [u8],
    /// How many octets it takes up.
    len: usize,
}

impl Word<'_> {
    fn decoded(&self) -> Option<Vec<u8>> {
        if self.encoding.eq_ignore_ascii_case(&b'b') {
            return Some(base64(self.text));
        }
        // `Q` writes a blank as `_` (RFC 2047 §4.2).
        let text: Vec<u8> = self.text.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
        Some(quoted_printable(&text))
    }
}

/// Reads `=?charset*language?encoding?text?=` at the start of `octets` (RFC 2047 §2, RFC 2231 §5).
fn word(octets: &[u8]) -> Option<Word<'_>> {
    let rest = octets.strip_prefix(b"=?")?;
    let rest = &rest[..rest.len().min(WORD_READ_MAX)];
    let mark = rest.iter().position(|b| *b == b'?')?;
    let charset = std::str::from_utf8(&rest[..mark]).ok()?;
    let charset = charset.split('*').next().unwrap_or(charset);
    if charset.is_empty() || !charset.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let [encoding @ (b'b' | b'B' | b'q' | b'Q'), b'?', text @ ..] = &rest[mark + 1..] else { return None };
    let end = text.windows(2).position(|pair| pair == b"?=")?;
    let len = 2 + mark + 1 + 2 + end + 2;
    Some(Word { charset, encoding: *encoding, text: &text[..end], len })
}

/// Decodes the encoded words of an unfolded value; blanks between two of them vanish (RFC 2047 §6.2).
///
/// Neighbours of one charset are joined before they are decoded, for many programs cut characters in two.
/// Control characters become blanks.
pub fn decode(value: &[u8]) -> String {
    let mut out = String::new();
    let mut pending: Option<(String, Vec<u8>)> = None;
    let mut plain = Vec::new();
    let mut at = 0;
    while at < value.len() {
        let found = if value[at] == b'=' { word(&value[at..]) } else { None };
        let Some((found, octets)) = found.and_then(|word| word.decoded().map(|octets| (word, octets))) else {
            plain.push(value[at]);
            at += 1;
            continue;
        };
        let after_word = pending.is_some() && plain.trim_ascii().is_empty();
        match &mut pending {
            Some((charset, held)) if after_word && charset.eq_ignore_ascii_case(found.charset) => {
                held.extend_from_slice(&octets);
            }
            _ => {
                flush(&mut out, &mut pending);
                if !after_word {
                    out.push_str(&guess(&plain));
                }
                pending = Some((found.charset.to_owned(), octets));
            }
        }
        plain.clear();
        at += found.len;
    }
    flush(&mut out, &mut pending);
    out.push_str(&guess(&plain));
    out.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

fn flush(out: &mut String, pending: &mut Option<(String, Vec<u8>)>) {
    if let Some((charset, octets)) = pending.take() {
        out.push_str(&from_charset(&charset, &octets));
    }
}

/// Writes text for a header: ASCII as it is but folded, anything else as encoded words on lines of their own.
/// Control characters become blanks.
pub fn encode(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_ascii() && !text.contains("=?") {
        return fold::value(&text);
    }
    let mut words = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let mut end = WORD_OCTETS.min(rest.len());
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let word = format!("=?utf-8?B?{}?=", crate::mime::decode::to_base64(&rest.as_bytes()[..end]));
        debug_assert!(word.len() <= WORD_MAX);
        words.push(word);
        rest = &rest[end..];
    }
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes() {
        for (input, want) in [
            ("plain", "plain"),
            ("=?utf-8?Q?caf=C3=A9?=", "café"),
            ("=?UTF-8?B?Y2Fmw6k=?= au lait", "café au lait"),
            ("=?iso-8859-1?q?caf=E9?=", "café"),
            ("a =?utf-8?q?b?= =?utf-8?q?c?= d", "a bc d"),
            // A character cut in two by its writer.
            ("=?utf-8?B?w6k=?= =?utf-8?Q?=C3?=\t=?utf-8?Q?=A9?=", "éé"),
            ("=?utf-8?q?a_b?=", "a b"),
            ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?shift_jis?B?k/qWew==?=", "日本"),
            ("=?nowhere?q?caf=E9?=", "café"),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?a", "=?utf-8?q?a"),
            ("=?utf-8?q?=0D=0AX:_y?=", "X: y"),
            ("=?", "=?"),
        ] {
            assert_eq!(decode(input.as_bytes()), want, "{input}");
        }
        assert_eq!(decode(b"caf\xe9"), "café");
        assert_eq!(decode("café".as_bytes()), "café");
    }

    #[test]
    fn encodes_what_it_decodes() {
        for text in ["plain", "café", "äöü ".repeat(40).trim_end(), "=?utf-8?q?not_this?="] {
            let encoded = encode(text);
            assert!(encoded.is_ascii());
            assert!(encoded.split("\r\n").all(|line| line.len() <= 76), "{encoded}");
            let unfolded = encoded.replace("\r\n", "");
            assert_eq!(decode(unfolded.as_bytes()), text);
        }
        assert_eq!(encode("a\r\nB: c"), "a B: c");
    }
}
