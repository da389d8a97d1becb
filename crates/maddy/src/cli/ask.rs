//! Questions to the person at the terminal: passwords, and whether something shall really be removed.

use crate::cli::Trouble;
use auth::Secret;
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// How a password is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    Once,
    /// A new one, which a slip would make useless.
    Twice,
}

/// A password, from the terminal without showing it; from the first line of standard input where that is no terminal.
pub(crate) fn password(account: &str, asking: Asking) -> Result<Secret, Trouble> {
    if !io::stdin().is_terminal() {
        return from_input();
    }
    let first = prompt(&format!("Password for {account}: "))?;
    if asking == Asking::Twice && prompt("Again: ")?.reveal() != first.reveal() {
        return Err(Trouble::new("the two passwords differ; nothing was changed"));
    }
    Ok(first)
}

fn prompt(words: &str) -> Result<Secret, Trouble> {
    let typed = rpassword::prompt_password(words)
        .map_err(|error| Trouble::new(format!("the terminal gives no password: {error}")))?;
    checked(&Secret::new(typed))
}

fn from_input() -> Result<Secret, Trouble> {
    let mut line = Vec::new();
    let most = auth::PASSWORD_MAX as u64 + 2;
    io::stdin().lock().take(most).read_until(b'\n', &mut line)?;
    while line.ends_with(b"\n") || line.ends_with(b"\r") {
        line.pop();
    }
    let text = String::from_utf8(line).map_err(|_| Trouble::new("the password is not UTF-8 text"))?;
    if text.is_empty() {
        return Err(Trouble::new("no password came on standard input; write it there as one line"));
    }
    checked(&Secret::new(text))
}

fn checked(typed: &Secret) -> Result<Secret, Trouble> {
    auth::prepare(typed.reveal()).map_err(|error| Trouble::new(error.to_string()))
}

/// Asks before something is gone for good.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Trouble> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Trouble::new(format!("{question} Add --yes to do it without being asked.")));
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut line = String::new();
    io::stdin().lock().take(100).read_line(&mut line)?;
    match line.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(Trouble::new("nothing was changed")),
    }
}
