//! mbsync: a Maildir and an account, kept the same in both directions.

use crate::program::{Heard, is_missing, run};
use crate::{deliver, reader, scene};
use std::fs;
use std::path::{Path, PathBuf};
use tests::{Daemon, Imap, PASSWORD};

/// How mbsync connects.
#[derive(Clone, Copy)]
enum Tls {
    Start,
    First,
}

/// A Maildir tree beside the account.
struct Local {
    dir: PathBuf,
    rc: String,
}

impl Local {
    fn new(maddy: &Daemon, tls: Tls) -> Self {
        Self::of(maddy, tls, "alice@example.org", ("", "*"))
    }

    /// Of one account the mailboxes below a path that a pattern fits.
    fn of(maddy: &Daemon, tls: Tls, user: &str, (path, pattern): (&str, &str)) -> Self {
        let dir = maddy.setup.dir().join("local");
        fs::create_dir_all(&dir).unwrap();
        let (port, kind) = match tls {
            Tls::Start => (maddy.ports().imap, "STARTTLS"),
            Tls::First => (maddy.ports().imaps, "IMAPS"),
        };
        let rc = dir.join("mbsyncrc");
        let text = format!(
            "IMAPStore far\nHost localhost\nPort {port}\nUser {user}\nPass \"{PASSWORD}\"\n\
             Path \"{path}\"\nSSLType {kind}\nCertificateFile {}\nAuthMechs *\n\n\
             MaildirStore near\nPath {1}/\nInbox {1}/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns {pattern}\nCreate Both\nRemove Both\nExpunge Both\n\
             CopyArrivalDate yes\nSyncState *\n",
            maddy.setup.ca().display(),
            dir.display(),
        );
        fs::write(&rc, text).unwrap();
        Self { dir, rc: rc.display().to_string() }
    }

    fn sync(&self) -> Heard {
        run(&self.dir, "mbsync", &["-c", &self.rc, "-V", "all"]).fine()
    }

