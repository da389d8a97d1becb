//! The house rules as a program: `cargo run -p xtask -- tidy`. Its tests run the same checks, so that
//! `cargo test` is the gate.

mod arrows;
mod book;
mod documents;
mod lengths;
mod lines;
mod literals;
mod rfc;
mod secrets;
mod sources;
mod sql;

use std::process::ExitCode;

/// One thing that is not as it should be: where, and what.
type Problem = String;

/// Looks at the whole workspace.
type Check = fn() -> Vec<Problem>;

/// Everything that is checked, by name.
const CHECKS: [(&str, Check); 9] = [
    ("arrows between crates", arrows::check),
    ("first lines and left-over words", lines::check),
    ("lengths of files", lengths::check),
    ("SQL", sql::check),
    ("line readers", lines::check_readers),
    ("secrets", secrets::check),
    ("RFC references", rfc::check),
    ("documents", documents::check),
    ("the book", book::check),
];

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() != Some("tidy") {
        println!("usage: cargo run -p xtask -- tidy");
        return ExitCode::from(2);
    }
    let mut found = 0;
    for (name, check) in CHECKS {
        let problems = check();
        found += problems.len();
        println!(
            "{name}: {}",
            if problems.is_empty() { "fine".to_owned() } else { problems.len().to_string() }
        );
        problems.iter().for_each(|problem| println!("    {problem}"));
    }
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[cfg(test)]
mod tests {
    fn none(problems: Vec<super::Problem>) {
        assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    }

    #[test]
    fn arrows_point_down() {
        none(super::arrows::check());
    }

    #[test]
    fn files_say_what_they_are_for() {
        none(super::lines::check());
    }

    #[test]
    fn files_stay_short() {
        none(super::lengths::check());
    }

    #[test]
    fn statements_are_in_storage_and_number_their_parameters() {
        none(super::sql::check());
    }

    #[test]
    fn secrets_are_masked() {
        none(super::secrets::check());
    }

    #[test]
    fn only_the_line_readers_read_lines() {
        none(super::lines::check_readers());
    }

    #[test]
    fn references_are_listed() {
        none(super::rfc::check());
    }

    #[test]
    fn documents_hold_together() {
        none(super::documents::check());
    }

    #[test]
    fn the_book_is_whole() {
        none(super::book::check());
    }
}
