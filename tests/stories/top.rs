//! `maddy top` on a terminal of its own: it draws, and leaves the terminal as it found it, however it is ended.

use std::process::Command;
use tests::{Output, Setup, assert_like, binary};

/// Runs a command on a pseudo terminal of some size, waits for a word, presses a key, and says how it ended.
const TERMINAL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time
columns, rows, word, key = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode(), sys.argv[4].encode().decode("unicode_escape").encode()
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execv(sys.argv[5], sys.argv[5:])
seen, pressed, end = b"", False, time.time() + 60
while time.time() < end:
    if select.select([master], [], [], 0.1)[0]:
        seen += os.read(master, 65536)
    if word in seen and not pressed:
        assert termios.tcgetattr(slave)[3] & termios.ECHO == 0, "keys are echoed while it runs"
        os.write(master, key)
        pressed = True
    done, status = os.waitpid(child, os.WNOHANG)
    if done:
        break
else:
    os.kill(child, 9)
    sys.exit("it did not end: %r" % seen[-2000:])
while select.select([master], [], [], 0.2)[0]:
    seen += os.read(master, 65536)
assert os.waitstatus_to_exitcode(status) == 0, (status, seen)
assert termios.tcgetattr(slave) == before, "the terminal is not as it was"
assert seen.startswith(b"\x1b[?1049h\x1b[?25l") and seen.endswith(b"\x1b[?25h\x1b[?1049l"), seen
for frame in seen.split(b"\x1b[H")[1:]:
    lines = frame.split(b"\x1b[J")[0].replace(b"\x1b[K", b"").replace(b"\r", b"").split(b"\n")
    assert len(lines) <= rows and all(len(line.decode()) <= columns for line in lines), lines
print("fine")
"#;

#[test]
fn it_draws_and_puts_the_terminal_back() {
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let mut daemon = setup.start();
    let mut imap = daemon.imap("alice@example.org");
    imap.ok("NOOP");
    let config = daemon.setup.config_file();
    for (columns, rows, key) in [("100", "40", "q"), ("80", "24", "\\x03"), ("20", "6", "q")] {
        let output = Command::new("python3")
            .args(["-c", TERMINAL, columns, rows, "sessions:", key])
            .arg(binary())
            .args(["top", "--every", "1", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        assert_eq!(Output::of(output).ok(), "fine\n", "{columns} {rows} {key}");
    }
    // Without a terminal it is said once.
    let text = daemon.cli(&["top"]).ok();
    assert_like(&text, "*sessions: smtp *imap 1*queue: empty*imap *alice@example.org*");
    assert!(!text.contains('\u{1b}'));
    let json: serde_json::Value = serde_json::from_str(&daemon.cli(&["top", "--json"]).ok()).unwrap();
    assert_eq!((&json["imap"], &json["sessions"][0]["account"]), (&1.into(), &"alice@example.org".into()));
    assert_eq!(json["totals"]["logins"], 1);
    daemon.stop();
    assert!(daemon.cli(&["top"]).fails().contains("no daemon answers"));
}
