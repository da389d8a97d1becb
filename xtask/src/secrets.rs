//! Secrets in the open: a type that can be printed by `Debug` holds none as a bare text, and none is compared with `==`.

use crate::{Problem, sources};

/// Words in the name of a field that holds a secret.
const WORDS: [&str; 6] = ["password", "passphrase", "secret", "private_key", "client_key", "salted"];
/// Words that say that it is something about one.
const ABOUT: [&str; 9] = ["_file", "_env", "_max", "_len", "_hash", "_time", "_at", "_letters", "_command"];
/// Types that show what they hold.
const BARE: [&str; 6] = ["String", "Vec<u8>", "Option<String>", "Option<Vec<u8>>", "&str", "&[u8]"];
/// The passwords of the demo, which are printed and protect nothing; a login for tests; and two answers of one person,
/// compared for that person.
const SHOWN: [&str; 3] =
    ["crates/maddy/src/demo/accounts.rs", "crates/auth/src/fake.rs", "crates/maddy/src/cli/ask.rs"];

pub(crate) fn check() -> Vec<Problem> {
    let ours = sources::rust().into_iter().filter(|source| {
        source.crate_name().is_some() && !source.is_test() && !SHOWN.contains(&source.path.as_str())
    });
    ours.flat_map(|source| in_file(&source.path, source.code())).collect()
}

fn in_file(path: &str, code: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut can_be_printed = false;
    for (number, line) in (1..).zip(code.lines()) {
        let trimmed = line.trim();
        if trimmed.starts_with("#[derive(") {
            can_be_printed = trimmed.contains("Debug");
        } else if line.starts_with('}') {
            can_be_printed = false;
        } else if can_be_printed && is_bare_secret(trimmed) {
            problems.push(format!(
                "{path}:{number}: `{trimmed}` is shown by Debug: give it a type that masks it"
            ));
        }
        if is_leaky_comparison(trimmed) {
            problems
                .push(format!("{path}:{number}: `{trimmed}` compares a secret in a time that depends on it"));
        }
    }
    problems
}

/// A field of a struct or variant, `name: Type,`.
fn is_bare_secret(line: &str) -> bool {
    let line =
        line.trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ").trim_start_matches("pub ");
    let Some((name, kind)) = line.split_once(": ") else { return false };
    let is_secret =
        WORDS.iter().any(|word| name.contains(word)) && !ABOUT.iter().any(|word| name.ends_with(word));
    is_secret && BARE.contains(&kind.trim_end_matches(','))
}

fn is_leaky_comparison(line: &str) -> bool {
    let secret = |side: &str| side.contains(".reveal()") || side.contains(".expose()");
    !line.starts_with("//")
        && [" == ", " != "]
            .iter()
            .any(|sign| line.split_once(sign).is_some_and(|(left, right)| secret(left) || secret(right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_in_the_open() {
        let code = "#[derive(Clone, Debug)]\nstruct A {\n    pub password: String,\n    password_file: String,\n    secret: Secret,\n}\n\
                    #[derive(Clone)]\nstruct B {\n    password: String,\n}\n\
                    fn f() {\n    if a.reveal() == b {}\n    let n = a.reveal().len();\n}\n";
        let found: Vec<String> =
            in_file("x", code).iter().map(|one| one.split('`').next().unwrap().to_owned()).collect();
        assert_eq!(found, ["x:3: ", "x:12: "]);
    }
}
