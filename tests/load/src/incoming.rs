//! Messages of 4 KiB into a mailbox, each promised before the next is begun on its connection: SMTP here, LMTP there.

use crate::mails;
use crate::memory::worked;
use crate::options::Options;
use crate::server::{Inbound, Server};
use crate::shapes::Sample;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Octets of a message.
const SIZE: usize = 4096;
/// Accounts that get them.
const ACCOUNTS: usize = 10;

pub(crate) fn rate(server: &dyn Server, options: &Options) -> Vec<(String, Sample)> {
    for n in 0..ACCOUNTS {
        server.account(&address(n));
    }
    let inbound = server.inbound();
    let mut lines = Vec::new();
    for connections in &options.connections {
        let left = AtomicUsize::new(options.mails);
        let (begun, work) = (Instant::now(), worked(server.pid()));
        thread::scope(|scope| {
            for n in 0..*connections {
                let left = &left;
                scope.spawn(move || send(inbound, &address(n % ACCOUNTS), n, left));
            }
        });
        let took = begun.elapsed().as_secs_f64();
        let work = (worked(server.pid()).saturating_sub(work)).as_secs_f64() / options.mails as f64;
        eprintln!(
            "{}: {connections} connections, {:.0} µs of processor a message",
            server.name(),
            work * 1e6
        );
        lines.push((format!("{connections} connections"), Sample::Rate(options.mails as f64 / took)));
    }
    lines
}

fn address(n: usize) -> String {
    format!("incoming{n}@example.org")
}

fn send(inbound: Inbound, to: &str, number: usize, left: &AtomicUsize) {
    let (port, hello) = match inbound {
        Inbound::Smtp(port) => (port, "EHLO"),
        Inbound::Lmtp(port) => (port, "LHLO"),
    };
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut output = stream;
    expect(&mut input, "220");
    output.write_all(format!("{hello} client.example.net\r\n").as_bytes()).unwrap();
    expect(&mut input, "250");
    while take(left) {
        let begin = format!("MAIL FROM:<sender@example.net>\r\nRCPT TO:<{to}>\r\nDATA\r\n");
        output.write_all(begin.as_bytes()).unwrap();
        for code in ["250", "250", "354"] {
            expect(&mut input, code);
        }
        let mut mail = mails::mail(number * 1_000_000 + left.load(Ordering::Relaxed));
        while mail.len() < SIZE {
            mail.push_str("and some more words to fill what is left of it, line by line\r\n");
        }
        mail.push_str(".\r\n");
        output.write_all(mail.as_bytes()).unwrap();
        expect(&mut input, "250");
    }
    output.write_all(b"QUIT\r\n").unwrap();
}

fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// One reply, of several lines perhaps.
#[track_caller]
fn expect(input: &mut impl BufRead, code: &str) {
    let mut line = String::new();
    loop {
        line.clear();
        input.read_line(&mut line).unwrap();
        assert!(line.starts_with(code), "{code} was expected, and this came: {line}");
        if line.as_bytes().get(3) != Some(&b'-') {
            return;
        }
    }
}
