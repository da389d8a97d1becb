//! Thousands of strangers at once, each of whom sends as much as it may before anybody knows it: the memory for each is
//! bounded, and those who belong here are served.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use tests::{PASSWORD, Setup, Smtp, eventually, message};

/// Connections, in equal parts at four doors.
const CROWD: usize = 2000;
/// What one connection may take before login, as docs/security.md says.
const EACH_MAX: u64 = 64 * 1024;

/// What a stranger says, by door: as long as it can be without an end that would have it dropped.
fn worst() -> [Vec<u8>; 4] {
    let lines = |head: &str, most: usize| [head.as_bytes(), &vec![b'x'; most]].concat();
    // A first flight of TLS that never ends: a record of 16 KiB with the beginning of a ClientHello of 60 KiB.
    let mut hello = vec![22, 3, 1, 0x40, 0, 1, 0, 0xf0, 0];
    hello.extend(vec![0; 0x4000 - 4 - 100]);
    [
        lines("EHLO client.test\r\nMAIL FROM:<a@b.test> ", 2000),
        lines("EHLO client.test\r\nAUTH PLAIN ", 12_000),
        lines("a LOGIN {4000+}\r\n", 3999),
        hello,
    ]
}

#[test]
fn two_thousand_strangers_take_no_more_than_their_bound() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    assert!(most > 2 * CROWD as u64, "this test needs {} files", 2 * CROWD);
    let mut setup = Setup::new();
    setup.account("alice@example.org");
    let maddy = setup.start();
    // What is made once: threads, caches, the memory of a hash.
    maddy.imap("alice@example.org").ok("NOOP");
    let text = message("eve@remote.test", "alice@example.org", "Before", "text");
    maddy.smtp().deliver("eve@remote.test", &["alice@example.org"], &text);
    let ports = maddy.ports();
    let doors = [ports.smtp, ports.submission, ports.imap, ports.imaps];
    let before = maddy.memory();
    let mut crowd = Vec::new();
    for n in 0..CROWD {
        let at = n % doors.len();
        let mut stream = TcpStream::connect(("127.0.0.1", doors[at])).unwrap();
        if at < 3 {
            // So that what follows is read by somebody.
            let mut greeting = [0; 16];
            stream.read_exact(&mut greeting).unwrap();
        }
        stream.write_all(&worst()[at]).unwrap();
        crowd.push(stream);
    }
    eventually("all are in", || (maddy.handles() >= CROWD).then_some(()));
    let grown = maddy.memory().saturating_sub(before);
    println!("{} KiB for each of {CROWD} strangers", grown / 1024 / CROWD as u64);
    assert!(grown < EACH_MAX * CROWD as u64, "{} KiB for each", grown / 1024 / CROWD as u64);
    // Meanwhile mail comes in and is read.
    let mut smtp = Smtp::begin(tests::Chat::connect(ports.smtp));
    smtp.deliver("eve@remote.test", &["alice@example.org"], &text);
    let mut alice = tests::Imap::begin(tests::Chat::connect(ports.imap));
    alice.log_in("alice@example.org", PASSWORD);
    assert_eq!(alice.count("INBOX"), 2);
}
