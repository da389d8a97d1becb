//! The other servers, all in one: takes every message on addresses 127.1.A.B of one port, offers PIPELINING, and counts.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tests::free_port;

/// Octets of the stack of one thread.
const STACK: usize = 64 * 1024;
/// How long all messages may take to come.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is looked whether they have.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Address and domain of a destination: `dAxB.test` lies on 127.1.A.B.
pub(crate) fn domain(destination: usize) -> String {
    let (a, b) = (destination / 250, destination % 250 + 1);
    format!("d{a}x{b}.test")
}

fn address(destination: usize) -> Ipv4Addr {
    let (a, b) = (destination / 250, destination % 250 + 1);
    Ipv4Addr::new(127, 1, u8::try_from(a).expect("so many destinations"), u8::try_from(b).expect("up to 250"))
}

/// The records by which the destinations are found.
pub(crate) fn zone(destinations: usize) -> String {
    let record = |n: usize| {
        let (domain, ip) = (domain(n), address(n));
        format!("{domain} MX 10 mx.{domain}\nmx.{domain} A {ip}\n")
    };
    (0..destinations).map(record).collect()
}

#[derive(Default)]
struct Seen {
    /// The number of each message in the order in which they came.
    numbers: Vec<u32>,
    connections: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Runs until the process ends.
pub(crate) struct Sink {
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
}

/// What has come since the last call.
pub(crate) struct Came {
    pub(crate) numbers: Vec<u32>,
    pub(crate) connections: usize,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

impl Sink {
    pub(crate) fn start(destinations: usize) -> Self {
        let port = free_port();
        let seen: Arc<Mutex<Seen>> = Arc::default();
        for n in 0..destinations {
            let listener = TcpListener::bind((address(n), port)).unwrap();
            let seen = Arc::clone(&seen);
            spawn(move || {
                for stream in listener.incoming().flatten() {
                    lock(&seen).connections += 1;
                    let seen = Arc::clone(&seen);
                    // A server that ends breaks off its own conversation only.
                    spawn(move || drop(converse(stream, &seen)));
                }
            });
        }
        Self { port, seen }
    }

    /// Waits until so many messages have come, and begins to count anew.
    pub(crate) fn wait(&self, mails: usize) -> Came {
        let begun = Instant::now();
        while lock(&self.seen).numbers.len() < mails && begun.elapsed() < PATIENCE {
            thread::sleep(LOOK_EVERY);
        }
        let seen = std::mem::take(&mut *lock(&self.seen));
        assert!(seen.numbers.len() >= mails, "{} of {mails} messages have come", seen.numbers.len());
        let time = |time: Option<Instant>| time.unwrap_or_else(Instant::now);
        Came {
            numbers: seen.numbers,
            connections: seen.connections,
            first: time(seen.first),
            last: time(seen.last),
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(STACK).spawn(work).expect("one more thread");
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn converse(stream: TcpStream, seen: &Mutex<Seen>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut output = stream.try_clone()?;
    let mut input = BufReader::with_capacity(16 * 1024, stream);
    output.write_all(b"220 sink\r\n")?;
    let (mut line, mut replies) = (Vec::new(), Vec::new());
    loop {
        // Replies to commands that came together go together.
        if input.buffer().is_empty() && !replies.is_empty() {
            output.write_all(&replies)?;
            replies.clear();
        }
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        match verb.as_slice() {
            b"EHLO" => replies.extend_from_slice(b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n"),
            b"DATA" => {
                replies.extend_from_slice(b"354 go on\r\n");
                output.write_all(&replies)?;
                replies.clear();
                let Some(number) = read_mail(&mut input, &mut line)? else { return Ok(()) };
                note(seen, number);
                replies.extend_from_slice(b"250 2.0.0 ok\r\n");
            }
            b"QUIT" => return output.write_all(b"221 bye\r\n"),
            _ => replies.extend_from_slice(b"250 ok\r\n"),
        }
    }
}

/// Reads to the end of a message; its number. `None`: the connection ended.
fn read_mail(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<u32>> {
    let mut number = 0;
    loop {
        line.clear();
        if input.read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        if line == b".\r\n" {
            return Ok(Some(number));
        }
        if let Some(text) = line.strip_prefix(b"X-Number: ") {
            number = String::from_utf8_lossy(text).trim().parse().unwrap_or(0);
        }
    }
}

fn note(seen: &Mutex<Seen>, number: u32) {
    let now = Instant::now();
    let mut all = lock(seen);
    all.first.get_or_insert(now);
    all.last = Some(now);
    all.numbers.push(number);
}
