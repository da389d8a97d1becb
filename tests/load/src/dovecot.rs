//! Dovecot as Debian has it (dovecot-imapd, dovecot-lmtpd), with a configuration and directories of its own: flushes
//! on, and tuned as its documentation advises where many log in (processes of login and IMAP are used again).

use crate::server::Server;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use std::fs::{self, File, Permissions};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tests::{eventually, free_port};

/// A running Dovecot; it ends with this value.
pub struct Dovecot {
    child: Child,
    dir: TempDir,
    imap: u16,
    imaps: u16,
    lmtp: u16,
    ca: PathBuf,
}

impl Dovecot {
    /// `format` is how it keeps mail: `maildir`, `sdbox` or `mdbox`; it is ready for so many sessions.
    pub fn start(format: &str, sessions: usize) -> Self {
        let dir = TempDir::with_prefix("load-dovecot-").unwrap();
        let (imap, imaps, lmtp) = (free_port(), free_port(), free_port());
        let names = ["localhost".to_owned()];
        let made = net::demo_ca(&dir.path().join("tls"), &names, &world::SystemClock).unwrap();
        let mail = dir.path().join("mail");
        fs::create_dir(&mail).unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let (owner, internal, login) = users(&mail);
        let text = format!(
            "base_dir = {dir}/run\nstate_dir = {dir}/state\ninstance_name = load\nlog_path = {dir}/dovecot.log\n\
             protocols = imap lmtp\nlisten = 127.0.0.1\nssl = yes\nssl_cert = <{chain}\nssl_key = <{key}\n\
             disable_plaintext_auth = no\nauth_mechanisms = plain\nfirst_valid_uid = 1\n\
             default_internal_user = {internal}\ndefault_internal_group = {group}\ndefault_login_user = {login}\n\
             default_client_limit = {many}\ndefault_process_limit = {many}\ndefault_vsz_limit = 0\n\
             mail_max_userip_connections = {many}\n\
             mail_location = {format}:~/mail\nmail_fsync = always\n\
             passdb {{\n driver = static\n args = nopassword=y\n}}\n\
             userdb {{\n driver = static\n args = uid={owner} gid={owner_group} home={mail}/%u allow_all_users=yes\n}}\n\
             service imap-login {{\n chroot =\n service_count = 0\n process_min_avail = 2\n process_limit = 8\n\
              inet_listener imap {{\n port = {imap}\n }}\n inet_listener imaps {{\n port = {imaps}\n ssl = yes\n }}\n}}\n\
             service imap {{\n service_count = 1000\n process_limit = {many}\n}}\n\
             service lmtp {{\n inet_listener lmtp {{\n address = 127.0.0.1\n port = {lmtp}\n }}\n}}\n\
             service anvil {{\n chroot =\n client_limit = {most}\n}}\nservice auth {{\n client_limit = {most}\n}}\n",
            dir = dir.path().display(),
            chain = made.leaf.chain.display(),
            key = made.leaf.key.display(),
            group = group_of(&internal),
            owner_group = group_of(&owner),
            many = sessions + 2000,
            most = 10 * (sessions + 2000),
            mail = mail.display(),
        );
        let config = dir.path().join("dovecot.conf");
        fs::write(&config, text).unwrap();
        let said = File::create(dir.path().join("said")).unwrap();
        let child = Command::new(program())
            .arg("-F")
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("Dovecot starts: install dovecot-imapd and dovecot-lmtpd, or say --peer none");
        let mut dovecot = Self { child, dir, imap, imaps, lmtp, ca: made.ca };
        for port in [imap, imaps, lmtp] {
            eventually(&format!("port {port} of Dovecot answers"), || {
                if let Some(status) = dovecot.child.try_wait().unwrap() {
                    panic!("Dovecot ended with {status}: {}", dovecot.log());
                }
                TcpStream::connect(("127.0.0.1", port)).ok()
            });
        }
        dovecot
    }

    /// Where it takes mail by LMTP.
    pub fn lmtp(&self) -> u16 {
        self.lmtp
    }

    fn log(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("said") + &read("dovecot.log")
    }
}

fn program() -> &'static Path {
    let path = Path::new("/usr/sbin/dovecot");
    assert!(path.exists(), "Dovecot is missing: install dovecot-imapd and dovecot-lmtpd, or say --peer none");
    path
}

/// Who owns mail, and who the processes are. Only root can give them different users.
fn users(mail: &Path) -> (String, String, String) {
    if Uid::effective().is_root() {
        let owner = User::from_name("mail").unwrap().expect("Debian has the user mail");
        chown(mail, Some(owner.uid.as_raw()), Some(owner.gid.as_raw())).unwrap();
        ("mail".to_owned(), "dovecot".to_owned(), "dovenull".to_owned())
    } else {
        let me = User::from_uid(Uid::effective()).unwrap().expect("the user has a name").name;
        (me.clone(), me.clone(), me)
    }
}

fn group_of(user: &str) -> String {
    let user = User::from_name(user).unwrap().expect("the user exists");
    nix::unistd::Group::from_gid(user.gid).unwrap().expect("the group has a name").name
}

impl Server for Dovecot {
    fn name(&self) -> &'static str {
        "Dovecot"
    }

    fn imap(&self) -> u16 {
        self.imap
    }

    fn imaps(&self) -> u16 {
        self.imaps
    }

    fn ca(&self) -> &Path {
        &self.ca
    }

    fn account(&self, _name: &str) {
        // Whoever knows the password has one.
    }

    fn settle(&self, _account: &str) {
        // It indexes when it is asked, which is what the first round is for.
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        // The first process ends all the others.
        let _ = kill(pid, Signal::SIGTERM);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- Dovecot said\n{}", self.log());
        }
    }
}
