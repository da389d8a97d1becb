//! `$(name)` and `$(env:NAME)` within text.

use std::collections::HashMap;

/// Longest text that substitution may make, in octets.
const SUBSTITUTED_MAX: usize = 64 * 1024;

/// The variables that `let` has set so far, and the environment.
pub(crate) struct Variables<'e> {
    pub(crate) set: HashMap<String, String>,
    pub(crate) env: &'e dyn Fn(&str) -> Option<String>,
}

/// Text with everything put in; `None` if it has nothing to put in. `$$(` stands for `$(` itself.
pub(crate) fn substitute(text: &str, variables: &Variables<'_>) -> Option<Result<String, (String, String)>> {
    text.contains("$(").then(|| replace(text, variables))
}

fn replace(text: &str, variables: &Variables<'_>) -> Result<String, (String, String)> {
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("$(") {
        made.push_str(&rest[..at]);
        let inside = &rest[at + 2..];
        if made.ends_with('$') {
            made.push('(');
            rest = inside;
            continue;
        }
        let end = inside.find(')').ok_or_else(|| {
            ("`$(` has no `)`".to_owned(), "write $$( for the two characters themselves".to_owned())
        })?;
        made.push_str(&value_of(&inside[..end], variables)?);
        if made.len() > SUBSTITUTED_MAX {
            return Err(("the text becomes too long".to_owned(), String::new()));
        }
        rest = &inside[end + 1..];
    }
    made.push_str(rest);
    Ok(made)
}

fn value_of(name: &str, variables: &Variables<'_>) -> Result<String, (String, String)> {
    if let Some(name) = name.strip_prefix("env:") {
        return (variables.env)(name).ok_or_else(|| {
            (format!("the environment variable {name} is not set"), "set it before the start".to_owned())
        });
    }
    variables.set.get(name).cloned().ok_or_else(|| {
        let mut known: Vec<String> = variables.set.keys().cloned().collect();
        known.sort();
        let help = match crate::section::nearest(name, &known) {
            Some(near) => format!("did you mean $({near})?"),
            None => format!("set it above this line: let {name} \"…\"; the environment is $(env:NAME)"),
        };
        (format!("the variable `{name}` is not set"), help)
    })
}
