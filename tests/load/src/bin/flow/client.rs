//! Many senders at once, each on a connection of its own, as cheap as they can be: SMTP here, LMTP there. Each message is promised
//! before the next is begun on its connection.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use load::mails;
use load::memory::worked;
use nix::sys::resource::{UsageWho, getrusage};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tests::PASSWORD;

/// Messages of a kind that differ in more than their names.
const KINDS: usize = 64;
/// Octets of the stack of a sender.
const STACK: usize = 128 * 1024;
/// How long a server may be silent before the run fails.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that takes mail, and all processes that work for it.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) pids: Vec<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Smtp,
    /// After a login.
    Submission,
    Lmtp,
}

/// What is to be sent.
pub(crate) struct Work<'a> {
    pub(crate) connections: usize,
    pub(crate) mails: usize,
    pub(crate) texts: &'a [Vec<u8>],
    pub(crate) from: &'a str,
    /// The recipients of the message with a number.
    pub(crate) to: &'a (dyn Fn(usize) -> Vec<String> + Sync),
    /// What stands behind the sender in MAIL.
    pub(crate) parameters: &'a str,
}

/// What it came to.
pub(crate) struct Run {
    pub(crate) took: Duration,
    /// From MAIL to the last reply of each message, in milliseconds, the shortest first.
    pub(crate) waits: Vec<f64>,
    /// Time of the processor for each message, in microseconds.
    pub(crate) work: f64,
    /// The same of this process.
    pub(crate) own: f64,
}

impl Run {
    pub(crate) fn rate(&self) -> f64 {
        self.waits.len() as f64 / self.took.as_secs_f64()
    }

    /// The wait that this part of all messages does not exceed.
    pub(crate) fn wait(&self, part: f64) -> f64 {
        let at = (self.waits.len() as f64 * part).ceil() as usize;
        self.waits.get(at.clamp(1, self.waits.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
    }
}

/// Texts of about so many octets, by this author.
pub(crate) fn texts(octets: usize, from: &str) -> Vec<Vec<u8>> {
    let kinds = if octets > 64 * 1024 { 1 } else { KINDS };
    let text = |number: usize| {
        let mut text = String::new();
        while text.len() < octets {
            text.push_str(&mails::mail(number * 1000 + text.len()));
        }
        let (head, author) = text.split_once("\r\nFrom: ").expect("it has an author");
        let (_, rest) = author.split_once("\r\n").expect("something stands behind its author");
        text = format!("{head}\r\nFrom: {from}\r\n{rest}");
        // The first header remains one; those behind it are text.
        let octets = octets.min(text.len());
        text.truncate(text[..octets].rfind('\n').map_or(octets, |at| at + 1));
        text.into_bytes()
    };
    (0..kinds).map(text).collect()
}

/// Sends all of it; `after` waits for what must be over before the clock stops.
pub(crate) fn run(target: &Target, work: &Work<'_>, after: impl FnOnce()) -> Run {
    let next = AtomicUsize::new(0);
    let (begun, before, own) = (Instant::now(), all(target), own_work());
    let mut waits: Vec<f64> = thread::scope(|scope| {
        let senders: Vec<_> = (0..work.connections)
            .map(|_| {
                let sender = thread::Builder::new().stack_size(STACK);
                sender.spawn_scoped(scope, || send(target, work, &next)).unwrap()
            })
            .collect();
        senders.into_iter().flat_map(|sender| sender.join().expect("a sender goes on to its end")).collect()
    });
    after();
    let took = begun.elapsed();
    let each = |work: Duration| work.as_secs_f64() * 1e6 / waits.len() as f64;
    let (theirs, own) = (each(all(target).saturating_sub(before)), each(own_work().saturating_sub(own)));
    waits.sort_by(f64::total_cmp);
    Run { took, waits, work: theirs, own }
}

fn all(target: &Target) -> Duration {
    target.pids.iter().map(|pid| worked(*pid)).sum()
}

fn own_work() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        Duration::from_micros(time.tv_sec().unsigned_abs() * 1_000_000 + time.tv_usec().unsigned_abs())
    };
    of(usage.user_time()) + of(usage.system_time())
}

fn send(target: &Target, work: &Work<'_>, next: &AtomicUsize) -> Vec<f64> {
    let mut waits = Vec::new();
    let mut taken = next.fetch_add(1, Ordering::Relaxed);
    if taken >= work.mails {
        return waits;
    }
    let mut peer = Peer::connect(target, work.from);
    while taken < work.mails {
        let to = (work.to)(taken);
        let begun = Instant::now();
        let mut begin = format!("MAIL FROM:<{}>{}\r\n", work.from, work.parameters);
        for one in &to {
            begin.push_str(&format!("RCPT TO:<{one}>\r\n"));
        }
        begin.push_str("DATA\r\n");
        peer.say(begin.as_bytes());
        peer.expect("250");
        for _ in &to {
            peer.expect("250");
        }
        peer.expect("354");
        let head = format!("X-Number: {taken}\r\nX-Process: {}\r\n", std::process::id());
        let text = &work.texts[taken % work.texts.len()];
        if text.len() < 64 * 1024 {
            peer.say(&[head.as_bytes(), text, b".\r\n"].concat());
        } else {
            for piece in [head.as_bytes(), text, b".\r\n"] {
                peer.say(piece);
            }
        }
        let replies = if target.protocol == Protocol::Lmtp { to.len() } else { 1 };
        for _ in 0..replies {
            peer.expect("250");
        }
        waits.push(begun.elapsed().as_secs_f64() * 1e3);
        taken = next.fetch_add(1, Ordering::Relaxed);
    }
    peer.say(b"QUIT\r\n");
    waits
}

struct Peer {
    input: BufReader<TcpStream>,
    output: TcpStream,
}

impl Peer {
    fn connect(target: &Target, user: &str) -> Self {
        let output = TcpStream::connect(("127.0.0.1", target.port)).unwrap();
        output.set_nodelay(true).unwrap();
        output.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut peer = Self { input: BufReader::new(output.try_clone().unwrap()), output };
        peer.expect("220");
        peer.say(match target.protocol {
            Protocol::Smtp | Protocol::Submission => b"EHLO client.test\r\n",
            Protocol::Lmtp => b"LHLO client.test\r\n",
        });
        peer.expect("250");
        if target.protocol == Protocol::Submission {
            let secret = STANDARD.encode(format!("\0{user}\0{PASSWORD}"));
            peer.say(format!("AUTH PLAIN {secret}\r\n").as_bytes());
            peer.expect("235");
        }
        peer
    }

    fn say(&mut self, octets: &[u8]) {
        self.output.write_all(octets).unwrap();
    }

    /// One reply, of several lines perhaps.
    #[track_caller]
    fn expect(&mut self, code: &str) {
        let mut line = String::new();
        loop {
            line.clear();
            self.input.read_line(&mut line).unwrap();
            assert!(line.starts_with(code), "{code} was expected, and this came: {line}");
            if line.as_bytes().get(3) != Some(&b'-') {
                return;
            }
        }
    }
}
