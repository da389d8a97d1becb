//! What programs write, as lines of a message: ends of lines, the line of a mailbox file, NUL, lines that are too long.

/// Longest line that leaves here, in octets without its end (RFC 5321 §4.5.3.1.6).
pub const LINE_MAX: usize = 998;

/// Lines that end in CR LF, none longer than [`LINE_MAX`], without NUL. Any of CR LF, LF and CR ends a line of the input: a
/// CR alone comes from programs that show their progress. A line `From …` at the top, of a mailbox file, is left out.
pub fn to_wire(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 32 + 2);
    let mut rest = text;
    if rest.starts_with(b"From ") {
        rest = next(&mut rest).1;
    }
    while !rest.is_empty() {
        let (line, after) = next(&mut rest);
        push(&mut out, line);
        rest = after;
    }
    out
}

/// The first line, and what comes after it.
fn next<'a>(text: &mut &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let end = text.iter().position(|octet| matches!(octet, b'\r' | b'\n')).unwrap_or(text.len());
    let width = match &text[end..] {
        [b'\r', b'\n', ..] => 2,
        [] => 0,
        _ => 1,
    };
    (&text[..end], &text[end + width..])
}

/// A line that is too long goes on behind a blank on the next one, which in a header is a fold.
fn push(out: &mut Vec<u8>, line: &[u8]) {
    let mut length = 0;
    for octet in line.iter().filter(|octet| **octet != 0) {
        // No character of UTF-8 is cut.
        let is_inside = octet & 0xc0 == 0x80;
        if length >= LINE_MAX - 3 && !is_inside || length >= LINE_MAX {
            out.extend_from_slice(b"\r\n ");
            length = 1;
        }
        out.push(*octet);
        length += 1;
    }
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_cr_lf() {
        for (text, want) in [
            ("", ""),
            ("a", "a\r\n"),
            ("a\nb\n", "a\r\nb\r\n"),
            ("a\r\nb\r\n", "a\r\nb\r\n"),
            ("10%\r20%\r\n\n", "10%\r\n20%\r\n\r\n"),
            ("a\n\rb", "a\r\n\r\nb\r\n"),
            ("From x Thu\nSubject: y\n\nFrom z\n", "Subject: y\r\n\r\nFrom z\r\n"),
            ("From: x\n", "From: x\r\n"),
            ("a\0b\n", "ab\r\n"),
        ] {
            assert_eq!(String::from_utf8(to_wire(text.as_bytes())).unwrap(), want, "{text:?}");
        }
    }

    #[test]
    fn long_lines_are_broken_between_characters() {
        for piece in ["x", "é", "€", "😀"] {
            let text = to_wire(piece.repeat(3000).as_bytes());
            let text = String::from_utf8(text).expect("no character is cut");
            assert!(text.split("\r\n").all(|line| line.len() <= LINE_MAX), "{piece}");
            assert_eq!(text.replace("\r\n ", "").trim_end(), piece.repeat(3000));
        }
        let bytes = to_wire(&[0xbf; 5000]);
        assert!(bytes.split(|octet| *octet == b'\n').all(|line| line.len() <= LINE_MAX + 1));
    }
}
