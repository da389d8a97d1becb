//! Another program holds the database: mail is put off with a 4xx, and accepted once the lock is gone.

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::File;
use std::path::Path;
use tests::{Setup, assert_like, message};

/// The octet of `maddy.db-shm` that SQLite locks while it writes in WAL mode (WAL_WRITE_LOCK, sqlite.org/walformat.html).
const WRITE_LOCK: i64 = 120;

/// Holds SQLite's write lock as another process that writes would.
struct Lock(File);

impl Lock {
    fn take(database: &Path) -> Self {
        let lock =
            Self(File::options().read(true).write(true).open(database.with_extension("db-shm")).unwrap());
        tests::eventually("the database is not being written to", || lock.set(libc::F_WRLCK).ok());
        lock
    }

    fn set(&self, kind: i32) -> nix::Result<i32> {
        let range = libc::flock {
            l_type: kind.try_into().unwrap(),
            l_whence: libc::SEEK_SET.try_into().unwrap(),
            l_start: WRITE_LOCK,
            l_len: 1,
            l_pid: 0,
        };
        fcntl(&self.0, FcntlArg::F_SETLK(&range))
    }
}

#[test]
fn a_lock_delays_mail_and_loses_none() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.expect_errors();
    let maddy = setup.start();
    let mut stranger = maddy.smtp();
    let text = message("eve@remote.test", "alice@example.org", "Locked", "text");
    stranger.deliver("eve@remote.test", &["alice@example.org"], &text);

    let lock = Lock::take(&maddy.setup.state_dir().join("maddy.db"));
    stranger.command("MAIL FROM:<eve@remote.test>", "250*");
    stranger.command("RCPT TO:<alice@example.org>", "250*");
    let reply = stranger.data(&text, "4*");
    assert_like(&reply, "45* 4.3.*");
    // Readers do not wait for the writer.
    let mut alice = maddy.imap("alice@example.org");
    assert_eq!(alice.count("INBOX"), 1);
    assert_like(&alice.no("STORE 1 +FLAGS (\\Flagged)"), "NO *");
    drop(lock);

    stranger.deliver("eve@remote.test", &["alice@example.org"], &text);
    alice.ok("STORE 1 +FLAGS (\\Flagged)");
    assert_eq!(alice.count("INBOX"), 2);
}
