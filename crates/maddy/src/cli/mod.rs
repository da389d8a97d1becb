//! The command line.

mod account;
pub(crate) mod args;
pub(crate) mod ask;
mod backup;
mod bans;
mod check;
pub(crate) mod completions;
mod connection;
mod dane;
mod dkim;
mod dns;
mod evidence;
mod export;
mod global;
mod guesses;
mod import;
mod login_args;
mod logins;
mod mailboxes;
pub(crate) mod manual;
mod messages;
pub(crate) mod output;
mod profile;
mod queue;
mod queue_show;
mod recording;
mod reindex;
mod remote;
mod reports;
mod restore;
mod rights;
mod selfcheck;
mod sending;
pub(crate) mod sendmail;
mod speak;
mod spf;
mod sts;
mod suppressed;
mod tls;
mod top;
mod trace;
mod verify;

pub(crate) use args::{Cli, Command};
pub(crate) use connection::{Connection, RELOAD, STATUS};
pub(crate) use guesses::{GUESSES_LIFT, GUESSES_LIST};
pub(crate) use speak::speak;
pub(crate) use tls::{
    CertificateLine, NextKey, TLS_LIST, TLS_RENEW, TLS_ROLLOVER, TlsRenew, TlsRollover, answer_list,
    answer_renew, answer_rollover,
};

use crate::config::Source;
use args::{ConfigCommand, Global};
use std::fmt;
use std::process::ExitCode;
use web::Failure;

/// Exit status for a configuration with problems, and for a command line that makes no sense (as clap has it).
const USAGE: u8 = 2;

/// Why a command did not do what was asked: a sentence that says what to do, and the exit status.
#[derive(Debug)]
pub(crate) struct Trouble {
    message: String,
    status: u8,
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: 1 }
    }

    /// What stands in the configuration or on the command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), status: USAGE }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.trim_end())
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::new(failure.message)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<::config::Problems> for Trouble {
    fn from(problems: ::config::Problems) -> Self {
        let count = problems.0.len();
        let plural = if count == 1 { "" } else { "s" };
        Self::usage(format!("{problems}{count} problem{plural}; nothing was changed"))
    }
}

/// Carries out a command, and says on standard error what went wrong.
pub(crate) fn run(cli: Cli) -> ExitCode {
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) if trouble.message.is_empty() => ExitCode::from(trouble.status),
        Err(trouble) => {
            speak(std::io::stderr(), format!("maddy: {trouble}\n"));
            ExitCode::from(trouble.status)
        }
    }
}

fn execute(cli: Cli) -> Result<(), Trouble> {
    let Cli { global, command } = cli;
    match command {
        Command::Run => crate::run::run(&source(&global)),
        Command::Demo(demo) => crate::demo::run(&demo, &global),
        Command::Version => output::version(&global),
        Command::Install(args) => crate::install::install(&args, &global),
        Command::Uninstall(args) => crate::install::uninstall(&args, &global),
        Command::Completions { shell } => completions::run(shell),
        Command::Man(args) => manual::run(&args),
        Command::Hash => account::hash(&global),
        Command::Config(ConfigCommand::Check) => check::check(&source(&global), &global),
        Command::Config(ConfigCommand::Options) => check::options_list(&global),
        Command::Config(ConfigCommand::Openapi) => output::json(&crate::openapi::document()),
        Command::Check(command) => on_runtime(evidence::run(&command, &global)),
        Command::Dkim(command) => on_runtime(dkim::run(&command, &source(&global), &global)),
        Command::Reload => on_runtime(connection::reload(&source(&global), &global)),
        Command::Account(command) => on_runtime(account::account(&command, &global)),
        Command::Bans(command) => on_runtime(bans::run(&command, &global)),
        Command::Creds(command) => on_runtime(account::creds(&command, &global)),
        Command::ImapAcct(command) => on_runtime(account::acct(&command, &global)),
        Command::ImapMboxes(command) => on_runtime(mailboxes::run(&command, &global)),
        Command::ImapMsgs(command) => on_runtime(messages::run(&command, &global)),
        Command::Quickstart(args) => on_runtime(crate::setup::quickstart(&args, &global)),
        Command::Doctor(args) => on_runtime(dns::doctor(&args, &source(&global), &global)),
        Command::Dns(command) => on_runtime(dns::run(&command, &source(&global), &global)),
        Command::Tls(command) => on_runtime(tls::run(&command, &global)),
        Command::Backup(command) => on_runtime(backup::run(&command, &global)),
        Command::Restore(command) => on_runtime(restore::run(&command, &global)),
        Command::Verify(command) => on_runtime(verify::run(&command, &global)),
        Command::Import(command) => on_runtime(import::run(&command, &global)),
        Command::Export(command) => on_runtime(export::run(&command, &global)),
        Command::Queue(command) => on_runtime(queue::run(&command, &global)),
        // Its arguments are read before ours are, unless something stands before its name.
        Command::Sendmail => Err(Trouble::usage(
            "nothing can stand before `sendmail`: write `maddy sendmail -C FILE …` to name a configuration",
        )),
        Command::Top(command) => on_runtime(top::run(&command, &global)),
        Command::Trace { what } => on_runtime(trace::run(&what, &global)),
        Command::Reports { command } => on_runtime(reports::run(&command.unwrap_or_default(), &global)),
    }
}

/// Where the settings come from that a command needs.
fn source(global: &Global) -> Source {
    Source { config: global.config(), state_dir: global.state_dir.clone() }
}

/// Commands are small: one thread carries them.
fn on_runtime(work: impl Future<Output = Result<(), Trouble>>) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(work)
}
