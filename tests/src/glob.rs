//! Patterns for lines: `*` stands for any text.

/// Whether the whole text is like the pattern.
pub fn is_like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Panics unless the text is like the pattern.
#[track_caller]
pub fn assert_like(text: &str, pattern: &str) {
    assert!(is_like(text, pattern), "wanted something like\n  {pattern}\nbut it is\n  {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_text() {
        for (text, pattern, want) in [
            ("250 ok", "250 ok", true),
            ("250 ok", "250*", true),
            ("250 ok", "*ok", true),
            ("250 ok", "2*0*k", true),
            ("250 ok", "250", false),
            ("250 ok", "ok*", false),
            ("250 ok", "*o", false),
            ("aa", "a*a", true),
            ("a", "a*a", false),
            ("", "*", true),
            ("a\nb", "a*b", true),
        ] {
            assert_eq!(is_like(text, pattern), want, "{text} {pattern}");
        }
    }
}
