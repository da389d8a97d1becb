//! Who sends an octet now and then, or reads one, keeps a place for a limited time and keeps nobody else out; however busily it
//! talks, each command, each message and each login must come to its end.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use tests::{Chat, Daemon, Imap, PASSWORD, Setup, Smtp, eventually, message};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";
/// Between two octets: far less than any limit here.
const INTERVAL: Duration = Duration::from_millis(25);
/// Octets after which a peer that nobody stopped is a failure: many times what its limit leaves room for.
const ENDLESS: usize = 4000;

fn scene(prepare: impl FnOnce(&mut Setup)) -> Daemon {
    let mut setup = Setup::new();
    setup.account(ALICE);
    setup.account(BOB);
    prepare(&mut setup);
    setup.start()
}

/// A line, and what the answer to it holds.
type Line = (&'static str, &'static str);

/// Says `before` line by line, hearing each answer, then an octet of `more` at each interval, until the daemon hangs up; the last
/// line that it said.
fn drip(mut chat: Chat, before: &[Line], more: &str) -> String {
    chat.hear();
    for (line, answer) in before {
        chat.say(line);
        while !chat.hear().contains(answer) {}
    }
    chat.patience(INTERVAL);
    let mut last = String::new();
    for octet in more.bytes().cycle().take(ENDLESS) {
        match chat.try_hear() {
            Ok(Some(line)) => last = line,
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {}
            Ok(None) | Err(_) => return last,
        }
        // Who has hung up is heard the next time.
        let _ = chat.try_send(&[octet]);
    }
    panic!("it may go on for ever: {}", chat.said());
}

#[test]
fn an_octet_now_and_then_ends_no_command_and_no_message_late() {
    let maddy = scene(|setup| {
        for node in ["smtp", "submission"] {
            setup.option(node, "command-timeout \"1s\"");
            setup.option(node, "data-timeout \"1s\"");
            setup.option(node, "message-timeout \"2s\"");
        }
    });
    let ports = maddy.ports();
    let hello = ("EHLO a.test", "250 ");
    let mail = [
        hello,
        ("MAIL FROM:<eve@remote.test>", "250 "),
        ("RCPT TO:<alice@example.org>", "250 "),
        ("DATA", "354 "),
    ];
    let chunk = [hello, mail[1], mail[2]];
    let jobs: Vec<(u16, Vec<Line>, &str)> = vec![
        // A command that does not end.
        (ports.smtp, vec![hello], "MAIL FROM:<a"),
        (ports.submission, vec![hello], "AUTH PLAIN a"),
        // A message that does not end: in one line, in many, in a chunk that was announced.
        (ports.smtp, mail.to_vec(), "x"),
        (ports.smtp, mail.to_vec(), "x\r\n"),
        (ports.smtp, chunk.to_vec(), "BDAT 99999\r\nxxxxxxxx"),
    ];
    let slow: Vec<_> = jobs
        .into_iter()
        .map(|(port, before, more)| thread::spawn(move || drip(Chat::connect(port), &before, more)))
        .collect();
    // Meanwhile the others are served.
    let text = message("eve@remote.test", BOB, "Meanwhile", "text");
    let mut smtp = maddy.smtp();
    smtp.deliver("eve@remote.test", &[BOB], &text);
    for one in slow {
        let last = one.join().unwrap();
        assert!(last.starts_with("421 4.4.2"), "{last}");
    }
    assert_eq!((maddy.imap(BOB).count("INBOX"), maddy.imap(ALICE).count("INBOX")), (1, 0));
}

#[test]
fn a_crowd_of_slow_senders_keeps_nobody_out() {
    /// At each of three doors.
    const CROWD: usize = 200;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let maddy = scene(|_| {});
    let ports = maddy.ports();
    let begin = "EHLO a.test\r\nMAIL FROM:<eve@remote.test>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n";
    let doors = [(ports.smtp, begin), (ports.submission, "EHLO a.test\r\nAUTH "), (ports.imap, "a LOGIN ")];
    let mut crowd: Vec<TcpStream> = Vec::new();
    for (port, begin) in doors {
        for _ in 0..CROWD {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(begin.as_bytes()).unwrap();
            crowd.push(stream);
        }
    }
    eventually("all are in", || (maddy.handles() >= 3 * CROWD).then_some(()));
    let text = message("eve@remote.test", BOB, "Meanwhile", "text");
    for round in 1..=3 {
        for stream in &mut crowd {
            stream.write_all(b"x").unwrap();
        }
        // At every door somebody new comes in and is served.
        let mut smtp = Smtp::begin(Chat::connect(ports.smtp));
        smtp.deliver("eve@remote.test", &[BOB], &text);
        let mut sender = maddy.submit(BOB);
        sender.deliver(BOB, &[BOB], &message(BOB, BOB, "Meanwhile", "text"));
        let mut bob = Imap::begin(Chat::connect(ports.imap));
        bob.log_in(BOB, PASSWORD);
        assert_eq!(bob.count("INBOX"), 2 * round);
    }
    // They are still there; those at IMAP may have been sent away where the machine is slow.
    assert!(maddy.handles() >= 2 * CROWD);
}

#[test]
fn who_takes_nothing_is_dropped_and_its_place_is_free() {
    let maddy = scene(|setup| {
        setup.option("limits", "write-timeout \"1s\"");
        setup.option("imap", "connections-per-account 2");
    });
    let text = message("eve@remote.test", ALICE, "Large", &"0123456789abcdef\r\n".repeat(30_000));
    let mut smtp = maddy.smtp();
    (0..30).for_each(|_| drop(smtp.deliver("eve@remote.test", &[ALICE], &text)));
    let mut greedy: Vec<Imap> = (0..2).map(|_| maddy.imap(ALICE)).collect();
    for eve in &mut greedy {
        eve.ok("SELECT INBOX");
        // More than the system holds for a socket.
        eve.send(b"x FETCH 1:* (BODY.PEEK[])\r\n");
    }
    // Both places are taken until the daemon gives up on them.
    eventually("there is a place again", || {
        let mut chat = Chat::connect(maddy.ports().imap);
        chat.hear();
        chat.say(&format!("a LOGIN {ALICE} \"{PASSWORD}\""));
        chat.try_hear().ok()?.filter(|line| line.starts_with("a OK"))
    });
    drop(greedy);
}
