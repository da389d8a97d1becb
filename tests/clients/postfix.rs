//! A real Postfix as the other mail server: mail to it and from it, over TLS, and what each side says of mail that the
//! other refuses.

use crate::program::{is_missing, run, skip};
use crate::{reader, scene};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User, chown};
use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tests::{Daemon, Setup, eventually, field};

/// The address that Postfix listens on; the DNS of the scene says that it is mx.postfix.test.
const ADDRESS: &str = "127.0.0.9";

/// A Postfix with a configuration, a queue and mailboxes of its own; it ends with this value.
struct Postfix {
    dir: TempDir,
    child: Child,
    port: u16,
}

/// Whether this Postfix can be run here; Postfix gives its parts their own users, so it must begin as root.
fn is_impossible(test: &str) -> bool {
    if is_missing(test, "postfix") {
        return true;
    }
    let stranger = !Uid::effective().is_root();
    if stranger {
        skip(test, "Postfix can only be started by root");
    }
    stranger
}

impl Postfix {
    /// `port` is where the scene expects other servers; `ours` is our port for mail from outside.
    fn start(setup: &Setup) -> Self {
        Self::start_with(setup, "")
    }

    /// With more lines in its configuration.
    fn start_with(setup: &Setup, more: &str) -> Self {
        let dir = TempDir::with_prefix("maddy-postfix-").unwrap();
        // Its parts run as other users and must find their way in.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["etc", "queue", "data", "mail"] {
            fs::create_dir(dir.path().join(sub)).unwrap();
        }
        give(&dir.path().join("data"), "postfix");
        give(&dir.path().join("mail"), "nobody");
        let port = setup.ports().remote;
        fs::write(dir.path().join("etc/main.cf"), main_cf(dir.path(), setup) + more).unwrap();
        fs::write(dir.path().join("etc/master.cf"), master_cf(port)).unwrap();
        let said = fs::File::create(dir.path().join("said")).unwrap();
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
        eventually("Postfix answers", || std::net::TcpStream::connect((ADDRESS, port)).ok());
        postfix
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What it logged.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The messages in a mailbox, once there are so many.
    fn wait_mails(&self, user: &str, n: usize) -> Vec<String> {
        eventually(&format!("{n} messages for {user} at Postfix"), || {
            let entries = fs::read_dir(self.path(&format!("mail/{user}/new"))).ok()?;
            let mails: Vec<String> =
                entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
            (mails.len() >= n).then_some(mails)
        })
    }

    /// Gives it a mail as a client of its own.
    fn send(&self, from: &str, to: &str, message: &str) {
        let file = self.path("mail.txt");
        // swaks adds the last line break itself.
        fs::write(&file, message.trim_end()).unwrap();
        let server = format!("{ADDRESS}:{}", self.port);
        let data = format!("@{}", file.display());
        let arguments = ["--server", &server, "--from", from, "--to", to, "--data", &data, "--timeout", "20"];
        run(self.dir.path(), "swaks", &arguments).fine();
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        // The script that began in the foreground waits for the master process, which ends all others.
        let master = fs::read_to_string(self.path("queue/pid/master.pid")).unwrap_or_default();
        if let Ok(master) = master.trim().parse() {
            let _ = kill(Pid::from_raw(master), Signal::SIGTERM);
        } else {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("---- Postfix\n{}", self.log());
        }
    }
}

fn give(path: &Path, user: &str) {
    let user = User::from_name(user).unwrap().unwrap_or_else(|| panic!("there is no user {user}"));
    chown(path, Some(user.uid), Some(user.gid)).unwrap();
}

fn main_cf(dir: &Path, setup: &Setup) -> String {
    let nobody = User::from_name("nobody").unwrap().unwrap();
    let files = setup.certificate();
    let dir = dir.display();
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
virtual_mailbox_domains = postfix.test
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = inline:{{ bob@postfix.test=bob/, carol@postfix.test=carol/ }}
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_tls_security_level = may
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
smtpd_tls_received_header = yes
smtpd_tls_loglevel = 1
smtp_tls_security_level = verify
smtp_tls_verify_cert_match = nexthop
smtp_tls_CAfile = {ca}
smtp_tls_loglevel = 1
smtp_dns_support_level = disabled
smtp_host_lookup = native
transport_maps = inline:{{ example.org=smtp:[localhost]:{ours} }}
",
        uid = nobody.uid,
        gid = nobody.gid,
        chain = files.chain.display(),
        key = files.key.display(),
        ca = setup.ca().display(),
        ours = setup.ports().smtp,
    )
}

fn master_cf(port: u16) -> String {
    format!(
        "{ADDRESS}:{port} inet n - n - - smtpd
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
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"
    )
}

