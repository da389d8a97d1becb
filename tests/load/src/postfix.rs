//! Postfix as Debian has it, with a configuration, a queue and a log of its own, in its usual settings but for limits that would
//! stand in the way of many connections from one address. Like every Postfix it flushes before it says 250. Only root can start it.

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, chown};
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tests::{eventually, free_port};

/// How often the queue is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Directories of the queue in which messages lie.
const QUEUES: [&str; 4] = ["maildrop", "incoming", "active", "deferred"];

/// Where it sends what it takes.
#[derive(Clone, Copy, Debug)]
pub enum Onward {
    /// Nowhere: it is thrown away after it was in the queue.
    Discard,
    /// To an LMTP server on this port.
    Lmtp(u16),
    /// Mail for `dAxB.test` to 127.1.A.B, on this port.
    Smtp(u16),
    /// It stays in the queue.
    Keep,
}

/// A running Postfix; it ends with this value.
pub struct Postfix {
    dir: TempDir,
    child: Child,
    port: u16,
}

impl Postfix {
    pub fn start(onward: Onward) -> Self {
        assert!(
            Path::new("/usr/sbin/postfix").exists(),
            "Postfix is missing: install it, or say --peers none"
        );
        let dir = TempDir::with_prefix("load-postfix-").unwrap();
        // Its parts run as other users and must find their way in.
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        for sub in ["etc", "queue", "data"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        let owner = User::from_name("postfix").unwrap().expect("Debian's package makes the user postfix");
        chown(&dir.path().join("data"), Some(owner.uid), Some(owner.gid)).unwrap();
        let port = free_port();
        let file = |name: &str, text: String| fs::write(dir.path().join("etc").join(name), text).unwrap();
        file("main.cf", main_cf(dir.path(), onward));
        file("master.cf", master_cf(port));
        if let Onward::Smtp(port) = onward {
            file("transport", format!("/@d([0-9]+)x([0-9]+)\\.test$/ smtp:[127.1.$1.$2]:{port}\n"));
        }
        let said = File::create(dir.path().join("said")).unwrap();
        let child = Command::new("/usr/sbin/postfix")
            .arg("-c")
            .arg(dir.path().join("etc"))
            .arg("start-fg")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .unwrap();
        let postfix = Self { dir, child, port };
        eventually("Postfix answers", || TcpStream::connect(("127.0.0.1", port)).ok());
        postfix
    }

    /// Where it takes mail by SMTP.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits until nothing is in its queue.
    pub fn wait_empty(&self) {
        while QUEUES.iter().any(|name| has_files(&self.dir.path().join("queue").join(name))) {
            thread::sleep(LOOK_EVERY);
        }
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("said") + &read("log")
    }
}

fn has_files(dir: &Path) -> bool {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => has_files(&entry.path()),
        Ok(_) => true,
        Err(_) => false,
    })
}

fn main_cf(dir: &Path, onward: Onward) -> String {
    let onward = match onward {
        Onward::Discard => "virtual_transport = discard:\n".to_owned(),
        Onward::Lmtp(port) => format!("virtual_transport = lmtp:inet:127.0.0.1:{port}\n"),
        Onward::Smtp(_) => format!("transport_maps = regexp:{}/etc/transport\n", dir.display()),
        Onward::Keep => "defer_transports = smtp\n".to_owned(),
    };
    format!(
        "compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
maillog_file = {dir}/log
maillog_file_prefixes = {dir}
myhostname = mx.postfix.test
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_client_connection_count_limit = 0
message_size_limit = 60000000
virtual_mailbox_limit = 0
default_process_limit = 200
virtual_mailbox_domains = example.org
virtual_mailbox_maps = static:somebody
smtp_dns_support_level = disabled
smtp_host_lookup = native
{onward}",
        dir = dir.display(),
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "127.0.0.1:{port} inet n - n - 1000 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"
    )
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The script that began in the foreground waits for the master process, which ends all others.
        let master = fs::read_to_string(self.dir.path().join("queue/pid/master.pid")).unwrap_or_default();
        match master.trim().parse() {
            Ok(master) => {
                let _ = kill(Pid::from_raw(master), Signal::SIGTERM);
            }
            Err(_) => {
                let _ = self.child.kill();
            }
        }
        let _ = self.child.wait();
        if thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(4000);
            eprintln!("---- Postfix\n{}", log.get(from..).unwrap_or_default());
        }
    }
}
