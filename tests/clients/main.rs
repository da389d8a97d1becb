//! Real mail programs from Debian against the real daemon: what they send is what people's programs send.
//!
//! `tests/install` brings the programs. A test whose program or rights are missing says so and is counted as
//! skipped by `tests/run`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod curl;
mod dkimpy;
mod dovecot;
mod getmail;
mod haproxy;
mod imapflow;
mod imaplib;
mod mbsync;
mod mutt;
mod offlineimap;
mod opendkim;
mod postfix;
mod program;
mod rspamd;
mod swaks;
mod tls_offered;

use tests::{Daemon, Setup};

/// Two accounts, and logins only after TLS, as in real use.
fn scene() -> Setup {
    let mut setup = Setup::new();
    setup.replace_option("submission", "insecure-auth #false");
    setup.replace_option("imap", "insecure-auth #false");
    setup.account("alice@example.org");
    setup.account("bob@example.org");
    setup
}

/// A reader's conversation over TLS, logged in.
fn reader(maddy: &Daemon, account: &str) -> tests::Imap {
    let chat = tests::Chat::connect_tls(maddy.ports().imaps, &maddy.setup.ca());
    let mut imap = tests::Imap::begin(chat);
    imap.log_in(account, tests::PASSWORD);
    imap
}

/// Mail from outside for alice.
fn deliver(maddy: &Daemon, subjects: &[&str]) {
    for subject in subjects {
        let text = tests::message("eve@remote.test", "alice@example.org", subject, "hello\r\n.dot");
        maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    }
}