    /// The files of a mailbox, new and current.
    fn files(&self, mailbox: &str) -> Vec<PathBuf> {
        let of = |sub: &str| fs::read_dir(self.dir.join(mailbox).join(sub)).into_iter().flatten();
        let mut files: Vec<PathBuf> = of("new").chain(of("cur")).map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The file whose text has this subject.
    fn file(&self, mailbox: &str, subject: &str) -> PathBuf {
        let wanted = format!("Subject: {subject}");
        let has = |path: &PathBuf| fs::read_to_string(path).unwrap().contains(&wanted);
        self.files(mailbox).into_iter().find(has).unwrap_or_else(|| panic!("no {subject} in {mailbox}"))
    }

    /// Flags of a message, as the letters of its file's name.
    fn flags(&self, mailbox: &str, subject: &str) -> String {
        let name = self.file(mailbox, subject).display().to_string();
        name.rsplit_once(":2,").map_or(String::new(), |(_, flags)| flags.to_owned())
    }

    /// Adds flags to a message by giving its file another name.
    fn flag(&self, mailbox: &str, subject: &str, letters: &str) {
        let old = self.file(mailbox, subject);
        let name = old.file_name().unwrap().to_string_lossy().into_owned();
        let base = name.split(":2,").next().unwrap();
        fs::rename(&old, self.dir.join(mailbox).join("cur").join(format!("{base}:2,{letters}"))).unwrap();
    }

    /// A new message, as a local program files it.
    fn add(&self, mailbox: &str, subject: &str) {
        let dir = self.dir.join(mailbox);
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        let text =
            tests::message("alice@example.org", "x@y.test", subject, "filed here").replace("\r\n", "\n");
        fs::write(dir.join("cur").join(format!("1700000000.{subject}.here:2,S")), text).unwrap();
    }
}

/// Flags of the message with that subject, in the account.
fn far_flags(imap: &mut Imap, mailbox: &str, subject: &str) -> String {
    imap.count(mailbox);
    let found = imap.ok(&format!("SEARCH SUBJECT {subject}"));
    let number = found[0].rsplit(' ').next().unwrap().to_owned();
    let answer = imap.ok(&format!("FETCH {number} FLAGS"));
    answer.into_iter().find(|line| line.contains("FLAGS (")).unwrap()
}

/// Everything that may change on one side shows on the other.
fn keep_the_same(tls: Tls) {
    if is_missing("mbsync", "mbsync") {
        return;
    }
    let maddy = scene().start();
    let mut imap = reader(&maddy, "alice@example.org");
    deliver(&maddy, &["one", "two", "three"]);
    imap.wait_messages("INBOX", 3);
    let local = Local::new(&maddy, tls);

    local.sync();
    assert_eq!(local.files("INBOX").len(), 3);
    assert!(Path::new(&local.dir.join("Sent/cur")).is_dir(), "the folders of the account are made here");
    assert!(fs::read_to_string(local.file("INBOX", "one")).unwrap().contains("\n.dot\n"));

    // Here: flags, a new message in an old folder and in a new one. There: flags, a new message.
    local.flag("INBOX", "one", "FRS");
    local.add("Archive", "filed");
    local.add("Fresh", "begun");
    far_flags(&mut imap, "INBOX", "two");
    imap.ok("STORE 2 +FLAGS (\\Seen \\Draft)");
    deliver(&maddy, &["four"]);
    imap.wait_messages("INBOX", 4);
    local.sync();
    let flags = far_flags(&mut imap, "INBOX", "one");
    assert!(["\\Flagged", "\\Answered", "\\Seen"].iter().all(|flag| flags.contains(flag)), "{flags}");
    assert!(far_flags(&mut imap, "Archive", "filed").contains("\\Seen"));
    assert_eq!(imap.count("Fresh"), 1);
    assert_eq!(local.flags("INBOX", "two"), "DS");
    assert_eq!(local.files("INBOX").len(), 4);

    // Deletions, each on one side; expunged on both.
    fs::remove_file(local.file("INBOX", "three")).unwrap();
    imap.count("INBOX");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    local.sync();
    assert_eq!(imap.count("INBOX"), 2);
    assert_eq!(local.files("INBOX").len(), 2);
    let left: Vec<String> =
        ["two", "four"].iter().map(|s| local.file("INBOX", s).display().to_string()).collect();
    assert_eq!(left.len(), 2);

    // Nothing is left to do: no message comes twice.
    let before = local.files("INBOX");
    local.sync();
    assert_eq!(local.files("INBOX"), before);
    assert_eq!(imap.count("INBOX"), 2);
}

/// A mailbox of somebody else is kept the same as one's own, as far as its owner allows.
#[test]
fn a_shared_mailbox_stays_the_same() {
    if is_missing("mbsync", "mbsync") {
        return;
    }
    let maddy = scene().start();
    let mut alice = reader(&maddy, "alice@example.org");
    alice.ok("CREATE Team");
    let text = |subject: &str| tests::message("alice@example.org", "bob@example.org", subject, "text");
    alice.try_append("Team", &text("one")).unwrap();
    alice.try_append("Team", &text("two")).unwrap();
    alice.ok("SETACL Team bob@example.org lrswite");
    let local = Local::of(&maddy, Tls::First, "bob@example.org", ("Other Users/alice@example.org/", "Team"));
    local.sync();
    assert_eq!(local.files("Team").len(), 2);

    local.flag("Team", "one", "FS");
    local.add("Team", "three");
    fs::remove_file(local.file("Team", "two")).unwrap();
    alice.try_append("Team", &text("four")).unwrap();
    local.sync();
    assert_eq!(alice.count("Team"), 3);
    let flags = far_flags(&mut alice, "Team", "one");
    assert!(flags.contains("\\Flagged") && flags.contains("\\Seen"), "{flags}");
    assert_eq!(local.files("Team").len(), 3);
    local.file("Team", "four");

    // What may only be read is fetched all the same.
    alice.ok("SETACL Team bob@example.org lr");
    alice.try_append("Team", &text("five")).unwrap();
    local.sync();
    local.file("Team", "five");
    assert_eq!((alice.count("Team"), local.files("Team").len()), (4, 4));
}

#[test]
fn both_sides_stay_the_same_over_starttls() {
    keep_the_same(Tls::Start);
}

#[test]
fn both_sides_stay_the_same_over_tls() {
    keep_the_same(Tls::First);
}
