//! Both sides against each other: what the client was given is what the server's owner gets, whatever the
//! extensions, however the octets are cut; and the client's side where a chat would be too long.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use mail::{Address, Domain, Envelope, MailParams, Recipient, Reply, ReversePath, Status};
use smtp_proto::client::{self, Connection, Event, Next, Outcome, Report, Transaction};
use smtp_proto::server::{self, Answer, Channel};
use smtp_proto::{Content, Extension, ExtensionSet, Scan};
use std::collections::VecDeque;
use wire::{Machine, Step};

struct Dice(u64);

impl Dice {
    fn roll(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// A message that one side sends, and what the other side must get.
struct Letter {
    message: Vec<u8>,
    recipients: usize,
}

/// What the server's owner got: recipients and octets of each message.
#[derive(Default)]
struct Desk {
    open: (usize, Vec<u8>),
    got: Vec<(usize, Vec<u8>)>,
}

impl Desk {
    /// Every third recipient is unknown.
    fn answer(&mut self, question: server::Question) -> Answer {
        let ok = Reply::new(250, Status::success(0, 0), "ok");
        match question {
            server::Question::Reset => return Answer::Noted,
            server::Question::Mail(_) => self.open = (0, Vec::new()),
            server::Question::Rcpt(recipient) if is_unknown(recipient.address.local()) => {
                return Reply::new(550, Status::permanent(1, 1), "unknown").into();
            }
            server::Question::Rcpt(_) => self.open.0 += 1,
            server::Question::Data => return Reply::bare(354, "go").into(),
            server::Question::EndOfData => self.got.push(std::mem::take(&mut self.open)),
            _ => {}
        }
        ok.into()
    }
}

fn is_unknown(local: &str) -> bool {
    local.trim_start_matches('r').parse::<usize>().unwrap() % 3 == 2
}

fn envelope(recipients: usize) -> Envelope {
    let to = |n| Recipient::plain(Address::parse(&format!("r{n}@b.example")).unwrap());
    Envelope {
        from: ReversePath::Null,
        params: MailParams::default(),
        recipients: (0..recipients).map(to).collect(),
    }
}

fn scan(message: &[u8]) -> Content {
    let mut scan = Scan::new();
    scan.push(message);
    scan.finish()
}

fn options(extensions: ExtensionSet) -> server::Options {
    let mut options = server::Options::new(Domain::parse("mx.b.example").unwrap());
    options.extensions = extensions;
    options.limits.recipients = 2000;
    options.limits.refusals = 2000;
    options
}

/// Sends the letters over one connection; the reports, and what the server's owner got.
fn converse(extensions: ExtensionSet, letters: &[Letter], dice: &mut Dice) -> (Vec<Report>, Desk) {
    let hello = Domain::parse("client.example").unwrap();
    let mut client = client::Session::new(client::Options {
        hello,
        timeouts: client::Timeouts::default(),
        protocol: client::Protocol::Smtp,
    });
    let mut server = server::Session::new(options(extensions), Channel::Clear);
    let (mut to_server, mut to_client) = (VecDeque::new(), VecDeque::new());
    let (mut desk, mut reports, mut letters) = (Desk::default(), Vec::new(), letters.iter());
    let mut sending: &[u8] = &[];
    loop {
        let mut is_over = false;
        match client.step() {
            Step::Read => {
                let n = to_client.len().min(1 + dice.roll(40));
                let octets: Vec<u8> = to_client.drain(..n).collect();
                if !octets.is_empty() {
                    client.feed(&octets);
                }
            }
            Step::Write(octets) => to_server.extend(octets),
            Step::Ask(client::Question::Body { max }) => {
                let n = sending.len().min(max).min(1 + dice.roll(100_000));
                client.body(&sending[..n]);
                sending = &sending[n..];
            }
            Step::Ask(client::Question::Next(event)) => {
                if let Event::Sent(report) = event {
                    reports.push(report);
                }
                client.next(match letters.next() {
                    Some(letter) => {
                        sending = &letter.message;
                        let content = scan(&letter.message);
                        Next::Send(Transaction { envelope: envelope(letter.recipients), content })
                    }
                    None => Next::Quit,
                });
            }
            Step::Body(_) | Step::StartTls => panic!("not a client's step"),
            Step::Close => is_over = true,
        }
        match server.step() {
            Step::Read => {
                let n = to_server.len().min(1 + dice.roll(16 * 1024));
                let octets: Vec<u8> = to_server.drain(..n).collect();
                if !octets.is_empty() {
                    server.feed(&octets);
                }
            }
            Step::Write(octets) => to_client.extend(octets),
            Step::Ask(question) => server.answer(desk.answer(question)),
            Step::Body(octets) => desk.open.1.extend_from_slice(&octets),
            Step::StartTls => panic!("no TLS here"),
            Step::Close => {}
        }
        if is_over {
            return (reports, desk);
        }
    }
}

fn sets() -> [ExtensionSet; 4] {
    let usual = ExtensionSet::usual();
    [
        usual,
        usual.without(Extension::Chunking),
        usual.without(Extension::Pipelining),
        usual
            .without(Extension::Chunking)
            .without(Extension::Pipelining)
            .without(Extension::EnhancedStatusCodes),
    ]
}

fn check(extensions: ExtensionSet, letters: &[Letter], dice: &mut Dice, place: &str) {
    let (reports, desk) = converse(extensions, letters, dice);
    assert_eq!(reports.len(), letters.len(), "{place}");
    let mut got = desk.got.into_iter();
    for (letter, report) in letters.iter().zip(&reports) {
        assert_eq!(report.connection, Connection::Usable, "{place}");
        assert_eq!(report.outcomes.len(), letter.recipients, "{place}");
        for (n, outcome) in report.outcomes.iter().enumerate() {
            let is_right = match outcome {
                Outcome::Accepted(_) => n % 3 != 2,
                Outcome::Refused { at: client::Stage::Rcpt, .. } => n % 3 == 2,
                _ => false,
            };
            assert!(is_right, "{place}: {n} {outcome:?}");
        }
        let mut want = letter.message.clone();
        // DATA cannot say that the last line has no end.
        if !extensions.has(Extension::Chunking) && !want.is_empty() && !want.ends_with(b"\r\n") {
            want.extend_from_slice(b"\r\n");
        }
        let known = (0..letter.recipients).filter(|n| n % 3 != 2).count();
        assert_eq!(got.next().unwrap(), (known, want), "{place}");
    }
    assert!(got.next().is_none(), "{place}");
}

#[test]
fn what_is_sent_is_what_is_got() {
    const PHRASES: [&[u8]; 7] = [b"\r\n", b".", b"a", b"..", b"\xc3\xbc", b"\r\n.\r\n", b"some words"];
    let seed = 0x5eed_0005;
    let mut dice = Dice(seed);
    for round in 0..1500 {
        let letters: Vec<Letter> = (0..1 + dice.roll(3))
            .map(|_| Letter {
                message: (0..dice.roll(12))
                    .flat_map(|_| PHRASES[dice.roll(PHRASES.len())].to_vec())
                    .collect(),
                recipients: 1 + dice.roll(7),
            })
            .collect();
        let extensions = sets()[dice.roll(4)];
        check(extensions, &letters, &mut dice, &format!("seed {seed:x} round {round} {extensions:?}"));
    }
}

#[test]
fn many_recipients_and_large_messages() {
    let mut dice = Dice(0x5eed_0006);
    for extensions in sets() {
        let letters = [
            Letter { message: b"x\r\n".to_vec(), recipients: 1500 },
            Letter { message: b"0123456789abcdef\r\n".repeat(150_000), recipients: 2 },
        ];
        check(extensions, &letters, &mut dice, &format!("{extensions:?}"));
    }
}

/// A peer that sends its reply in crumbs gains no time by it.
#[test]
fn each_reply_is_under_way_once() {
    let hello = Domain::parse("a.example").unwrap();
    let timeouts = client::Timeouts::default();
    let mut client =
        client::Session::new(client::Options { hello, timeouts, protocol: client::Protocol::Smtp });
    let mut waits = Vec::new();
    for piece in ["", "2", "20", " hi", "\r\n", "250-mx\r\n", "250-SIZE\r\n", "25"] {
        client.feed(piece.as_bytes());
        while !matches!(client.step(), Step::Read) {}
        let under_way = client.under_way().unwrap();
        waits.push((under_way.number, under_way.patience));
    }
    let (greeting, ehlo) = ((0, timeouts.greeting), (1, timeouts.command));
    assert_eq!(waits, [greeting, greeting, greeting, greeting, ehlo, ehlo, ehlo, ehlo]);
}
