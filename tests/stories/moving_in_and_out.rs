//! Mail of other programs comes in, goes out and comes in again: every message, its flags, its date and its folder are
//! the same.

use nix::sys::stat::utimes;
use nix::sys::time::{TimeVal, TimeValLike};
use std::fs;
use std::path::Path;
use tests::{Daemon, Setup, assert_like, message};
use world::Random;
use world::fake::FakeRandom;

const MESSAGES: u64 = 2000;

/// A maildir of some thousand messages in folders, with flags, keywords and dates.
pub(crate) fn maildir(dir: &Path, messages: u64) {
    let random = FakeRandom::seeded(messages);
    let folders = ["", ".Sent Items", ".Entw&APw-rfe", ".Archive.2025", ".Work.a &- b"];
    for folder in folders {
        for inner in ["cur", "new", "tmp"] {
            fs::create_dir_all(dir.join(folder).join(inner)).unwrap();
        }
        fs::write(dir.join(folder).join("dovecot-keywords"), "0 $Work\n1 Later\n").unwrap();
    }
    fs::write(dir.join("subscriptions"), "Sent Items\nWork.a &- b\n").unwrap();
    for number in 0..messages {
        let body = format!("{}\nFrom here on\n>From there\n\nlast\n", random.word(random.below(60) as usize));
        let text = message("eve@remote.test", "alice@example.org", &format!("Mail {number}"), &body);
        let flags = ["", "S", "RS", "FSa", "Tab", "D"][random.below(6) as usize];
        let inner = if flags.is_empty() && number % 2 == 0 { "new".to_owned() } else { "cur".to_owned() };
        let info = if inner == "new" { String::new() } else { format!(":2,{flags}") };
        let folder = folders[random.below(folders.len() as u64) as usize];
        let name = format!("{}.M{number}.host{info}", 1_700_000_000 + number);
        let path = dir.join(folder).join(inner).join(name);
        fs::write(&path, text.replace("\r\n", "\n")).unwrap();
        let time = TimeVal::seconds(1_600_000_000 + number as i64 * 1000);
        utimes(&path, &time, &time).unwrap();
    }
}

fn path(maddy: &Daemon, name: &str) -> String {
    maddy.setup.dir().join(name).display().to_string()
}

/// A number that the ledger has for the whole.
fn sum(ledger: &str, of: &str) -> u64 {
    let ledger: serde_json::Value = serde_json::from_str(ledger).unwrap();
    ledger[of].as_u64().unwrap()
}

#[test]
fn what_comes_in_goes_out_and_comes_in_again() {
    let mut setup = Setup::new();
    for name in ["alice", "bob", "carol"] {
        setup.account(&format!("{name}@example.org"));
    }
    let maddy = setup.start();
    let source = path(&maddy, "Maildir");
    maildir(Path::new(&source), MESSAGES);
    let bring =
        |form: &str, from: &str, account: &str| maddy.cli(&["import", form, from, account, "--json"]).ok();
    let ledger = bring("maildir", &source, "alice@example.org");
    assert_eq!((sum(&ledger, "imported"), sum(&ledger, "refused")), (MESSAGES, 0));
    let alice = maddy.imap("alice@example.org").picture();
    assert_eq!(alice.values().map(|(_, messages)| messages.len() as u64).sum::<u64>(), MESSAGES);
    // The account had an empty mailbox for what is sent; that of the maildir takes its place.
    assert_like(&alice["Sent Items"].0, "*\\Sent*");
    assert_like(&alice["Work/a &- b"].0, "*\\Subscribed*");
    assert!(!alice["Archive/2025"].0.contains("\\Subscribed"));
    let first = &alice["INBOX"].1[0];
    assert!(first.contains("Sep-2020") && first.contains("\r\nFrom here on\r\n>From there\r\n"), "{first}");

    let again = bring("maildir", &source, "alice@example.org");
    assert_eq!((sum(&again, "imported"), sum(&again, "before")), (0, MESSAGES));
    let table = maddy.cli(&["import", "maildir", &source, "alice@example.org"]).ok();
    assert_like(&table, "FOLDER*Sent Items*all*2000        0\n");

    for (form, account) in [("maildir", "bob@example.org"), ("mbox", "carol@example.org")] {
        let dir = path(&maddy, form);
        let table = maddy.cli(&["export", form, "alice@example.org", &dir]).ok();
        assert_like(&table, "*alice@example.org*2000*");
        bring(form, &dir, account);
        assert!(maddy.imap(account).picture() == alice, "{form}: another picture");
    }
    let table = maddy.cli(&["export", "maildir", "alice@example.org", &path(&maddy, "maildir")]).ok();
    assert_like(&table, "*alice@example.org*2000          2000*");
    maddy.cli(&["export", "mbox", "all", &path(&maddy, "all")]).ok();
    assert!(Path::new(&path(&maddy, "all/carol@example.org/Work/a & b.mbox")).exists());
}

#[test]
fn what_cannot_come_in_is_told() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.option("storage", "quota-messages 3");
    let maddy = setup.start();
    let source = path(&maddy, "Maildir");
    maildir(Path::new(&source), 5);
    fs::write(format!("{source}/cur/1:2,"), "").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", format!("{source}/cur/2:2,")).unwrap();
    let output = maddy.cli(&["import", "maildir", &source, "alice@example.org"]);
    assert_like(&output.stdout, "*all * 3             0        4\n");
    let said = output.fails();
    for why in [
        "*1:2,: it is empty*",
        "*2:2,: it is no plain file*",
        "*the mailboxes of alice@example.org are full*",
    ] {
        assert_like(&said, why);
    }
    let output = maddy.cli(&["import", "maildir", &source, "alice@example.org", "--ignore-quota"]);
    assert_like(&output.stdout, "*all * 2             3        2\n");
    let all = maddy.cli(&["import", "maildir", &source, "alice@example.org", "--only", "nothing"]).fails();
    assert_like(&all, "*there is no such folder; there are *INBOX*");
    let nobody = maddy.cli(&["import", "maildir", &source, "nobody@example.org"]).fails();
    assert_like(&nobody, "*there is no account nobody@example.org*");
    let file =
        maddy.cli(&["import", "mbox", &format!("{source}/subscriptions"), "alice@example.org"]).fails();
    assert_like(&file, "*subscriptions is no mbox*");
    maddy.cli(&["import", "forget", "alice@example.org"]).ok();
    let output = maddy.cli(&[
        "import",
        "maildir",
        &source,
        "alice@example.org",
        "--ignore-quota",
        "--below",
        "Again",
        "--map",
        "Sent Items=Sent",
    ]);
    assert_like(&output.stdout, "*all * 5             0        2\n");
    assert!(maddy.imap("alice@example.org").picture().contains_key("Again/INBOX"));
}
