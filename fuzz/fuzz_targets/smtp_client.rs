//! A whole session with a hostile server: each transaction ends with an outcome for each of its recipients, and nothing that
//! the server did not say counts as accepted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Address, Domain, Envelope, MailParams, Recipient, ReversePath};
use smtp_proto::client::{Credentials, Event, Next, Options, Outcome, Protocol, Question, Report, Session, Timeouts, Transaction};
use smtp_proto::scan::{Content, ContentKind};
use wire::{Machine, Step};

const BUDGET: usize = 4 * 1024 * 1024;
const MESSAGE: &[u8] = b"From: a@b.example\r\nSubject: gr\xc3\xbcn\r\n\r\n.hello\r\n.\r\n";
const RECIPIENTS: usize = 3;
/// Steps after which a session has gone on for too long for what it was fed.
const STEPS_MAX: usize = 100_000;

fuzz_target!(|data: &[u8]| {
    let [Some(cut), Some(plan)] = [data.first(), data.get(1)] else { return };
    fuzz::within(BUDGET, || play(&data[2..], usize::from(cut % 64) + 1, *plan));
});

fn transaction(plan: u8) -> Next {
    let address = |text: &str| Address::parse(text).expect("a valid address");
    let recipients = (0..RECIPIENTS).map(|n| Recipient::plain(address(&format!("r{n}@c.example")))).collect();
    let envelope = Envelope { from: ReversePath::Address(address("a@b.example")), params: MailParams::default(), recipients };
    let kind = if plan & 4 == 0 { ContentKind::SevenBit } else { ContentKind::EightBit };
    Next::Send(Transaction { envelope, content: Content { size: MESSAGE.len() as u64, kind, utf8_header: plan & 8 != 0 } })
}

fn check(report: &Report, input: &[u8]) {
    assert_eq!(report.outcomes.len(), RECIPIENTS);
    let accepted = report.outcomes.iter().filter(|one| matches!(one, Outcome::Accepted(_))).count();
    let has_two = input.windows(1).any(|octet| octet == b"2");
    assert!(accepted == 0 || has_two, "accepted by nobody: {report:?}");
}

fn play(input: &[u8], piece: usize, plan: u8) {
    let protocol = if plan & 1 == 0 { Protocol::Smtp } else { Protocol::Lmtp };
    let hello = Domain::parse("mx.example.org").expect("a valid name");
    let mut session = Session::new(Options { hello, timeouts: Timeouts::default(), protocol });
    let mut pieces = input.chunks(piece);
    let (mut sent, mut body, mut is_secure, mut is_known) = (0, 0, false, false);
    for _ in 0..STEPS_MAX {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(octets) => session.feed(octets),
                None => {
                    session.abandon().iter().for_each(|report| check(report, input));
                    return;
                }
            },
            Step::Write(_) => {}
            Step::Ask(Question::Body { max }) => {
                let rest = &MESSAGE[body..];
                let take = rest.len().min(max).min(7);
                if take == 0 { session.body_failed() } else { session.body(&rest[..take]) }
                body += take;
            }
            Step::Ask(Question::Next(event)) => {
                if let Event::Sent(report) = &event {
                    check(report, input);
                    sent += 1;
                }
                body = 0;
                session.next(match event {
                    Event::Hello if plan & 2 != 0 && !is_secure => {
                        is_secure = true;
                        Next::StartTls
                    }
                    Event::Hello if plan & 16 != 0 && !is_known => {
                        is_known = true;
                        let (user, password) = ("u".to_owned(), smtp_proto::secret::Secret::new("p".to_owned()));
                        Next::Auth(Credentials { user, password })
                    }
                    Event::Broken(_) => Next::Quit,
                    _ if sent < 4 => transaction(plan),
                    _ => Next::Quit,
                });
            }
            Step::Body(_) => panic!("a client gets no messages"),
            Step::StartTls => session.tls_started(),
            Step::Close => return,
        }
    }
    panic!("the session does not end");
}