fn start() -> (Daemon, Postfix) {
    start_with(scene())
}

fn start_with(setup: Setup) -> (Daemon, Postfix) {
    setup.zone("postfix.test MX 10 mx.postfix.test");
    setup.zone(&format!("mx.postfix.test A {ADDRESS}"));
    let postfix = Postfix::start(&setup);
    (setup.start(), postfix)
}

/// One of our senders, over TLS.
fn sender(maddy: &Daemon) -> tests::Smtp {
    let chat = tests::Chat::connect_tls(maddy.ports().submissions, &maddy.setup.ca());
    let mut smtp = tests::Smtp::begin(chat);
    smtp.log_in("alice@example.org", tests::PASSWORD);
    smtp
}

const BODY: &str = "first line\r\n.a dot\r\n..two dots\r\n.\r\ngrüße, 8 bit\r\nlast line";

#[test]
fn mail_goes_out_to_postfix_over_tls() {
    if is_impossible("mail_goes_out_to_postfix_over_tls") {
        return;
    }
    let (maddy, postfix) = start();
    let text = tests::message("alice@example.org", "bob@postfix.test", "out", BODY);
    sender(&maddy).deliver("alice@example.org", &["bob@postfix.test", "carol@postfix.test"], &text);
    for user in ["bob", "carol"] {
        let mail = postfix.wait_mails(user, 1).remove(0);
        assert!(mail.ends_with(&format!("\n\n{}\n", BODY.replace("\r\n", "\n"))), "{mail}");
        assert!(mail.contains("Return-Path: <alice@example.org>"), "{mail}");
        assert!(mail.contains("by mx.postfix.test (Postfix) with ESMTPS"), "{mail}");
        assert!(mail.contains("with ESMTPSA id "), "{mail}");
    }
    // Both in one transaction.
    let log = postfix.log();
    assert_eq!(log.matches("nrcpt=2 (queue active)").count(), 1, "{log}");
    assert!(log.contains("TLS connection established from"), "{log}");
    // Postfix offers CHUNKING, and so there are no dots to double.
    let log = eventually("Postfix notes the end of the connection", || {
        let log = postfix.log();
        log.contains(" bdat=1 ").then_some(log)
    });
    assert!(!log.contains(" data="), "{log}");
}

/// Behind us, Postfix judges and logs the client that brought a message to us.
#[test]
fn postfix_hears_by_xclient_who_the_client_is() {
    if is_impossible("postfix_hears_by_xclient_who_the_client_is") {
        return;
    }
    let mut setup = scene();
    setup.option("smtp", "xclient-from \"127.0.0.1\"");
    setup.config("aliases { \"out@example.org\" \"carol@postfix.test\"; }");
    let port = setup.ports().remote;
    let to = format!("to \"mx.postfix.test:{port}\" tls=\"opportunistic\" client=\"xclient\"");
    setup.option("delivery", &format!("route \"behind\" {{ recipients \"postfix.test\"; {to}; }}"));
    let (maddy, postfix) = start_with(setup);
    let mut relay = maddy.smtp();
    relay.command("XCLIENT ADDR=192.0.2.1 PORT=4711 HELO=far.test PROTO=ESMTP", "220*");
    relay.command("EHLO far.test", "250*");
    let text = tests::message("eve@remote.test", "out@example.org", "from afar", "x");
    relay.deliver("eve@remote.test", &["out@example.org"], &text);
    let mail = postfix.wait_mails("carol", 1).remove(0);
    // The name is the one of our EHLO behind XCLIENT, the address the client's.
    assert!(mail.contains("from mx.example.org (unknown [192.0.2.1])"), "{mail}");
    assert!(postfix.log().contains("client=unknown[192.0.2.1]"), "{}", postfix.log());
}

/// What Postfix asks who knows passwords: with somebody there it takes logins, and so LOGIN of XCLIENT as well. It says what
/// there is (the protocol of Dovecot), and knows nobody.
fn authority() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let hello = "VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t00\nDONE\n";
                let _ = (&stream).write_all(hello.as_bytes());
                // Until Postfix hangs up.
                let _ = std::io::copy(&mut &stream, &mut std::io::sink());
            });
        }
    });
    port
}

