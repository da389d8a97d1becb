//! The one place that looks for the end of a line. A second line reader is a second smuggling hole.

/// What `take_line` found at the front of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// No whole line yet.
    Partial,
    /// A line without its CRLF; the second number is how many octets of the buffer it used.
    Whole(Vec<u8>, usize),
    /// A line that holds a bare CR or a bare LF; the number is how many octets up to and including its end
    /// (the bare LF, or the LF of the CRLF that follows the bare CR).
    Bare(usize),
    /// More than `most` octets and no end in sight.
    TooLong,
}

/// Looks for a line at the front of `buffer`. Only CRLF ends a line (RFC 5321 §2.3.8).
///
/// `most` bounds the line in octets, CRLF included.
pub fn take_line(buffer: &[u8], most: usize) -> Line {
    let seen = &buffer[..buffer.len().min(most)];
    let Some(lf) = seen.iter().position(|b| *b == b'\n') else {
        return if buffer.len() >= most { Line::TooLong } else { Line::Partial };
    };
    let line = &buffer[..lf];
    match line.split_last() {
        Some((b'\r', head)) if !head.contains(&b'\r') => Line::Whole(head.to_vec(), lf + 1),
        _ => Line::Bare(lf + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_crlf_ends_a_line() {
        for (input, want) in [
            (&b""[..], Line::Partial),
            (b"NOOP", Line::Partial),
            (b"NOOP\r", Line::Partial),
            (b"NOOP\r\nQ", Line::Whole(b"NOOP".to_vec(), 6)),
            (b"\r\n", Line::Whole(vec![], 2)),
            (b"NOOP\nQ", Line::Bare(5)),
            (b"NO\rOP\r\nQ", Line::Bare(7)),
            (b"NOOP\r\r\n", Line::Bare(7)),
            (b"\n", Line::Bare(1)),
            (b"0123456789", Line::TooLong),
            (b"01234567\r\n", Line::Whole(b"01234567".to_vec(), 10)),
            (b"012345678\r\n", Line::TooLong),
        ] {
            assert_eq!(take_line(input, 10), want, "{:?}", String::from_utf8_lossy(input));
        }
    }
}
