//! Standards are cited in one spelling, `RFC 5321 §4.5.2`, and each is listed in docs/rfc.md.

use crate::{Problem, sources};
use std::collections::BTreeSet;

const DOCUMENT: &str = "docs/rfc.md";

pub(crate) fn check() -> Vec<Problem> {
    let Some(document) = sources::file(DOCUMENT) else { return vec![format!("{DOCUMENT} is missing")] };
    let listed = listed(&document.text);
    let mut problems = Vec::new();
    let mut missing = BTreeSet::new();
    for source in sources::rust() {
        for (number, line) in
            source.text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("//"))
        {
            let place = format!("{}:{}", source.path, number + 1);
            if let Some(wrong) = misspelt(line) {
                problems.push(format!("{place}: write `RFC 5321 §4.5.2`, not `{wrong}`"));
            }
            for rfc in citations(line) {
                if !listed.contains(&rfc) && missing.insert(rfc) {
                    problems.push(format!("{place}: RFC {rfc} is not listed in {DOCUMENT}"));
                }
            }
        }
    }
    problems
}

/// The numbers in the first column of the table.
fn listed(text: &str) -> BTreeSet<u32> {
    text.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
}

/// All `RFC nnnn` of a line.
fn citations(line: &str) -> Vec<u32> {
    let tails = line.match_indices("RFC ").map(|(at, mark)| &line[at + mark.len()..]);
    tails.filter_map(|tail| digits(tail).parse().ok()).collect()
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

/// A citation in another spelling.
fn misspelt(line: &str) -> Option<String> {
    for (at, _) in line.match_indices("RFC") {
        let tail = &line[at + 3..];
        let number = digits(tail.trim_start_matches(['-', ' ']));
        // `RFC822` without a blank is a name in IMAP.
        if number.len() < 3 || tail.starts_with("822") {
            continue;
        }
        let end = tail.find(number).unwrap_or(0) + number.len();
        let after = tail[end..].trim_start_matches([',', ' ']).to_ascii_lowercase();
        let section = ["section ", "sec. ", "s. "].iter().any(|word| after.starts_with(word));
        if !tail.starts_with(' ') || section || tail[end..].starts_with(", §") {
            return Some(line[at..].chars().take(20).collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling() {
        for (line, wrong) in [
            ("// RFC 5321 §4.5.2", false),
            ("// (RFC 5321 §4.5.2, RFC 6531)", false),
            ("// the RFC says", false),
            ("// RFC822.SIZE", false),
            ("// RFC5321", true),
            ("// RFC-5321", true),
            ("// RFC 5321, section 4", true),
            ("// RFC 5321 Section 4", true),
        ] {
            assert_eq!(misspelt(line).is_some(), wrong, "{line}");
        }
        assert_eq!(citations("// RFC 5321 §4, RFC 6531)"), [5321, 6531]);
        assert_eq!(
            listed("| RFC | title |\n|---|---|\n| 5321 | SMTP |\n").into_iter().collect::<Vec<_>>(),
            [5321]
        );
    }
}
