//! OfflineIMAP: another Maildir that is kept the same as an account, with Python's idea of IMAP.

use crate::program::{Heard, is_missing, run};
use crate::{deliver, reader, scene};
use std::fs;
use std::path::{Path, PathBuf};
use tests::{Daemon, PASSWORD};

fn configure(maddy: &Daemon) -> PathBuf {
    let dir = maddy.setup.dir().join("offline");
    fs::create_dir_all(&dir).unwrap();
    let rc = format!(
        "[general]\naccounts = all\nmetadata = {dir}/meta\nui = basic\n\n\
         [Account all]\nlocalrepository = near\nremoterepository = far\n\n\
         [Repository near]\ntype = Maildir\nlocalfolders = {dir}/mail\n\n\
         [Repository far]\ntype = IMAP\nremotehost = localhost\nremoteport = {}\nremoteuser = alice@example.org\n\
         remotepass = {PASSWORD}\nssl = yes\nsslcacertfile = {}\nssl_version = tls1_2\nmaxconnections = 2\n",
        maddy.ports().imaps,
        maddy.setup.ca().display(),
        dir = dir.display(),
    );
    fs::write(dir.join("rc"), rc).unwrap();
    dir
}

fn sync(dir: &Path) -> Heard {
    run(dir, "offlineimap", &["-c", "rc", "-o", "-u", "basic"]).fine()
}

fn files(dir: &Path, mailbox: &str) -> Vec<PathBuf> {
    let of = |sub: &str| fs::read_dir(dir.join("mail").join(mailbox).join(sub)).into_iter().flatten();
    of("new").chain(of("cur")).map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn both_sides_stay_the_same() {
    if is_missing("offlineimap", "offlineimap") {
        return;
    }
    let maddy = scene().start();
    let mut imap = reader(&maddy, "alice@example.org");
    deliver(&maddy, &["one", "two"]);
    imap.wait_messages("INBOX", 2);
    let dir = configure(&maddy);
    sync(&dir);
    assert_eq!(files(&dir, "INBOX").len(), 2);
    assert!(dir.join("mail/Sent/cur").is_dir(), "the folders of the account are made here");

    // A flag and a message here; a flag and a deletion there.
    let one = files(&dir, "INBOX")
        .into_iter()
        .find(|file| fs::read_to_string(file).unwrap().contains("Subject: one"))
        .unwrap();
    let name = one.file_name().unwrap().to_string_lossy().split(":2,").next().unwrap().to_owned();
    fs::rename(&one, dir.join("mail/INBOX/cur").join(format!("{name}:2,FS"))).unwrap();
    let text = tests::message("alice@example.org", "x@y.test", "filed", "filed here").replace("\r\n", "\n");
    fs::write(dir.join("mail/Archive/cur/1700000000.1.here:2,S"), text).unwrap();
    imap.count("INBOX");
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    sync(&dir);
    assert_eq!(files(&dir, "INBOX").len(), 1);
    assert_eq!(imap.count("Archive"), 1);
    assert_eq!(imap.count("INBOX"), 1);
    let flags = imap.ok("FETCH 1 FLAGS").join(" ");
    assert!(flags.contains("\\Flagged") && flags.contains("\\Seen"), "{flags}");

    // Nothing is left to do.
    sync(&dir);
    assert_eq!((imap.count("INBOX"), imap.count("Archive")), (1, 1));
}
