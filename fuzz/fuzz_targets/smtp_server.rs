//! All that an SMTP client may send, whole and in pieces: the same questions, message and replies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mail::{Domain, Reply, Status};
use smtp_proto::server::{Answer, Channel, Options, Question, Session};
use wire::{Machine, Step};

const BUDGET: usize = 4 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let whole = fuzz::within(BUDGET, || play(input, wire::machine::READ_MAX));
    let cut = usize::from(cut % 8) + 1;
    assert_eq!(whole, fuzz::within(BUDGET, || play(input, cut)), "in pieces of {cut}");
});

#[derive(Debug, Default, PartialEq)]
struct Story {
    asked: Vec<String>,
    said: String,
    body: Vec<u8>,
}

fn play(input: &[u8], piece: usize) -> Story {
    let mut options = Options::new(Domain::parse("mx.example.org").expect("a valid name"));
    options.limits.message_size = 4096;
    let mut session = Session::new(options, Channel::Clear);
    let mut pieces = input.chunks(piece);
    let mut story = Story::default();
    loop {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(octets) => session.feed(octets),
                None => return story,
            },
            Step::Write(octets) => story.said.push_str(&String::from_utf8(octets).expect("replies are UTF-8")),
            Step::Ask(question) => {
                story.asked.push(format!("{question:?}"));
                session.answer(usual(&question));
            }
            Step::Body(octets) => story.body.extend_from_slice(&octets),
            Step::StartTls | Step::Close => return story,
        }
        assert!(story.said.lines().all(|line| line.len() <= 510), "a reply is too long (RFC 5321 §4.5.3.1.5)");
    }
}

fn usual(question: &Question) -> Answer {
    match question {
        Question::Reset => Answer::Noted,
        Question::Data => Reply::bare(354, "Go on").into(),
        _ => Reply::new(250, Status::success(0, 0), "OK").into(),
    }
}
