//! `sendmail`: hands a message to the daemon, as programs of a machine have always done. The same program under the name
//! sendmail, or `maddy sendmail`.
//!
//! Nothing is kept here: where no daemon answers, the caller is told to try again (EX_TEMPFAIL), for a promise would have to be
//! kept by somebody.

mod flags;

use crate::cli::args::{Cli, Global};
use crate::cli::{Trouble, execute, speak};
use crate::config::Source;
use crate::local::{LocalOrder, Said};
use clap::Parser;
use flags::{End, Flags, Verbosity, Wish};
use mail::{Reply, Status};
use std::ffi::OsString;
use std::io::{self, BufRead, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use submission::local::{DIALOGUE_MESSAGE_MAX, Order, Recipients, converse};
use web::CallError;

/// Where a daemon of the system listens for programs that may not read its configuration.
const USUAL_SOCKET: &str = "/run/maddy/sendmail.sock";
/// Names under which the program is `sendmail`.
const NAMES: [&str; 3] = ["sendmail", "mailq", "newaliases"];

/// The exit statuses of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Usage = 64,
    Data = 65,
    NoUser = 67,
    NoHost = 68,
    Unavailable = 69,
    Software = 70,
    InputOutput = 74,
    Again = 75,
    NotAllowed = 77,
    Config = 78,
}

/// Why nothing was sent.
struct Failed {
    exit: Exit,
    text: String,
}

impl Failed {
    fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, text: text.into() }
    }

    /// What the daemon says of a message, as programs understand it.
    fn of(reply: &Reply) -> Self {
        let Status { subject, detail, .. } = reply.status_or_general();
        let exit = match (reply.is_permanent(), subject, detail) {
            (false, ..) => Exit::Again,
            (_, 1, 2) => Exit::NoHost,
            (_, 1, _) => Exit::NoUser,
            (_, 5, 4) => Exit::Usage,
            (_, 6, _) => Exit::Data,
            (_, 7, _) => Exit::NotAllowed,
            _ => Exit::Unavailable,
        };
        Self::new(exit, reply.to_string())
    }
}

/// Whether the program was called under one of the old names; gives that name and the arguments behind it.
pub(crate) fn called_as(mut arguments: impl Iterator<Item = OsString>) -> Option<(String, Vec<String>)> {
    let program = PathBuf::from(arguments.next()?);
    let name = program.file_name()?.to_str()?;
    let rest: Vec<String> = arguments.map(|one| one.to_string_lossy().into_owned()).collect();
    if NAMES.contains(&name) {
        return Some((name.to_owned(), rest));
    }
    // Its arguments are no options of ours, so they are not shown to the parser of ours.
    (rest.first().is_some_and(|one| one == "sendmail"))
        .then(|| ("sendmail".to_owned(), rest.into_iter().skip(1).collect()))
}

/// Does it; says on standard error what went wrong.
pub(crate) fn run(name: &str, arguments: &[String]) -> ExitCode {
    match carry_out(name, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed { exit, text }) => {
            speak(io::stderr(), format!("{name}: {}\n", text.trim_end()));
            ExitCode::from(exit as u8)
        }
    }
}

fn carry_out(name: &str, arguments: &[String]) -> Result<(), Failed> {
    let flags = Flags::read(name, arguments).map_err(|text| Failed::new(Exit::Usage, text))?;
    match flags.wish {
        Wish::Nothing => Ok(()),
        Wish::List => other(&flags, &["queue", "list"]),
        Wish::Flush => other(&flags, &["queue", "retry"]),
        Wish::Deliver => deliver(flags),
        Wish::Speak => {
            let socket = socket(&flags)?;
            let hand = |order, message| hand_over(&socket, order, message).map_err(into_reply);
            let done = converse(io::stdin().lock(), io::stdout().lock(), hand);
            done.map_err(|error| Failed::new(Exit::InputOutput, error.to_string()))
        }
    }
}

