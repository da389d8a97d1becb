//! Dovecot, both ways: what we export is a maildir that it reads, and what it holds comes back over IMAP.

use crate::program::is_missing;
use crate::{deliver, reader, scene};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User, chown};
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tests::{eventually, free_port};

const PROGRAM: &str = "/usr/sbin/dovecot";

struct Dovecot {
    child: Child,
    dir: TempDir,
    imaps: u16,
    ca: PathBuf,
}

impl Dovecot {
    /// With the maildirs of users in `mail`, which is made.
    fn start() -> Self {
        let dir = TempDir::with_prefix("maddy-dovecot-").unwrap();
        let (imap, imaps) = (free_port(), free_port());
        let made =
            net::demo_ca(&dir.path().join("tls"), &["localhost".to_owned()], &world::SystemClock).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(dir.path().join("mail")).unwrap();
        let (owner, internal, login) = users();
        let text = format!(
            "base_dir = {dir}/run\nstate_dir = {dir}/state\nlog_path = {dir}/dovecot.log\nprotocols = imap\n\
             listen = 127.0.0.1\nssl = yes\nssl_cert = <{chain}\nssl_key = <{key}\nauth_mechanisms = plain\n\
             first_valid_uid = 1\ndefault_internal_user = {internal}\ndefault_internal_group = {group}\n\
             default_login_user = {login}\ndefault_vsz_limit = 0\nmail_location = maildir:~/Maildir\n\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid={owner} gid={owner_group} home={dir}/mail/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n port = {imap}\n }}\n \
              inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\nservice anvil {{\n chroot =\n}}\n",
            dir = dir.path().display(),
            chain = made.leaf.chain.display(),
            key = made.leaf.key.display(),
            group = group_of(&internal),
            owner_group = group_of(&owner),
        );
        let config = dir.path().join("dovecot.conf");
        fs::write(&config, text).unwrap();
        let said = File::create(dir.path().join("said")).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("-F").arg("-c").arg(&config).stdin(Stdio::null());
        let child = command.stdout(said.try_clone().unwrap()).stderr(said).spawn().unwrap();
        let mut dovecot = Self { child, dir, imaps, ca: made.ca };
        eventually("Dovecot answers", || {
            if let Some(status) = dovecot.child.try_wait().unwrap() {
                panic!("Dovecot ended with {status}: {}", dovecot.log());
            }
            TcpStream::connect(("127.0.0.1", imaps)).ok()
        });
        dovecot
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("said") + &read("dovecot.log")
    }

    /// The place for the maildir of a user.
    fn maildir(&self, user: &str) -> PathBuf {
        let home = self.dir.path().join("mail").join(user);
        fs::create_dir(&home).unwrap();
        home.join("Maildir")
    }

    /// Its mail belongs to whom it works as.
    fn give_mail(&self) {
        if Uid::effective().is_root() {
            let owner = User::from_name("mail").unwrap().unwrap();
            give(&self.dir.path().join("mail"), owner.uid, owner.gid);
        }
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- Dovecot said\n{}", self.log());
        }
    }
}

fn give(path: &Path, uid: Uid, gid: Gid) {
    chown(path, Some(uid), Some(gid)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), uid, gid));
    }
}

/// Who owns mail, and who the processes are. Only root can give them different users.
fn users() -> (String, String, String) {
    if Uid::effective().is_root() {
        return ("mail".to_owned(), "dovecot".to_owned(), "dovenull".to_owned());
    }
    let me = User::from_uid(Uid::effective()).unwrap().unwrap().name;
    (me.clone(), me.clone(), me)
}

fn group_of(user: &str) -> String {
    let user = User::from_name(user).unwrap().expect("the user exists");
    nix::unistd::Group::from_gid(user.gid).unwrap().expect("the group has a name").name
}

#[test]
fn mail_goes_to_dovecot_and_comes_back() {
    if is_missing("dovecot", "dovecot") {
        return;
    }
    let mut setup = scene();
    setup.account("carol@example.org");
    let maddy = setup.start();
    deliver(&maddy, &["one", "two", "three", "four"]);
    let mut alice = reader(&maddy, "alice@example.org");
    alice.wait_messages("INBOX", 4);
    for command in [
        "CREATE \"Entw&APw-rfe/2026\"",
        "CREATE \"a &- b\"",
        "SUBSCRIBE \"Entw&APw-rfe/2026\"",
        "SELECT INBOX",
        "STORE 1 +FLAGS (\\Seen $Work)",
        "STORE 2 +FLAGS (\\Flagged \\Answered later)",
        "STORE 3 +FLAGS (\\Deleted)",
        "COPY 1:3 \"Entw&APw-rfe/2026\"",
        "COPY 2 \"a &- b\"",
        "COPY 4 Sent",
    ] {
        alice.ok(command);
    }
    let dovecot = Dovecot::start();
    let out = dovecot.maildir("alice");
    maddy.cli(&["export", "maildir", "alice@example.org", &out.display().to_string()]).ok();
    dovecot.give_mail();
    let (place, ca) = (format!("localhost:{}", dovecot.imaps), dovecot.ca.display().to_string());
    let back = ["import", "imap", &place, "carol@example.org", "--login", "alice", "--ca", &ca, "--json"];
    let ledger = maddy.cli_with(&back, "secret\n").ok();
    let ledger: serde_json::Value = serde_json::from_str(&ledger).unwrap();
    assert_eq!((ledger["imported"].as_u64(), ledger["refused"].as_u64()), (Some(9), Some(0)), "{ledger}");
    let mut there = reader(&maddy, "carol@example.org");
    let (mut want, mut got) = (alice.picture(), there.picture());
    // What has no messages Dovecot has as well, but what is above a folder it only names.
    for picture in [&mut want, &mut got] {
        picture.retain(|_, (_, messages)| !messages.is_empty());
        picture.values_mut().for_each(|(attributes, _)| attributes.clear());
    }
    assert!(want == got, "{want:#?}\n{got:#?}");
    let again = maddy.cli_with(&back, "secret\n").ok();
    assert!(again.contains("\"imported\": 0"), "{again}");
}
