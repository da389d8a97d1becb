//! Patterns of LIST: `*` is anything, `%` anything within one level (RFC 9051 §6.3.9).

use storage::DELIMITER;

/// A pattern together with the reference in front of it.
pub(crate) struct Pattern {
    chars: Vec<char>,
}

impl Pattern {
    pub(crate) fn new(reference: &str, pattern: &str) -> Self {
        let mut chars: Vec<char> = reference.chars().chain(pattern.chars()).collect();
        // Wildcards in a row mean the same as the wider of them; joined, matching stays cheap.
        chars.dedup_by(|next, kept| {
            let join = matches!((*kept, *next), ('*' | '%', '*' | '%'));
            if join && *next == '*' {
                *kept = '*';
            }
            join
        });
        Self { chars }
    }

    /// Whether levels that are only levels are asked for: `%` is the last of it (RFC 9051 §6.3.9).
    pub(crate) fn asks_for_levels(&self) -> bool {
        self.chars.last() == Some(&'%')
    }

    /// Whether `name` fits. INBOX fits in any case.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let inbox = name == "INBOX" || name.starts_with("INBOX/");
        let name: Vec<char> = name.chars().collect();
        let fold = if inbox { "INBOX".len() } else { 0 };
        matches_from(&self.chars, &name, fold)
    }
}

/// Walks the states of the pattern over the name, one set of places at a time: no backtracking.
fn matches_from(pattern: &[char], name: &[char], fold: usize) -> bool {
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    skip_wildcards(pattern, &mut places);
    for (at, c) in name.iter().enumerate() {
        let mut next = vec![false; pattern.len() + 1];
        for (place, _) in places.iter().enumerate().filter(|(_, on)| **on) {
            match pattern.get(place) {
                Some('*') => next[place] = true,
                Some('%') => next[place] = *c != DELIMITER,
                Some(want) if want == c || (at < fold && want.eq_ignore_ascii_case(c)) => {
                    next[place + 1] = true
                }
                _ => {}
            }
        }
        skip_wildcards(pattern, &mut next);
        places = next;
    }
    places[pattern.len()]
}

/// A wildcard may stand for nothing.
fn skip_wildcards(pattern: &[char], places: &mut [bool]) {
    for at in 0..pattern.len() {
        if places[at] && matches!(pattern[at], '*' | '%') {
            places[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (reference, pattern, name, want) in [
            ("", "*", "a/b", true),
            ("", "%", "a", true),
            ("", "%", "a/b", false),
            ("", "%/%", "a/b", true),
            ("", "a/%", "a/b", true),
            ("a/", "%", "a/b", true),
            ("a/", "%", "b", false),
            ("", "inbox", "INBOX", true),
            ("", "inb%", "INBOX", true),
            ("", "inbox/x", "INBOX/x", true),
            ("", "inbox/X", "INBOX/x", false),
            ("", "sent", "Sent", false),
            ("", "a*c", "a/b/c", true),
            ("", "a%c", "a/b/c", false),
            ("", "*%*%x", "abc", false),
            ("", "%*", "a/b", true),
            ("", "a", "ab", false),
            ("", "ab", "a", false),
            ("", "", "", true),
        ] {
            assert_eq!(Pattern::new(reference, pattern).matches(name), want, "{reference}{pattern} {name}");
        }
    }
}
