//! SQL stands only in `storage`, and its parameters are numbered: SQLite binds `$2, $1` in order of appearance. What bounds a
//! result is written `LIMIT ?1 + 0`: a bare parameter there is looked at by the planner, so that each run would plan anew.

use crate::literals::literals;
use crate::{Problem, sources};

/// What a statement begins with.
const VERBS: [&str; 6] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "REPLACE "];
/// What a statement also has.
const PARTS: [&str; 5] = [" FROM ", " INTO ", " SET ", " AS ", " VALUES"];

pub(crate) fn check() -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources::rust().iter().filter(|source| source.path.starts_with("crates/")) {
        for (line, literal) in literals(source.code()) {
            if plans_anew(&literal) {
                problems.push(format!("{}:{line}: write LIMIT ?n + 0 (see xtask/src/sql.rs)", source.path));
            }
            if !is_statement(&literal) {
                continue;
            }
            let place = format!("{}:{line}", source.path);
            if source.crate_name() != Some("storage") {
                problems.push(format!("{place}: SQL stands only in storage"));
            }
            if !parameters_are_numbered(&literal) {
                problems.push(format!("{place}: parameters are written ?1, ?2 …"));
            }
        }
    }
    problems
}

fn is_statement(literal: &str) -> bool {
    let text = literal.trim_start_matches(|c: char| c.is_whitespace() || c == '\\' || c == 'n');
    let text = text.replace("\\n", " ").replace('\n', " ");
    VERBS.iter().any(|verb| text.starts_with(verb)) && PARTS.iter().any(|part| text.contains(part))
}

fn parameters_are_numbered(statement: &str) -> bool {
    let octets = statement.as_bytes();
    let digit_after = |at: usize| octets.get(at + 1).is_some_and(u8::is_ascii_digit);
    octets.iter().enumerate().all(|(at, octet)| match octet {
        b'?' => digit_after(at),
        b'$' => !digit_after(at),
        _ => true,
    })
}

/// Whether a bare parameter bounds a result.
fn plans_anew(literal: &str) -> bool {
    literal.split("LIMIT ?").skip(1).any(|rest| {
        let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.starts_with(|c: char| c.is_ascii_digit()) && !behind.starts_with(" + 0")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_and_their_parameters() {
        for (text, statement, numbered) in [
            ("SELECT a FROM b WHERE c = ?1", true, true),
            ("\\n    UPDATE a SET b = ?", true, false),
            ("INSERT INTO a VALUES ($1)", true, false),
            ("SELECT \\\"INBOX\\\"", false, true),
            ("select a mailbox", false, true),
        ] {
            assert_eq!(is_statement(text), statement, "{text}");
            assert_eq!(parameters_are_numbered(text), numbered, "{text}");
        }
        for (text, want) in [
            ("SELECT a FROM b LIMIT ?2", true),
            ("(SELECT a FROM b LIMIT ?12) LIMIT ?1 + 0", true),
            ("SELECT a FROM b LIMIT ?12 + 0)", false),
            ("SELECT a FROM b LIMIT 5", false),
        ] {
            assert_eq!(plans_anew(text), want, "{text}");
        }
    }
}
