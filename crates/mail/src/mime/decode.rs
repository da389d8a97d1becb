//! Transfer encodings, and from the octets of a part to text (RFC 2045 §6).
//!
//! Lenient as readers must be: what is broken is passed over, and what can be read is read.

use crate::words::from_charset;
use mail_parser::decoders::html::html_to_text;

/// How the octets of a part are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// `7bit`, `8bit`, `binary`, or none named: the octets are what they are.
    Identity,
    Base64,
    QuotedPrintable,
    /// An encoding that is not known; the content cannot be read (RFC 2045 §6.4).
    Unknown,
}

impl Encoding {
    /// By its name in the Content-Transfer-Encoding field.
    pub fn named(name: &str) -> Self {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "7bit" | "8bit" | "binary" => Self::Identity,
            "base64" => Self::Base64,
            "quoted-printable" => Self::QuotedPrintable,
            _ => Self::Unknown,
        }
    }
}

/// The content of a part, its transfer encoding taken off. `None` if the encoding is not known.
pub fn decode(encoding: Encoding, raw: &[u8]) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Identity => Some(raw.to_vec()),
        Encoding::Base64 => Some(base64(raw)),
        Encoding::QuotedPrintable => Some(quoted_printable(raw)),
        Encoding::Unknown => None,
    }
}

/// The text of a part: decoded, in Unicode, and without markup if it is HTML. Empty if its encoding is not known.
///
/// The caller bounds `raw`; text cut in the middle is read up to the cut.
pub fn text(kind: super::Kind, encoding: Encoding, charset: &str, raw: &[u8]) -> String {
    let Some(octets) = decode(encoding, raw) else { return String::new() };
    let text = from_charset(charset, &octets);
    if kind == super::Kind::Html { html_to_text(&text) } else { text }
}

/// Longest line of quoted-printable, with the `=` of a soft line break (RFC 2045 §6.7).
const QUOTED_LINE_MAX: usize = 76;
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes base64 (RFC 2045 §6.8). Octets outside the alphabet are passed over; `=` ends a run, and a new one may follow.
pub fn base64(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for octet in text {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

/// Writes base64 without line breaks.
pub fn to_base64(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len().div_ceil(3) * 4);
    for three in octets.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, b| (bits << 8) | u32::from(*b)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let letter = BASE64[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= three.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

/// Decodes quoted-printable (RFC 2045 §6.7). A `=` that begins no escape is kept; blanks at line ends go.
pub fn quoted_printable(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for line in text.split_inclusive(|b| *b == b'\n') {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let ending = &line[content.len()..];
        let content = if ending.is_empty() { content } else { content.trim_ascii_end() };
        let (content, ending) = match content.strip_suffix(b"=") {
            Some(soft) => (soft, &b""[..]),
            None => (content, ending),
        };
        let mut at = 0;
        while at < content.len() {
            if content[at] == b'='
                && let Some(octet) = hex(content.get(at + 1..at + 3))
            {
                out.push(octet);
                at += 3;
            } else {
                out.push(content[at]);
                at += 1;
            }
        }
        out.extend_from_slice(ending);
    }
    out
}

/// Writes text with `\n` at line ends as quoted-printable.
pub fn to_quoted_printable(text: &str) -> String {
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let mut width = 0;
        for (at, octet) in content.bytes().enumerate() {
            let last = at + 1 == content.len();
            let plain = (octet.is_ascii_graphic() && octet != b'=') || (octet == b' ' && !last);
            let written = if plain { char::from(octet).to_string() } else { format!("={octet:02X}") };
            if width + written.len() >= QUOTED_LINE_MAX {
                out.push_str("=\r\n");
                width = 0;
            }
            out.push_str(&written);
            width += written.len();
        }
        if line.ends_with('\n') {
            out.push_str("\r\n");
        }
    }
    out
}

/// Two hex digits, in either case.
pub(crate) fn hex(digits: Option<&[u8]>) -> Option<u8> {
    let digits = digits?;
    if digits.len() != 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    #[test]
    fn base64_there_and_back() {
        for (octets, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(to_base64(octets.as_bytes()), text);
            assert_eq!(base64(text.as_bytes()), octets.as_bytes());
        }
        assert_eq!(base64(b"Zm\r\n9v!Yg"), b"foob");
        assert_eq!(base64(b"Zg==Zm8="), b"ffo");
    }

    #[test]
    fn quoted_printable_is_read_leniently() {
        for (text, want) in [
            ("a=3Db", "a=b"),
            ("a=\r\nb", "ab"),
            ("a= \r\nb", "ab"),
            ("a  \r\nb", "a\r\nb"),
            ("a=3db=zz=", "a=b=zz"),
            ("=", ""),
            ("a\nb\n", "a\nb\n"),
        ] {
            assert_eq!(String::from_utf8(quoted_printable(text.as_bytes())).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn quoted_printable_there_and_back() {
        for text in ["", "plain\n", "grüße =\nends with a blank \n", &"ü".repeat(100)] {
            let written = to_quoted_printable(text);
            assert!(written.is_ascii() && written.split("\r\n").all(|line| line.len() <= QUOTED_LINE_MAX));
            assert_eq!(quoted_printable(written.as_bytes()), text.replace('\n', "\r\n").as_bytes());
        }
    }

    #[test]
    fn text_of_parts() {
        for (kind, encoding, charset, raw, want) in [
            (Kind::Plain, "7bit", "us-ascii", &b"hello"[..], "hello"),
            (Kind::Plain, "8bit", "", "grüße".as_bytes(), "grüße"),
            (Kind::Plain, "8bit", "us-ascii", b"gr\xfc\xdfe", "grüße"),
            (Kind::Plain, "base64", "utf-8", b"Z3LDvMOfZQ==", "grüße"),
            (Kind::Plain, "Quoted-Printable", "iso-8859-1", b"gr=FC=DFe", "grüße"),
            (Kind::Html, "7bit", "utf-8", b"<p>a <b>b</b> &amp; c</p>", "a b & c"),
            (Kind::Plain, "x-uuencode", "", b"begin", ""),
        ] {
            let got = text(kind, Encoding::named(encoding), charset, raw);
            assert_eq!(got.trim(), want, "{raw:?}");
        }
    }
}
