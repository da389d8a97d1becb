//! What the checks of arriving mail cost: messages a second through all of them with a warm cache of the DNS, beside the same
//! server with all of them switched off. `cargo run --release -p load --bin checks -- --help`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool that fails by panicking, with a sentence"
)]

use load::memory::worked;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::exit;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;
use tests::{Daemon, Setup, message};

const HELP: &str = "checks: messages a second with all checks of arriving mail and without any

    --messages N     messages of one round (default 2000)
    --connections N  connections that send at the same time (default 10)
    --rounds N       rounds that count; one more warms up (default 3)
    --octets N       about how large a message is (default 4096)
    --help           this text
";

/// What the DNS says of the sender and of the client.
const ZONE: &str = "\
shop.test MX 10 mx.shop.test
mx.shop.test A 127.0.0.1
shop.test TXT \"v=spf1 include:spf.shop.test mx -all\"
spf.shop.test TXT \"v=spf1 ip4:192.0.2.0/24 a:mx.shop.test -all\"
_dmarc.shop.test TXT \"v=DMARC1; p=reject\"
client.test A 127.0.0.1
client.test TXT \"v=spf1 a -all\"
1.0.0.127.in-addr.arpa PTR client.test
2.0.0.127.bl.test A 127.0.0.2
";
/// How long answers of the DNS may be kept, in seconds: longer than any run.
const TTL: u32 = 3600;

struct Options {
    messages: usize,
    connections: usize,
    rounds: usize,
    octets: usize,
}

impl Options {
    fn read(arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { messages: 2000, connections: 10, rounds: 3, octets: 4096 };
        let mut arguments = arguments;
        while let Some(name) = arguments.next() {
            let slot = match name.as_str() {
                "--messages" => &mut options.messages,
                "--connections" => &mut options.connections,
                "--rounds" => &mut options.rounds,
                "--octets" => &mut options.octets,
                "--help" => {
                    print!("{HELP}");
                    exit(0);
                }
                _ => return Err(format!("{name} is not known")),
            };
            let number = arguments.next().and_then(|value| value.parse().ok()).filter(|number| *number > 0);
            *slot = number.ok_or_else(|| format!("{name} needs a number above 0"))?;
        }
        Ok(options)
    }
}

/// A message of shop.test as it leaves a server that signs, with its keys as lines of a zone.
fn signed(octets: usize) -> (String, String) {
    let mut setup = Setup::named("mx.shop.test", &["shop.test"]);
    setup.account("ann@shop.test");
    setup.zone("remote.test MX 10 mx.remote.test");
    let remote = setup.remote("mx.remote.test", 2);
    let maddy = setup.start();
    let body = "and some more words to fill what is left of it, line by line\r\n".repeat(octets / 62 + 1);
    let text = message("ann@shop.test", "bob@remote.test", "An offer", &body);
    maddy.submit("ann@shop.test").deliver("ann@shop.test", &["bob@remote.test"], &text);
    let sent = remote.wait_mails(1).remove(0).message;
    let keys = maddy.cli(&["dkim", "list"]).ok();
    let line = |line: &str| {
        let (name, strings) = line.split_once(". IN TXT ").expect("a line of a zone file");
        format!("{name} TXT {strings}\n")
    };
    (sent, keys.lines().filter(|line| !line.starts_with(';')).map(line).collect())
}

/// A server with these nodes of the configuration.
fn server(zone: &str, checks: &str) -> Daemon {
    let mut setup = Setup::new();
    setup.account("bob@example.org");
    setup.zone(zone);
    setup.names().let_keep(TTL);
    setup.option("smtp", "max-messages 1000000");
    setup.option("log", "level \"warn\"");
    setup.config(checks);
    setup.start()
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Figures {
    /// Messages a second.
    rate: f64,
    /// Microseconds of the processor for each message.
    work: f64,
}

fn round(maddy: &Daemon, options: &Options, text: &str) -> Figures {
    let left = AtomicUsize::new(options.messages);
    let (begun, before) = (Instant::now(), worked(maddy.id()));
    thread::scope(|scope| {
        for _ in 0..options.connections {
            scope.spawn(|| send(maddy.ports().smtp, text, &left));
        }
    });
    let messages = options.messages as f64;
    let work = worked(maddy.id()).saturating_sub(before);
    Figures { rate: messages / begun.elapsed().as_secs_f64(), work: work.as_secs_f64() * 1e6 / messages }
}

fn send(port: u16, text: &str, left: &AtomicUsize) {
    let mut output = TcpStream::connect(("127.0.0.1", port)).unwrap();
    output.set_nodelay(true).unwrap();
    let mut input = BufReader::new(output.try_clone().unwrap());
    expect(&mut input, "220");
    output.write_all(b"EHLO client.test\r\n").unwrap();
    expect(&mut input, "250");
    let take = |left: usize| left.checked_sub(1);
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok() {
        output.write_all(b"MAIL FROM:<ann@shop.test>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\n").unwrap();
        for code in ["250", "250", "354"] {
            expect(&mut input, code);
        }
        output.write_all(text.as_bytes()).unwrap();
        output.write_all(b".\r\n").unwrap();
        expect(&mut input, "250");
    }
    output.write_all(b"QUIT\r\n").unwrap();
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

fn median(figures: &[Figures], of: fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<f64> = figures.iter().map(of).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let options = Options::read(std::env::args().skip(1)).unwrap_or_else(|error| {
        eprintln!("checks: {error}\n\n{HELP}");
        exit(2);
    });
    let (text, keys) = signed(options.octets);
    // Two signatures, SPF through an include, DMARC, the names of client and sender, and a list.
    let all = "checks { dnsbl { reject 5; list \"bl.test\" score=5; }; }";
    let none = "checks { iprev enabled=#false; helo enabled=#false; sender enabled=#false; spf enabled=#false; \
                dkim enabled=#false; arc enabled=#false; dmarc enabled=#false; }";
    let zone = format!("{ZONE}{keys}");
    let (with, without) = (server(&zone, all), server(&zone, none));
    let (mut checked, mut unchecked) = (Vec::new(), Vec::new());
    for number in 0..=options.rounds {
        let asked = with.setup.names().asked().len();
        let (one, other) = (round(&with, &options, &text), round(&without, &options, &text));
        let asked = with.setup.names().asked().len() - asked;
        // The first round fills the cache.
        if number > 0 {
            eprintln!(
                "round {number}: {:.0}/s, {:.0} µs with checks ({asked} questions to the DNS), {:.0}/s, {:.0} µs without",
                one.rate, one.work, other.rate, other.work
            );
            checked.push(one);
            unchecked.push(other);
        }
    }
    let mut bob = with.imap("bob@example.org");
    let last = bob.texts("INBOX").pop().expect("messages have arrived");
    let results = tests::field(&last, "Authentication-Results").expect("they were judged");
    assert!(
        results.contains("dkim=pass") && results.contains("spf=pass") && results.contains("dmarc=pass"),
        "{results}"
    );
    let of = |figures: &[Figures]| (median(figures, |one| one.rate), median(figures, |one| one.work));
    let ((one, work), (other, less)) = (of(&checked), of(&unchecked));
    println!("| shape | messages a second | µs of the processor a message |\n|---|---|---|");
    println!("| all checks, warm cache | {one:.0} | {work:.0} |\n| no checks | {other:.0} | {less:.0} |");
    println!("| ratio | {:.2} | {:.2} |", one / other, less / work);
}