/// Behind us, Postfix knows which account a message comes from.
#[test]
fn postfix_hears_by_xclient_who_has_logged_in() {
    if is_impossible("postfix_hears_by_xclient_who_has_logged_in") {
        return;
    }
    let mut setup = scene();
    let port = setup.ports().remote;
    let to = format!("to \"mx.postfix.test:{port}\" tls=\"opportunistic\" client=\"xclient\"");
    setup.option("delivery", &format!("route \"behind\" {{ recipients \"postfix.test\"; {to}; }}"));
    setup.zone(&format!("mx.postfix.test A {ADDRESS}"));
    let logins = format!(
        "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = inet:127.0.0.1:{}\n",
        authority()
    );
    let postfix = Postfix::start_with(&setup, &logins);
    let maddy = setup.start();
    let text = tests::message("alice@example.org", "bob@postfix.test", "who", "x");
    sender(&maddy).deliver("alice@example.org", &["bob@postfix.test"], &text);
    postfix.wait_mails("bob", 1);
    let log = postfix.log();
    assert!(
        log.contains("client=unknown[127.0.0.1], sasl_method=XCLIENT, sasl_username=alice@example.org"),
        "{log}"
    );
}

#[test]
fn a_header_in_utf8_travels_with_smtputf8() {
    if is_impossible("a_header_in_utf8_travels_with_smtputf8") {
        return;
    }
    let (maddy, postfix) = start();
    let text = tests::message("alice@example.org", "bob@postfix.test", "Grüße", "x");
    let mut smtp = sender(&maddy);
    smtp.command("MAIL FROM:<alice@example.org> SMTPUTF8 BODY=8BITMIME", "250*");
    smtp.command("RCPT TO:<bob@postfix.test>", "250*");
    smtp.data(&text, "250*");
    let mail = postfix.wait_mails("bob", 1).remove(0);
    assert!(mail.contains("\nSubject: Grüße\n"), "{mail}");
    assert!(mail.contains("with UTF8SMTPS id "), "{mail}");
}

#[test]
fn a_recipient_that_postfix_refuses_comes_back_as_a_notice() {
    if is_impossible("a_recipient_that_postfix_refuses_comes_back_as_a_notice") {
        return;
    }
    let (maddy, postfix) = start();
    let text = tests::message("alice@example.org", "nobody@postfix.test", "lost", "x");
    sender(&maddy).deliver("alice@example.org", &["nobody@postfix.test", "bob@postfix.test"], &text);
    postfix.wait_mails("bob", 1);
    let mut imap = reader(&maddy, "alice@example.org");
    imap.wait_messages("INBOX", 1);
    let notice = imap.text(1);
    assert_eq!(field(&notice, "Return-Path").as_deref(), Some("<>"), "{notice}");
    for want in [
        "Final-Recipient: rfc822; nobody@postfix.test\r\n",
        "Action: failed\r\n",
        "Status: 5.1.1\r\n",
        "Remote-MTA: dns; mx.postfix.test\r\n",
        "User unknown in virtual mailbox table",
        "Subject: lost\r\n",
    ] {
        assert!(notice.replace("\r\n ", " ").contains(want), "wanted {want}\n{notice}");
    }
    assert!(!notice.contains("rfc822; bob@postfix.test"), "{notice}");
}

#[test]
fn mail_comes_in_from_postfix_over_verified_tls() {
    if is_impossible("mail_comes_in_from_postfix_over_verified_tls") || is_missing("postfix", "swaks") {
        return;
    }
    let (maddy, postfix) = start();
    let text = tests::message("bob@postfix.test", "alice@example.org", "in", BODY);
    postfix.send("bob@postfix.test", "alice@example.org", &text);
    let mut imap = reader(&maddy, "alice@example.org");
    imap.wait_messages("INBOX", 1);
    let mail = imap.text(1);
    assert!(mail.ends_with(&format!("\r\n\r\n{BODY}\r\n")), "{mail}");
    assert_eq!(field(&mail, "Return-Path").as_deref(), Some("<bob@postfix.test>"), "{mail}");
    assert_eq!(field(&mail, "Delivered-To").as_deref(), Some("alice@example.org"), "{mail}");
    let received = field(&mail, "Received").unwrap();
    assert!(
        received.contains("from mx.postfix.test ") && received.contains(" with ESMTPS id "),
        "{received}"
    );
    let log = eventually("Postfix notes the delivery", || {
        let log = postfix.log();
        log.contains("status=sent (250 2.0.0").then_some(log)
    });
    assert!(log.contains("Verified TLS connection established to localhost[127.0.0.1]"), "{log}");
}

#[test]
fn a_recipient_that_we_refuse_comes_back_from_postfix() {
    if is_impossible("a_recipient_that_we_refuse_comes_back_from_postfix") || is_missing("postfix", "swaks") {
        return;
    }
    let (maddy, postfix) = start();
    let text = tests::message("bob@postfix.test", "ghost@example.org", "ghost", "x");
    postfix.send("bob@postfix.test", "ghost@example.org", &text);
    let notice = postfix.wait_mails("bob", 1).remove(0);
    assert!(notice.contains("Status: 5.1.1") && notice.contains("550 5.1.1"), "{notice}");
    assert_eq!(reader(&maddy, "alice@example.org").count("INBOX"), 0);
}
