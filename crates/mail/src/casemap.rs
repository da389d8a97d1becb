//! The collation `i;unicode-casemap` (RFC 5051), by which all texts are compared: I18NLEVEL=1 (RFC 5255 §4.3).
//!
//! Each character becomes its titlecase, and that what it is composed of. So case makes no difference in any script, nor
//! does it whether an accent was written as one character with its letter or behind it. What a character was composed of is
//! not folded again, as the standard has it.

use unicode_normalization::char::decompose_compatible;

/// The text as it is compared: substring, equality and order are then those of the octets.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    fold_onto(&mut out, text, usize::MAX);
    out
}

/// Adds the folded text to `out`, and stops with the character that makes `out` longer than `most` octets: what is
/// composed of much grows when it is folded.
pub fn fold_onto(out: &mut String, text: &str, most: usize) {
    if text.is_ascii() {
        let room = most.saturating_sub(out.len()).min(text.len());
        let start = out.len();
        out.push_str(&text[..room]);
        out[start..].make_ascii_uppercase();
        return;
    }
    for c in text.chars() {
        if out.len() >= most {
            return;
        }
        if c.is_ascii() {
            out.push(c.to_ascii_uppercase());
        } else {
            decompose_compatible(titlecase(c), |part| out.push(part));
        }
    }
}

/// Simple titlecase: one character for one (UnicodeData, field 14).
fn titlecase(c: char) -> char {
    match c {
        // Digraphs have a case of their own between capital and small.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals, but no sentence begins with one.
        '\u{10d0}'..='\u{10ff}' => c,
        _ => {
            let mut capital = c.to_uppercase();
            match (capital.next(), capital.next()) {
                (Some(one), None) => one,
                _ => with_iota(c),
            }
        }
    }
}

/// Greek with iota subscript: the capital is two characters, the titlecase one. Other characters that become several
/// have no simple mapping.
fn with_iota(c: char) -> char {
    let offset = match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => 0,
    };
    char::from_u32(u32::from(c) + offset).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_and_composition_make_no_difference() {
        for (a, b) in [
            ("Grüße", "GRÜßE"),
            ("caf\u{e9}", "CAFE\u{301}"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("ДОБРЫЙ День", "добрый день"),
            ("ǆ", "Ǆ"),
            ("ᾳ", "ᾼ"),
            ("Ａｂ", "aB"),
            ("각", "\u{1100}\u{1161}\u{11a8}"),
            ("a\u{a0}b", "A B"),
            ("ı", "I"),
            ("ſ", "S"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} {b}");
        }
        for (a, b) in [("ß", "ss"), ("e", "é"), ("o", "ø"), ("ა", "Ა"), ("и", "й"), ("ﬁ", "FI")] {
            assert_ne!(fold(a), fold(b), "{a} {b}");
        }
    }

    #[test]
    fn is_done_character_by_character_and_once() {
        for c in (0..=0x0010_ffff).filter_map(char::from_u32) {
            let one = fold(&c.to_string());
            assert_eq!(fold(&format!("x{c}y")), format!("X{one}Y"), "{:x}", u32::from(c));
            assert!(!one.is_empty());
        }
    }
}
