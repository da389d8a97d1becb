//! The grammar of the command line.

mod acct;
mod check;
mod rights;

pub(crate) use check::{Asking, CheckCommand, DkimFile, Listed, MailFile, Sender};
pub(crate) use rights::RightsArgs;

use super::backup::BackupCommand;
pub(crate) use super::bans::BansCommand;
use super::completions::Shell;
pub(crate) use super::dkim::DkimCommand;
pub(crate) use super::export::ExportCommand;
pub(crate) use super::global::Global;
use super::global::without;
pub(crate) use super::import::ImportCommand;
use super::login_args::{AppPasswordCommand, CertificateCommand, GuessesCommand};
use super::manual::ManArgs;
pub(crate) use super::queue::QueueCommand;
pub(crate) use super::reports::ReportsCommand;
use super::restore::RestoreCommand;
use super::sending::SendingArgs;
pub(crate) use super::tls::TlsCommand;
pub(crate) use super::top::TopCommand;
use super::verify::VerifyCommand;
use crate::install::{InstallArgs, UninstallArgs};
use crate::setup::{DnsCommand, DoctorArgs, QuickstartArgs};
pub(crate) use acct::AcctCommand;
use clap::{Args, Parser, Subcommand};

/// Shown by `maddy` and `maddy --help`. Fits one screen; a test holds it to that and to the commands that there are.
pub(crate) const HELP: &str = "\
maddy, the all-in-one mail server

Server
  quickstart, demo   make a server, with keys, an account and the zone to paste; or one to try out
  doctor, bans   everything that is wrong, here and in the DNS; list, add, lift: who is not let in
  run, reload    serve mail as the configuration says; read the configuration again meanwhile
  install, uninstall, completions, man   as a service of systemd; for your shell; the manual
  config check, hash   what the configuration says, and what is wrong; what is stored of a password
  dns            records: the whole zone; check: compares it with the DNS; apply: puts it there
  dkim           list, generate, rotate, retire: our signing keys and their DNS records
  check          spf, dkim, dmarc, arc, dnsbl: arriving mail; mta-sts, dane: others; egress: our own
  tls            list, renew, rollover: certificates that come from an authority by themselves
  backup, restore, verify   the whole state, while the server runs; --repair

Accounts
  account        add, list, remove, rename, password, profile, sending: login and mailboxes at once
  creds          create, list, remove, password, verify; app-password, certificate; guesses: logins
  imap-acct      create, list, remove, stat, reindex, appendlimit, quota: mailboxes alone

Mail
  imap-mboxes    list, create, remove, rename, rights: mailboxes, and who may use them
  imap-msgs      list, add, dump, copy, move, remove, add-flags, rem-flags, set-flags
  import, export   maildir, mbox, imap: mail of other programs; forget: bring it in again
  queue          list, show, retry, flush, hold, release, edit, remove, suppressed: outgoing mail
  trace, top     the life of a message, by its id, Message-ID or an address; the server, live
  sendmail       send a message from standard input, as programs do (also under the name sendmail)
  reports        list, show, summary: what others report about our domains (DMARC, TLS)

Options: maddy [options] <command> [options]
  -c, --config FILE      the configuration [$MADDY_CONFIG, or /etc/maddy/maddy.conf]
  -s, --state-dir DIR    work on this state directory, without a configuration
      --json             print JSON, for programs; -h, --help: after a command too; -V, --version
";

