//! String literals of a Rust file.

/// Each literal with the number of the line it begins on. Enough of Rust's grammar to tell strings, raw strings,
/// characters and comments apart.
pub(crate) fn literals(text: &str) -> Vec<(usize, String)> {
    let octets = text.as_bytes();
    let mut out = Vec::new();
    let mut at = 0;
    while at < octets.len() {
        match octets[at] {
            b'/' if octets[at..].starts_with(b"//") => at += length_to(&text[at..], "\n"),
            b'/' if octets[at..].starts_with(b"/*") => at += length_to(&text[at..], "*/"),
            b'\'' => at += character(&octets[at..]),
            b'r' if !follows_word(octets, at) && raw_mark(&octets[at..]).is_some() => {
                let hashes = raw_mark(&octets[at..]).unwrap_or(0);
                let start = at + hashes + 2;
                let close = format!("\"{}", "#".repeat(hashes));
                let end = text[start..].find(&close).map_or(text.len(), |len| start + len);
                out.push((line_of(text, at), text[start..end].to_owned()));
                at = end + close.len();
            }
            b'"' => {
                let end = at + 1 + quoted(&octets[at + 1..]);
                out.push((line_of(text, at), text[at + 1..end].to_owned()));
                at = end + 1;
            }
            _ => at += 1,
        }
    }
    out
}

fn length_to(text: &str, mark: &str) -> usize {
    text.find(mark).map_or(text.len(), |at| at + mark.len())
}

/// Length of a character literal, or of the mark of a lifetime.
fn character(octets: &[u8]) -> usize {
    match octets.get(1) {
        Some(b'\\') => octets.iter().skip(3).position(|b| *b == b'\'').map_or(2, |at| at + 4),
        _ if octets.get(2) == Some(&b'\'') => 3,
        _ => 1,
    }
}

fn follows_word(octets: &[u8], at: usize) -> bool {
    at > 0 && (octets[at - 1].is_ascii_alphanumeric() && octets[at - 1] != b'b' || octets[at - 1] == b'_')
}

/// `r"`, `r#"`: how many hashes.
fn raw_mark(octets: &[u8]) -> Option<usize> {
    let hashes = octets[1..].iter().take_while(|b| **b == b'#').count();
    (octets.get(1 + hashes) == Some(&b'"')).then_some(hashes)
}

fn quoted(octets: &[u8]) -> usize {
    let mut at = 0;
    while at < octets.len() && octets[at] != b'"' {
        at += if octets[at] == b'\\' { 2 } else { 1 };
    }
    at.min(octets.len())
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_literals_from_the_rest() {
        let text = "let a = \"x\\\"y\"; // \"no\"\nlet b: &'static str = r#\"raw \"q\" \"#; /* \"no\" */\nlet c = '\"'; let d = '\\''; f(\"last\")";
        let found = literals(text);
        assert_eq!(found, [(1, "x\\\"y".to_owned()), (2, "raw \"q\" ".to_owned()), (3, "last".to_owned())]);
    }
}