/// A command of `maddy` under its old name.
fn other(flags: &Flags, words: &[&str]) -> Result<(), Failed> {
    let mut line: Vec<OsString> = vec!["maddy".into()];
    if let Some(config) = &flags.config {
        line.extend(["--config".into(), config.clone().into_os_string()]);
    }
    line.extend(words.iter().map(OsString::from));
    let cli = Cli::try_parse_from(line).map_err(|error| Failed::new(Exit::Software, error.to_string()))?;
    execute(cli).map_err(|trouble| Failed::new(Exit::Unavailable, trouble.to_string()))
}

fn deliver(flags: Flags) -> Result<(), Failed> {
    if flags.order.recipients.is_empty() && flags.order.take == Recipients::Given {
        let text = "there are no recipients: name them, or take them from the header with -t";
        return Err(Failed::new(Exit::Usage, text));
    }
    let message = read_message(io::stdin().lock(), flags.end)?;
    let socket = socket(&flags)?;
    let verbosity = flags.verbosity;
    let id = hand_over(&socket, flags.order, message)?;
    if verbosity == Verbosity::Verbose {
        speak(io::stderr(), format!("{id} accepted; `maddy trace {id}` shows what becomes of it\n"));
    }
    Ok(())
}

/// Standard input to its end, or to a line with a lone dot.
fn read_message(mut input: impl BufRead, end: End) -> Result<Vec<u8>, Failed> {
    let broken = |error: io::Error| Failed::new(Exit::InputOutput, format!("standard input: {error}"));
    let most = DIALOGUE_MESSAGE_MAX as u64 + 1;
    let mut message = Vec::new();
    match end {
        End::Input => drop(input.take(most).read_to_end(&mut message).map_err(broken)?),
        End::Dot => loop {
            let begin = message.len();
            let left = most.saturating_sub(begin as u64);
            let got = input.by_ref().take(left).read_until(b'\n', &mut message).map_err(broken)?;
            if got == 0 {
                break;
            }
            if matches!(&message[begin..], b".\n" | b".\r\n" | b".") {
                message.truncate(begin);
                break;
            }
        },
    }
    if message.len() as u64 >= most {
        return Err(Failed::new(Exit::Unavailable, "the message is too large"));
    }
    Ok(message)
}

/// The daemon's socket: as the configuration says, where it may be read; else where a daemon of the system has it.
fn socket(flags: &Flags) -> Result<PathBuf, Failed> {
    let global = Cli::try_parse_from(["maddy", "version"]).map(|cli| cli.global);
    let global: Global = global.map_err(|error| Failed::new(Exit::Software, error.to_string()))?;
    let named = flags.config.clone();
    let is_named = named.is_some() || global.names_config();
    let source = Source { config: named.unwrap_or_else(|| global.config()), state_dir: None };
    match source.read_settings() {
        Ok(config) => Ok(config.sendmail_socket()),
        Err(problems) if is_named => Err(Failed::new(Exit::Config, Trouble::from(problems).to_string())),
        Err(_) => Ok(PathBuf::from(USUAL_SOCKET)),
    }
}

