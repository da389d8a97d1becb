//! What came of one look: how it is, why it matters, what to do.

use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use serde::Serialize;
use world::DnsError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    Good,
    /// It could be better.
    Note,
    Bad,
    /// It cannot be found out now.
    Unknown,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "WRONG",
            Self::Unknown => "unknown",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What was looked at, in one word that programs may rely on.
    pub(crate) check: &'static str,
    /// The name or address that it is about.
    pub(crate) about: String,
    pub(crate) state: State,
    /// How it is.
    pub(crate) what: String,
    /// Why it matters; empty where all is well.
    pub(crate) why: String,
    /// What to do; empty where all is well.
    pub(crate) fix: String,
}

impl Finding {
    pub(crate) fn good(check: &'static str, about: impl ToString, what: impl Into<String>) -> Self {
        Self::new(check, about, State::Good, what, "", "")
    }

    pub(crate) fn new(
        check: &'static str,
        about: impl ToString,
        state: State,
        what: impl Into<String>,
        why: &str,
        fix: impl Into<String>,
    ) -> Self {
        let (about, what) = (about.to_string(), what.into());
        Self { check, about, state, what, why: why.to_owned(), fix: fix.into() }
    }

    pub(crate) fn unknown(check: &'static str, about: impl ToString, error: &DnsError) -> Self {
        let why = "nothing can be said of it, and others may have the same trouble";
        Self::new(check, about, State::Unknown, error.to_string(), why, "try again; see `dns { server }`")
    }
}

/// Whether no name server answers, so that nothing else was asked of the DNS.
pub(crate) fn is_silent(findings: &[Finding]) -> bool {
    findings.iter().any(|one| one.check == "resolver" && one.state == State::Bad)
}

/// Prints findings. An error without words if something is wrong.
pub(crate) fn print(findings: &[Finding], all: bool, global: &Global) -> Result<(), Trouble> {
    let bad = findings.iter().filter(|one| one.state == State::Bad).count();
    if global.json {
        output::json(&findings)?;
    } else {
        output::octets(text(findings, all).as_bytes())?;
    }
    if bad > 0 { Err(Trouble::new("")) } else { Ok(()) }
}

fn text(findings: &[Finding], all: bool) -> String {
    let mut text = String::new();
    let mut order = [State::Bad, State::Unknown, State::Note].to_vec();
    if all {
        order.push(State::Good);
    }
    for state in order {
        for one in findings.iter().filter(|one| one.state == state) {
            let head = format!("{} ({})", one.check, one.about);
            text.push_str(&format!("{:<8} {head:<32} {}\n", state.word(), output::printable(&one.what)));
            for (word, line) in [("why", one.why.as_str()), ("do", one.fix.as_str())] {
                if !line.is_empty() {
                    text.push_str(&format!(
                        "         {:<4} {}\n",
                        format!("{word}:"),
                        output::printable(line)
                    ));
                }
            }
        }
    }
    let count = |state| findings.iter().filter(|one| one.state == state).count();
    text.push_str(&format!(
        "{} wrong, {} unknown, {} to note, {} as it should be\n",
        count(State::Bad),
        count(State::Unknown),
        count(State::Note),
        count(State::Good)
    ));
    text
}
