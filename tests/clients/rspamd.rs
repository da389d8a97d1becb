//! A real rspamd on loopback: what it says of a message decides, and the header tells it.

use crate::program::is_missing;
use crate::{reader, scene};
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{assert_like, field, free_port, message};

/// How long it may take to start: it compiles its rules first.
const START: Duration = Duration::from_secs(120);
/// How long it may take to end.
const END: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Ends with this value.
struct Rspamd(Child);

impl Drop for Rspamd {
    /// Asked to end, it ends its workers too.
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.0.id()).expect("a process id"));
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < END && matches!(self.0.try_wait(), Ok(None)) {
            std::thread::sleep(PAUSE);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A scanner without any rules but its test patterns, which asks nobody.
fn start(dir: &Path) -> Result<(Rspamd, SocketAddr), String> {
    let at: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let shown = dir.display();
    // The list of top-level domains that comes with it takes a minute to compile.
    fs::write(dir.join("tld"), "example\ntest\n").unwrap();
    let text = format!(
        "options {{ pidfile = \"{shown}/pid\"; tempdir = \"{shown}\"; filters = \"\"; url_tld = \"{shown}/tld\"; enable_test_patterns = true; \
         control_socket = \"{shown}/control.sock mode=0600\"; \
         dns {{ nameserver = [\"127.0.0.1:9\"]; timeout = 1s; retransmits = 1; }} }}\n\
         logging {{ type = \"console\"; level = \"warning\"; }}\n\
         actions {{ reject = 15; add_header = 6; }}\n\
         worker \"normal\" {{ bind_socket = \"{at}\"; count = 1; }}\n"
    );
    let file = dir.join("rspamd.conf");
    fs::write(&file, text).unwrap();
    let log = fs::File::create(dir.join("rspamd.log")).unwrap();
    let child = Command::new("rspamd")
        .args(["-f", "-i", "-c"])
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut running = Rspamd(child);
    let begun = Instant::now();
    while TcpStream::connect(at).is_err() {
        let ended = running.0.try_wait().unwrap();
        if ended.is_some() || begun.elapsed() > START {
            let said = fs::read_to_string(dir.join("rspamd.log")).unwrap_or_default();
            return Err(format!("rspamd does not start: {said}"));
        }
        std::thread::sleep(PAUSE);
    }
    Ok((running, at))
}

#[test]
fn rspamd_judges_what_the_checks_let_pass() {
    let test = "rspamd_judges_what_the_checks_let_pass";
    if is_missing(test, "rspamd") {
        return;
    }
    let mut setup = scene();
    let dir = setup.dir().join("rspamd");
    fs::create_dir(&dir).unwrap();
    let (_running, at) = start(&dir).unwrap();
    setup.config(&format!("filters {{ rspamd \"http://{at}/\"; }}"));
    let maddy = setup.start();
    // What rspamd knows from the start: patterns for tests (GTUBE), one for each action.
    let gtube =
        |letter: char| format!("{letter}JS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X");
    let mut smtp = maddy.smtp();
    for (body, want) in [(gtube('X'), "550 *"), (gtube('Y'), "250 *"), ("Hello".to_owned(), "250 *")] {
        smtp.command("MAIL FROM:<carol@b.example>", "250*");
        smtp.command("RCPT TO:<alice@example.org>", "250*");
        smtp.data(&message("carol@b.example", "alice@example.org", "Scanned", &body), want);
    }
    let mut imap = reader(&maddy, "alice@example.org");
    assert_eq!((imap.count("INBOX"), imap.count("Junk")), (1, 1));
    let (fine, spam) = (imap.texts("INBOX").remove(0), imap.texts("Junk").remove(0));
    assert_eq!(field(&fine, "X-Spam-Flag").unwrap(), "No");
    assert_like(&field(&fine, "X-Spam-Score").unwrap(), "* of 15.00");
    assert_eq!(field(&spam, "X-Spam-Flag").unwrap(), "Yes");
    assert_like(&field(&spam, "X-Junk-Reason").unwrap(), "*rspamd*");
    // Without it, mail waits, or whatever the configuration says.
    drop(_running);
    smtp.command("MAIL FROM:<carol@b.example>", "250*");
    smtp.command("RCPT TO:<alice@example.org>", "250*");
    smtp.data(&message("carol@b.example", "alice@example.org", "Not scanned", "Hello"), "*");
    maddy.wait_log("*a filter could not be asked*rspamd*");
}
