//! Programs of the machine send as they always have: `sendmail` with its old flags, its exit statuses, and the names that a
//! user may use; and a machine whose notices go through another server, from the example file.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tests::{Daemon, PASSWORD, Setup, binary, eventually, field, free_port};

/// Exit status, standard output and standard error together.
fn sendmail(name: &Path, config: &Path, arguments: &[&str], input: &str, uid: Option<u32>) -> (i32, String) {
    let mut command = Command::new(name);
    command.args(["-C", config.to_str().unwrap()]).args(arguments);
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

fn scene() -> (Daemon, PathBuf) {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    setup.zone("remote.test MX 10 mx.remote.test");
    let socket = setup.dir().join("sendmail.sock");
    setup.config(&format!(
        "sendmail {{ socket {:?}; domain \"example.org\"; user \"nobody\" {{ sender \"shop@example.org\" }} }}",
        socket.display().to_string()
    ));
    std::fs::set_permissions(setup.dir(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let name = setup.dir().join("sendmail");
    symlink(binary(), &name).unwrap();
    (setup.start(), name)
}

#[test]
fn sendmail_does_what_programs_expect() {
    let (mut maddy, name) = scene();
    let remote = maddy.setup.remote("mx.remote.test", 2);
    let config = maddy.setup.config_file();
    let send = |arguments: &[&str], input: &str| sendmail(&name, &config, arguments, input, None);
    let text = "From: root (Cron Daemon)\nTo: alice\nSubject: Cron <root@box> x\n\nline\n.\nbehind the dot\n";
    assert_eq!(send(&["-FCronDaemon", "-i", "-odi", "-oem", "alice"], text), (0, String::new()));
    let mut imap = maddy.imap("alice@example.org");
    imap.wait_messages("INBOX", 1);
    let mail = imap.texts("INBOX").remove(0);
    assert_eq!(field(&mail, "From").unwrap(), "root@example.org (Cron Daemon)");
    assert!(
        mail.ends_with("\r\nline\r\n.\r\nbehind the dot\r\n") && field(&mail, "Message-ID").is_some(),
        "{mail}"
    );
    assert!(mail.contains("DKIM-Signature:"), "{mail}");

    // From the header, with a blind copy outside; a dot ends it.
    let text = "To: Carl <carl@remote.test>\nBcc: alice\nSubject: x\n\nhi\n.\nnot this\n";
    let (status, said) = send(&["-t", "-f", "alice@example.org", "-v"], text);
    assert!(status == 0 && said.contains(" accepted"), "{status} {said}");
    let sent = remote.wait_mails(1).remove(0);
    assert!(sent.from.starts_with("<alice@example.org>"), "{}", sent.from);
    assert!(sent.message.ends_with("\r\nhi\r\n") && !sent.message.contains("Bcc"), "{}", sent.message);
    imap.wait_messages("INBOX", 2);

    for (arguments, input, status, words) in [
        (&["nobody-at-all"][..], "x", 67, "550 5.1.1"),
        (&["-t"], "Subject: x\n\n", 64, "no recipients"),
        (&[], "", 64, "-t"),
        (&["-N", "sometimes", "alice"], "", 64, "never"),
        (&["-bd"], "", 64, "maddy run"),
        (&["-Z"], "", 64, "not known"),
        (&["alice"], "From: a@b.test\nFrom: c@d.test\n\n", 65, "550 5.6.0"),
        (&["-bi"], "", 0, ""),
    ] {
        let (got, said) = send(arguments, input);
        assert!(got == status && said.contains(words), "{arguments:?}: {got} {said}");
    }
    // SMTP by hand.
    let dialogue = "EHLO x\nMAIL FROM:<alice@example.org>\nRCPT TO:<alice@example.org>\nDATA\nSubject: by hand\n\nhi\n.\nQUIT\n";
    let (status, said) = send(&["-bs"], dialogue);
    assert!(status == 0 && said.contains("250 2.0.0") && said.contains("221 "), "{said}");
    imap.wait_messages("INBOX", 3);
    // The queue under its old name.
    remote.rule("RCPT TO:<carl@*", "450 4.2.0 come again");
    assert_eq!(send(&["carl@remote.test"], "waits\n").0, 0);
    let (status, said) = send(&["-bp"], "");
    assert!(status == 0 && said.contains("carl@remote.test"), "{said}");
    assert_eq!(send(&["-q"], "").0, 0);
    drop(imap);
    maddy.stop();
    let (status, said) = send(&["alice"], "x\n");
    assert!(status == 75 && said.contains("nothing is kept"), "{status} {said}");
}

#[test]
fn a_user_writes_in_its_own_name_only() {
    let (maddy, name) = scene();
    let (config, nobody) = (maddy.setup.config_file(), Some(65534));
    let can = nix_is_root() && {
        let mut version = Command::new(&name);
        version.arg("-bi").uid(65534).gid(65534).stderr(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    if !can {
        eprintln!("skipped: only root can become another user, who must be able to run {}", name.display());
        return;
    }
    let send = |arguments: &[&str], input: &str| sendmail(&name, &config, arguments, input, nobody);
    for (arguments, input, status, words) in [
        (&["alice"][..], "Subject: x\n\nhi", 0, ""),
        (&["-f", "shop@example.org", "alice"], "From: Shop <shop@example.org>\n\nhi", 0, ""),
        (&["-f", "alice", "alice"], "\nhi", 77, "may not write as <alice@example.org>"),
        (&["alice"], "From: alice@example.org\n\nhi", 77, "may not write as <alice@example.org>"),
        (&["alice"], "From: shop@example.org\nSender: alice@example.org\n\nhi", 77, "may not write"),
        // The control socket is not for it.
        (&["-bp"], "", 69, ""),
    ] {
        let (got, said) = send(arguments, input);
        assert!(got == status && said.contains(words), "{arguments:?}: {got} {said}");
    }
    let mut imap = maddy.imap("alice@example.org");
    imap.wait_messages("INBOX", 2);
    let mut from: Vec<String> = imap.texts("INBOX").iter().map(|text| field(text, "From").unwrap()).collect();
    from.sort();
    assert_eq!(from, ["Shop <shop@example.org>", "nobody@example.org"]);
}

fn nix_is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0)
}

/// Ends with this value.
struct Relay(Child);

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn three_lines_make_a_relay_for_the_notices_of_one_machine() {
    let mut setup = Setup::named("mx.example.org", &["example.org", "web1.example.org"]);
    setup.account("web1@example.org");
    setup.account("ops@example.org");
    setup.account("boss@example.org");
    setup.config("aliases { \"*@web1.example.org\" \"web1@example.org\" }");
    let maddy = setup.start();
    let example = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist/examples/notifications.conf"),
    );
    let (dir, port) = (maddy.setup.dir().join("relay"), free_port());
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("password"), format!("{PASSWORD}\n")).unwrap();
    let path = |name: &str| dir.join(name).display().to_string();
    let text = example
        .unwrap()
        .replace("smtp.example.org:465", &format!("localhost:{}", maddy.ports().submission))
        .replace("/etc/maddy/password", &path("password"))
        .replace("/run/maddy", &path("run"));
    let user = if nix_is_root() { "user \"root\"" } else { "" };
    let text = format!(
        "{text}\n{user}\nstate-dir {:?}\nsmtp {{ listen \"127.0.0.1:{port}\" }}\ndelivery {{ ca-file {:?}; retry first=\"1s\" max=\"1s\" }}\n\
         dns {{ server \"{}\" }}\n",
        path("state"),
        maddy.setup.ca().display().to_string(),
        maddy.setup.names().at()
    );
    maddy.setup.zone("localhost A 127.0.0.1");
    let config = dir.join("relay.conf");
    std::fs::write(&config, text).unwrap();
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let child = Command::new(binary()).arg("--config").arg(&config).arg("run").stderr(log).spawn().unwrap();
    let _relay = Relay(child);
    eventually("the relay listens", || TcpStream::connect(("127.0.0.1", port)).ok());
    eventually("the socket is there", || dir.join("run/sendmail.sock").exists().then_some(()));

    let name = dir.join("sendmail");
    symlink(binary(), &name).unwrap();
    let send = |arguments: &[&str], input: &str| sendmail(&name, &config, arguments, input, None);
    assert_eq!(send(&["root"], "Subject: disk full\n\nhelp\n"), (0, String::new()));
    let mut stranger = tests::Smtp::begin(tests::Chat::connect(port));
    stranger.deliver(
        "backup@web1.example.org",
        &["ops@example.org"],
        "From: backup@web1.example.org\r\nSubject: done\r\n\r\nok\r\n",
    );
    stranger.command("MAIL FROM:<boss@example.org>", "550 5.7.1*relay-sender*");
    stranger.command("MAIL FROM:<x@web1.example.org>", "250*");
    stranger.command("RCPT TO:<boss@example.org>", "550 5.7.1*relay-recipient*");
    let (status, said) = send(&["boss@example.org"], "Subject: x\n\nx\n");
    assert!(status == 77 && said.contains("not among the recipients"), "{status} {said}");
    let (status, said) = send(&["-f", "boss@example.org", "root"], "Subject: x\n\nx\n");
    assert!(status == 77 && said.contains("not among the senders"), "{status} {said}");

    let mut ops = maddy.imap("ops@example.org");
    ops.wait_messages("INBOX", 2);
    let mut subjects: Vec<String> =
        ops.texts("INBOX").iter().map(|text| field(text, "Subject").unwrap()).collect();
    subjects.sort();
    assert_eq!(subjects, ["disk full", "done"]);
    let received = ops.texts("INBOX").iter().map(|text| field(text, "Received").unwrap()).collect::<Vec<_>>();
    assert!(
        received.iter().all(|field| field.contains("with ESMTPSA")),
        "over TLS and logged in: {received:?}"
    );
}
