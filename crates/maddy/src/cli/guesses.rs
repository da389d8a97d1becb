//! `creds guesses`: what the daemon counts of failed logins.

use super::args::Global;
use super::login_args::GuessesCommand;
use crate::cli::{Connection, Trouble, output};
use crate::login::{GuessInfo, GuessLift};
use serde_json::{Value, json};

/// The daemon's operations: nothing is counted without one.
pub(crate) const GUESSES_LIST: &str = "creds-guesses-list";
pub(crate) const GUESSES_LIFT: &str = "creds-guesses-lift";

pub(crate) async fn run(command: &GuessesCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| match command {
        GuessesCommand::List => {
            let answer = server.ask_daemon(GUESSES_LIST, &Value::Null).await?;
            let list: Vec<GuessInfo> =
                serde_json::from_value(answer).map_err(|error| Trouble::new(error.to_string()))?;
            print(&list, global)
        }
        GuessesCommand::Lift { of } => {
            let lift = GuessLift { of: of.clone() };
            let lift = serde_json::to_value(lift).map_err(|error| Trouble::new(error.to_string()))?;
            server.ask_daemon(GUESSES_LIFT, &lift).await?;
            output::done(global, &json!({ "lifted": of }), &format!("what {of} failed at is forgotten"))
        }
    })
    .await
}

fn print(list: &[GuessInfo], global: &Global) -> Result<(), Trouble> {
    let row = |one: &GuessInfo| {
        let last = output::time(i64::try_from(one.last).unwrap_or(i64::MAX));
        let wait = match (one.kind.as_str(), one.wait) {
            (_, 0) => "no".to_owned(),
            // The account itself is never closed: only addresses that failed with it wait.
            ("account", _) => "who failed with it".to_owned(),
            (_, seconds) => format!("{seconds} s"),
        };
        vec![one.kind.clone(), output::printable(&one.of), one.failures.to_string(), last, wait]
    };
    let head = ["kind", "of", "failures", "last", "waits"];
    output::list(global, list, &head, row, "no failed login is remembered")
}