#[derive(Debug, Parser)]
#[command(name = "maddy", version, override_help = HELP, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve mail as the configuration says
    #[command(args(without(&["state_dir", "json"])))]
    Run,
    /// A complete private mail server on this machine, to try things out
    ///
    /// Needs no configuration, no DNS and no rights. Takes mail for demo.test from anyone on this machine, keeps it in
    /// the state directory, and delivers to demo.test only. Ctrl-C ends it; the mail stays for the next time.
    #[command(args(without(&["config"])))]
    Demo(Demo),
    /// Make a server: configuration, keys, the first account, and the zone to paste
    ///
    /// Nothing that is there is ever overwritten. It ends with what is still missing; `maddy doctor` says it again at any time.
    #[command(args(without(&["config", "state_dir"])))]
    Quickstart(Box<QuickstartArgs>),
    /// Look at everything that keeps mail from working, and say what to do
    ///
    /// Exit status 1 if something is wrong. Each finding says how it is, why it matters, and what to do.
    #[command(args(without(&["state_dir"])))]
    Doctor(DoctorArgs),
    /// What belongs into the DNS, and what stands there
    #[command(subcommand)]
    Dns(DnsCommand),
    /// Work with the configuration file
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Have the running server read its configuration again
    ///
    /// Connections stay. If anything is wrong with the new configuration, the old one stays and the problems are shown.
    Reload,
    /// One check as arriving mail goes through it
    ///
    /// The first line is the bare result, like pass or fail; then come the reasons, and what was asked of the DNS.
    #[command(subcommand)]
    Check(CheckCommand),
    /// The keys with which we sign
    #[command(subcommand)]
    Dkim(DkimCommand),
    /// Accounts: the login and the mailboxes at once
    #[command(subcommand)]
    Account(AccountCommand),
    /// Credentials: who may log in, and with which password
    #[command(subcommand)]
    Creds(CredsCommand),
    /// The mailboxes of an account, without its login
    #[command(subcommand)]
    ImapAcct(AcctCommand),
    /// Mailboxes
    #[command(subcommand)]
    ImapMboxes(MboxesCommand),
    /// Messages
    #[command(subcommand)]
    ImapMsgs(MsgsCommand),
    /// Certificates that come from an authority
    #[command(subcommand)]
    Tls(TlsCommand),
    /// Copy mail, accounts, queue and keys into a directory, while the server runs
    ///
    /// Large messages that are there from an earlier backup are not copied again. A backup gets its name when all of it
    /// is on the disk.
    Backup(BackupCommand),
    /// Bring a backup into a state directory on which no daemon works
    Restore(RestoreCommand),
    /// Read the database and every message, and say what is wrong; exit status 1 if something is
    Verify(VerifyCommand),
    /// Bring in mail of other programs, with folders, flags and dates
    #[command(subcommand)]
    Import(ImportCommand),
    /// Write mail as files that other programs read, with folders, flags and dates
    #[command(subcommand)]
    Export(ExportCommand),
    /// Mail that waits to go out
    #[command(subcommand)]
    Queue(QueueCommand),
    /// What others report about our domains: DMARC aggregate reports and TLS reports
    Reports {
        #[command(subcommand)]
        command: Option<ReportsCommand>,
    },
    /// Watch sessions, queue and rates of the running server; q ends it
    #[command(args(without(&["state_dir"])))]
    Top(TopCommand),
    /// The whole life of a message: checks, DNS answers, decision, delivery, each attempt with the remote's words
    Trace {
        /// An id of ours, a Message-ID, an address, or the number from `maddy queue list`
        what: String,
    },
    /// Send a message from standard input, as programs call sendmail: -t, -f, -F, -i, -v, -bs, -bp, -N, -R
    #[command(args(without(&["config", "state_dir", "json"])))]
    Sendmail,
    /// Addresses and networks that are not let in
    #[command(subcommand)]
    Bans(BansCommand),
    /// Turn a password into what is stored of it
    #[command(args(without(&["config", "state_dir"])))]
    Hash,
    /// Make this program a service of systemd, which is never root
    ///
    /// Shows what it will do and asks. Done again it changes what has changed, so it updates, too. Mail and configuration are
    /// never touched.
    #[command(args(without(&["config", "state_dir"])))]
    Install(InstallArgs),
    /// Take away what `maddy install` has put there; the mail stays
    #[command(args(without(&["config", "state_dir"])))]
    Uninstall(UninstallArgs),
    /// Print what a shell needs to complete this command line
    ///
    /// bash: maddy completions bash > ~/.local/share/bash-completion/completions/maddy; zsh: into _maddy in a directory of
    /// $fpath; fish: into ~/.config/fish/completions/maddy.fish. `maddy install` does it for all users.
    #[command(args(without(&["config", "state_dir", "json"])))]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print a page of the manual, as man(1) reads it: maddy man account | man -l -
    #[command(args(without(&["config", "state_dir", "json"])))]
    Man(ManArgs),
    /// Print the version
    Version,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Demo {
    /// Each port is this number plus the well-known one: 2000 gives SMTP on 2025
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u16).range(1..=64_542))]
    pub(crate) port_base: u16,
    /// Allow logins without TLS, for tools on this machine
    #[arg(long)]
    pub(crate) insecure_auth: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Explain what the configuration says, and everything that is wrong with it
    Check,
    /// List every option with its default
    Options,
    /// Print the control interface for other programs, as OpenAPI
    Openapi,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Name {
    /// The account, an address like alice@example.org
    pub(crate) account: String,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Removal {
    /// The account, an address like alice@example.org
    pub(crate) account: String,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add an account; asks for its password, or reads it from standard input
    Add(Name),
    /// List all accounts
    List,
    /// Remove an account with all its mail
    Remove(Removal),
    /// Give an account another address; mail and password stay
    Rename {
        /// The account as it is
        account: String,
        /// Its new address
        to: String,
    },
    /// Set a new password; asks for it, or reads it from standard input
    Password(Name),
    /// Show or set how much an account may send in a day
    ///
    /// Limits are a number, `none`, or `default` for what the configuration says. Days are those of UTC.
    Sending(SendingArgs),
    /// Print a profile that sets up an iPhone, iPad or Mac for an account; it holds no password
    Profile {
        /// The account, an address like alice@example.org
        account: String,
        /// Show a code for the camera in its place, which leads to the profile on this server's web pages
        #[arg(long)]
        qr: bool,
    },
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum CredsCommand {
    /// Create credentials; asks for the password, or reads it from standard input
    Create(Name),
    /// List all credentials
    List,
    /// Remove credentials; the mail stays
    Remove(Removal),
    /// Set a new password; asks for it, or reads it from standard input
    Password(Name),
    /// Check a password; exit status 1 if it is wrong
    Verify(Name),
    /// Passwords made up for one program: good for less, and revoked without the others
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
    /// TLS certificates of clients that let them in without a password
    #[command(subcommand)]
    Certificate(CertificateCommand),
    /// What the daemon counts of failed logins
    #[command(subcommand)]
    Guesses(GuessesCommand),
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MboxesCommand {
    /// List the mailboxes of an account
    List {
        account: String,
        /// Only those that are subscribed
        #[arg(long, visible_alias = "subscribed-only")]
        subscribed: bool,
    },
    /// Create a mailbox, and those above it
    Create {
        account: String,
        mailbox: String,
        /// drafts, sent, archive, junk, trash, flagged or all
        #[arg(long, value_name = "USE")]
        special: Option<String>,
    },
    /// Remove a mailbox and its messages
    Remove {
        account: String,
        mailbox: String,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Rename a mailbox, with those below it
    Rename { account: String, mailbox: String, to: String },
    /// Show or set who may do what with a mailbox
    ///
    /// Rights are letters: l see it, r read, s mark as seen, w other flags, i put messages in, k make mailboxes below it, x delete
    /// or rename it, t mark as deleted, e expunge, a give rights. The owner has all rights where nothing else is said, and
    /// always keeps l and a.
    Rights(RightsArgs),
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Messages {
    pub(crate) account: String,
    pub(crate) mailbox: String,
    /// Which messages: 5, or 2:4,7, or 10:*
    pub(crate) set: String,
    /// The numbers are UIDs
    #[arg(short, long)]
    pub(crate) uid: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Flagging {
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// seen, answered, flagged, deleted, draft, or any keyword
    #[arg(required = true)]
    pub(crate) flags: Vec<String>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Copying {
    #[command(flatten)]
    pub(crate) messages: Messages,
    /// The mailbox where they go
    pub(crate) to: String,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum MsgsCommand {
    /// List messages
    List {
        account: String,
        mailbox: String,
        /// Which messages: 5, or 2:4,7, or 10:*
        #[arg(default_value = "1:*")]
        set: String,
        /// The numbers are UIDs
        #[arg(short, long)]
        uid: bool,
    },
    /// Add a message that is read from standard input; prints its UID
    Add {
        account: String,
        mailbox: String,
        /// seen, answered, flagged, deleted, draft, or any keyword; may be given several times
        #[arg(short, long = "flag", value_name = "FLAG")]
        flags: Vec<String>,
        /// When it came in, like 2026-01-31T12:00:00Z; now, if not given
        #[arg(short, long, value_name = "TIME")]
        date: Option<String>,
    },
    /// Print messages as they are stored
    Dump(Messages),
    /// Copy messages to another mailbox
    Copy(Copying),
    /// Move messages to another mailbox
    Move(Copying),
    /// Remove messages for good
    Remove {
        #[command(flatten)]
        messages: Messages,
        /// Do not ask
        #[arg(short, long)]
        yes: bool,
    },
    /// Add flags to messages
    AddFlags(Flagging),
    /// Take flags off messages
    RemFlags(Flagging),
    /// Replace all flags of messages
    SetFlags(Flagging),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use std::path::PathBuf;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_shows_the_options_that_mean_something() {
        for (command, want) in [
            ("run", "--config"),
            ("demo", "--state-dir --json --port-base --insecure-auth"),
            ("hash", "--json"),
            ("reload", "--config --state-dir --json"),
        ] {
            let help = match Cli::try_parse_from(["maddy", command, "--help"]) {
                Ok(_) => panic!("{command} --help is a command"),
                Err(help) => help.to_string(),
            };
            for option in ["--config", "--state-dir", "--json", "--port-base", "--insecure-auth"] {
                assert_eq!(help.contains(option), want.contains(option), "{option}\n{help}");
            }
        }
        let cli = Cli::try_parse_from(["maddy", "run", "--state-dir", "x", "--config", "y"]).unwrap();
        assert_eq!(cli.global.state_dir, Some(PathBuf::from("x")));
        assert_eq!(cli.global.config(), PathBuf::from("y"));
    }

    /// Only what prints a stream for other programs has no JSON to print.
    #[test]
    fn every_command_can_print_json() {
        fn collect(command: &clap::Command, without: &mut Vec<String>) {
            for inner in command.get_subcommands() {
                if inner.has_subcommands() {
                    collect(inner, without);
                } else if !inner
                    .get_arguments()
                    .any(|option| option.get_id() == "json" && !option.is_hide_set())
                {
                    without.push(inner.get_bin_name().unwrap_or_default().to_owned());
                }
            }
        }
        let mut cli = Cli::command();
        cli.build();
        let mut without = Vec::new();
        collect(&cli, &mut without);
        assert_eq!(without, ["maddy run", "maddy sendmail", "maddy completions", "maddy man"]);
    }

    /// The help is written by hand so that it can be grouped: hold it to the commands that there are.
    #[test]
    fn the_help_names_every_command_and_fits_a_screen() {
        assert!(HELP.lines().count() <= 32, "{} lines", HELP.lines().count());
        assert!(HELP.lines().all(|line| line.chars().count() <= 100));
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "version") {
            // A line begins with the command, or with the few that it tells of.
            let is_named = |line: &&str| {
                let names = line.trim_start().split("  ").next().unwrap_or_default();
                names.split(", ").any(|name| name.split(' ').next() == Some(command.get_name()))
            };
            let line = HELP.lines().find(is_named);
            let line = line.unwrap_or_else(|| panic!("{} is missing", command.get_name()));
            if command.get_name() != "config" {
                for inner in command.get_subcommands() {
                    assert!(line.contains(inner.get_name()), "{} {}", command.get_name(), inner.get_name());
                }
            }
        }
    }
}
