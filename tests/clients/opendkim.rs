//! A real milter, OpenDKIM: it hears a message step by step and puts a field into its header.

use crate::program::{is_missing, run};
use crate::{reader, scene};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tests::{assert_like, eventually, field, message};

/// Ends with this value.
struct OpenDkim(Child);

impl Drop for OpenDkim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Signs what comes from this machine for b.example. Its socket is `milter.sock` in `dir`.
fn start(dir: &Path) -> OpenDkim {
    run(dir, "openssl", &["genrsa", "-out", "key.pem", "2048"]).fine();
    fs::set_permissions(dir.join("key.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    let at = dir.display();
    let text = format!(
        "Mode s\nDomain b.example\nSelector sel\nKeyFile {at}/key.pem\nSocket local:{at}/milter.sock\n\
         InternalHosts 127.0.0.1\nCanonicalization relaxed/relaxed\nRequireSafeKeys false\nSyslog no\n\
         Background no\nPidFile {at}/pid\n"
    );
    fs::write(dir.join("opendkim.conf"), text).unwrap();
    let child = Command::new("/usr/sbin/opendkim")
        .args(["-f", "-x"])
        .arg(dir.join("opendkim.conf"))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let running = OpenDkim(child);
    eventually("OpenDKIM listens", || std::os::unix::net::UnixStream::connect(dir.join("milter.sock")).ok());
    running
}

#[test]
fn opendkim_signs_through_the_milter_protocol() {
    let test = "opendkim_signs_through_the_milter_protocol";
    if is_missing(test, "opendkim") || is_missing(test, "openssl") {
        return;
    }
    let mut setup = scene();
    let _running = start(setup.dir());
    let socket = setup.dir().join("milter.sock").display().to_string();
    setup.config(&format!("filters {{ milter \"unix:{socket}\" }}"));
    let maddy = setup.start();
    // Two messages over one connection: the conversation with the filter goes on.
    let mut smtp = maddy.smtp();
    for subject in ["first", "second"] {
        smtp.deliver(
            "carol@b.example",
            &["alice@example.org"],
            &message("carol@b.example", "alice@example.org", subject, "Hello"),
        );
    }
    let mut imap = reader(&maddy, "alice@example.org");
    for mailbox in ["INBOX", "Junk"] {
        for text in imap.texts(mailbox) {
            let signature =
                field(&text, "DKIM-Signature").unwrap_or_else(|| panic!("no signature in\n{text}"));
            assert_like(&signature, "*d=b.example*s=sel*");
        }
    }
    assert_eq!(imap.count("INBOX") + imap.count("Junk"), 2);
}
