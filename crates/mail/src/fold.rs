//! Lines of lawful length: header fields folded, paragraphs wrapped (RFC 5322 §2.1.1).

/// Longest line that is written where there is a blank to break it at.
pub(crate) const LINE_MAX: usize = 78;
/// Longest line that may be passed on, without CRLF (RFC 5321 §4.5.3.1.6).
pub(crate) const PASSED_LINE_MAX: usize = 998;
/// Room that is left for the name of a field on its first line.
const NAME_ROOM: usize = 20;

/// Puts the words of a field's value on lines; runs of blanks become one.
pub(crate) fn value(text: &str) -> String {
    lay_out(text, "\r\n ", NAME_ROOM)
}

/// Adds a paragraph with `\n` at line ends, every line indented.
pub(crate) fn paragraph(out: &mut String, indent: &str, text: &str) {
    out.push_str(indent);
    out.push_str(&lay_out(text, &format!("\n{indent}"), indent.len()));
    out.push('\n');
}

/// Words parted by blanks, or by `next` where the line would be too long. The first line has `taken` octets already.
fn lay_out(text: &str, next: &str, taken: usize) -> String {
    let mut out = String::new();
    let mut line = taken;
    for piece in text.split_ascii_whitespace().flat_map(pieces) {
        if !out.is_empty() && line + 1 + piece.len() > LINE_MAX {
            out.push_str(next);
            line = next.trim_start_matches(['\r', '\n']).len();
        } else if !out.is_empty() {
            out.push(' ');
            line += 1;
        }
        out.push_str(piece);
        line += piece.len();
    }
    out
}

/// A word that no line could hold, cut into pieces that lines can.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let mut end = rest.len().min(PASSED_LINE_MAX - LINE_MAX);
        while !rest.is_char_boundary(end) {
            end -= 1;
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_at_blanks_and_cuts_endless_words() {
        assert_eq!(value("a  b\tc"), "a b c");
        assert_eq!(value(""), "");
        let long = "word ".repeat(40);
        let folded = value(&long);
        assert!(folded.split("\r\n").all(|line| line.len() <= LINE_MAX));
        assert_eq!(folded.replace("\r\n ", " "), long.trim_end());
        let endless = "é".repeat(3000);
        assert!(value(&endless).split("\r\n").all(|line| line.len() <= PASSED_LINE_MAX));
        let mut text = String::new();
        paragraph(&mut text, "    ", &long);
        assert!(text.lines().all(|line| line.starts_with("    word") && line.len() <= LINE_MAX));
    }
}