fn hand_over(socket: &std::path::Path, order: Order, message: Vec<u8>) -> Result<String, Failed> {
    let order = serde_json::to_value(LocalOrder::from(order))
        .map_err(|error| Failed::new(Exit::Software, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failed::new(Exit::Software, error.to_string()))?;
    let said = runtime
        .block_on(web::hand_over(socket, &order, message))
        .map_err(|error| unreached(socket, &error))?;
    match serde_json::from_value(said) {
        Ok(Said::Accepted { id }) => Ok(id),
        Ok(Said::Refused { code, status, text }) => {
            let status = Status::parse(&status).unwrap_or(Status::permanent(0, 0));
            Err(Failed::of(&Reply::new(code, status, text)))
        }
        Err(error) => Err(Failed::new(Exit::Software, format!("the server answers in another way: {error}"))),
    }
}

fn unreached(socket: &std::path::Path, error: &CallError) -> Failed {
    let socket = socket.display();
    match error {
        CallError::NotListening(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let text = format!(
                "{socket} may not be used by this user: its directory must be open to all, see `runtime-dir`"
            );
            Failed::new(Exit::NotAllowed, text)
        }
        CallError::NotListening(error) => {
            let text = format!(
                "no mail server answers at {socket} ({error}); nothing was sent and nothing is kept: try again when it runs"
            );
            Failed::new(Exit::Again, text)
        }
        CallError::Failed(failure) if failure.kind == web::Kind::BadRequest => {
            Failed::new(Exit::Unavailable, failure.message.clone())
        }
        CallError::Failed(failure) => Failed::new(Exit::Again, failure.message.clone()),
        CallError::Broken(why) => Failed::new(Exit::Again, why.clone()),
    }
}

/// The same for a program that speaks SMTP.
fn into_reply(failed: Failed) -> Reply {
    let text = failed.text.split_once(' ').map_or(failed.text.as_str(), |(code, rest)| {
        if code.len() == 3 {
            rest.split_once(' ').map_or(rest, |(_, text)| text)
        } else {
            failed.text.as_str()
        }
    });
    match failed.exit {
        Exit::Again => Reply::new(451, Status::transient(3, 0), text),
        Exit::NoUser => Reply::new(550, Status::permanent(1, 1), text),
        Exit::NoHost => Reply::new(550, Status::permanent(1, 2), text),
        Exit::NotAllowed => Reply::new(550, Status::permanent(7, 1), text),
        Exit::Data => Reply::new(550, Status::permanent(6, 0), text),
        _ => Reply::new(554, Status::permanent(0, 0), text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_are_known() {
        let called = |line: &str| {
            let words = line.split(' ').map(OsString::from).collect::<Vec<_>>();
            called_as(words.into_iter()).map(|(name, rest)| format!("{name}:{}", rest.join(",")))
        };
        assert_eq!(called("/usr/sbin/sendmail -t -i").as_deref(), Some("sendmail:-t,-i"));
        assert_eq!(called("mailq").as_deref(), Some("mailq:"));
        assert_eq!(called("./maddy sendmail -bs").as_deref(), Some("sendmail:-bs"));
        assert_eq!(called("maddy queue list"), None);
        assert_eq!(called("maddy --config sendmail run"), None);
    }

    #[test]
    fn a_dot_may_end_the_message() {
        let read = |text: &str, end| match read_message(text.as_bytes(), end) {
            Ok(message) => String::from_utf8(message).unwrap(),
            Err(failed) => failed.text,
        };
        assert_eq!(read("a\n.\nb\n", End::Dot), "a\n");
        assert_eq!(read("a\r\n.\r\nb\n", End::Dot), "a\r\n");
        assert_eq!(read("a\n.\nb\n", End::Input), "a\n.\nb\n");
        assert_eq!(read("a\n..\n.x\n.", End::Dot), "a\n..\n.x\n");
        assert_eq!(read("", End::Dot), "");
    }

    #[test]
    fn replies_become_exit_statuses() {
        let exit = |code, subject, detail| {
            let status = if code < 500 {
                Status::transient(subject, detail)
            } else {
                Status::permanent(subject, detail)
            };
            Failed::of(&Reply::new(code, status, "x")).exit as u8
        };
        assert_eq!(
            [
                exit(452, 3, 1),
                exit(550, 1, 1),
                exit(550, 1, 2),
                exit(550, 7, 1),
                exit(550, 6, 0),
                exit(552, 3, 4),
                exit(554, 5, 4)
            ],
            [75, 67, 68, 77, 65, 69, 64]
        );
        let reply = into_reply(Failed::of(&Reply::new(550, Status::permanent(1, 1), "no such user")));
        assert_eq!(reply.to_string(), "550 5.1.1 no such user");
    }
}
