//! A kill just before a flush, and a power cut soon after the restart: what was written and not flushed was inherited by the
//! next process, which may not build on it as if it were on the disk.

use crate::disk::{Disk, Mercy};
use crate::judge::judge;
use crate::ledger::{Asked, Delivery, Ledger, Shown};
use crate::load::{ALICE, done, number};
use crate::log::{Log, Pen};
use crate::mails::{MARK, mail};
use crate::scene::{add_accounts, arm, recorded};
use std::net::TcpStream;
use std::path::Path;
use tempfile::TempDir;
use tests::{Daemon, eventually};
use world::fake::FakeRandom;

const TOKEN: &str = "tokinherited";

/// A daemon that is recorded and was killed when it was about to flush `path`, with the message on its way.
fn killed_at(path: &str, log: &Path, ledger: &mut Ledger, text: &str) -> Daemon {
    assert!(TOKEN.starts_with(MARK));
    let pen = Pen::new(log);
    let mut maddy = recorded(log).start();
    ledger.accounts = add_accounts(&maddy, &pen);
    ledger.texts.insert(TOKEN.to_owned(), text.into());
    let mut smtp = maddy.smtp();
    arm(log, path);
    assert!(smtp.try_deliver("eve@remote.test", &[ALICE], text).is_err(), "the daemon lives");
    let port = maddy.ports().smtp;
    eventually("the daemon ends", || TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    maddy.kill();
    maddy.start();
    maddy
}

/// All that is wrong after a cut that spares nothing, now.
fn losses(log: &Path, ledger: &Ledger) -> Vec<String> {
    let cut = Pen::new(log).place();
    let space = TempDir::new().unwrap();
    let dir = space.path().join("state");
    Disk::at(&Log::read(log), cut).cut(&dir, Some(Mercy::Nothing), &FakeRandom::seeded(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(judge(&dir, ledger, cut))
}

#[test]
fn what_is_shown_after_a_kill_outlasts_a_power_cut() {
    let dir = TempDir::new().unwrap();
    let (log, mut ledger) = (dir.path().join("log"), Ledger::default());
    let text = mail("eve@remote.test", ALICE, TOKEN, &FakeRandom::seeded(1));
    let pen = Pen::new(&log);
    let maddy = killed_at("maddy.db-wal", &log, &mut ledger, &text);
    let mut imap = maddy.imap(ALICE);
    let status = done(&mut imap, "STATUS INBOX (UIDNEXT UIDVALIDITY HIGHESTMODSEQ)").unwrap();
    let at = pen.place();
    let line = status.iter().find(|line| line.starts_with("* STATUS")).unwrap();
    let say = |word| number(line, word).unwrap();
    assert_eq!(say("UIDNEXT "), 2, "the message was written before the kill");
    ledger.shown.push(Shown {
        at,
        validity: say("UIDVALIDITY ") as u32,
        next: 2,
        modseq: say("HIGHESTMODSEQ "),
    });
    ledger.uids.push((at, 1, TOKEN.to_owned()));
    // It was never promised, but it was shown.
    let asked = Asked { begun: 0, answered: None };
    let (token, inboxes) = (TOKEN.to_owned(), vec![ALICE]);
    ledger.deliveries.push(Delivery { asked, token, inboxes, goes_out: false });
    assert_eq!(losses(&log, &ledger), Vec::<String>::new());
}

#[test]
fn a_folder_that_a_killed_process_made_is_flushed_before_it_is_used() {
    let dir = TempDir::new().unwrap();
    let (log, mut ledger) = (dir.path().join("log"), Ledger::default());
    let text = tests::message("eve@remote.test", ALICE, TOKEN, &"large\n".repeat(60_000));
    let maddy = killed_at("bodies", &log, &mut ledger, &text);
    // The same octets have the same name, but for its end: they go into the same folder.
    let begun = Pen::new(&log).place();
    maddy.smtp().deliver("eve@remote.test", &[ALICE], &text);
    let asked = Asked { begun, answered: Some(Pen::new(&log).place()) };
    let (token, inboxes) = (TOKEN.to_owned(), vec![ALICE]);
    ledger.deliveries.push(Delivery { asked, token, inboxes, goes_out: false });
    assert_eq!(losses(&log, &ledger), Vec::<String>::new());
}
