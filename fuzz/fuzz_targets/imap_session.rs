//! All that an IMAP client may send, before and after login, whole and in pieces: the same answers.
#![no_main]

use imap_proto::response::{Kind, Response};
use imap_proto::server::{Answer, ClearLogin, Options, Privacy, Question, Session};
use libfuzzer_sys::fuzz_target;
use wire::{Machine, Step};

/// A session may hold one command with its literals, and what is made of it.
const BUDGET: usize = 8 * 1024 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some((cut, input)) = data.split_first() else { return };
    let whole = fuzz::within(BUDGET, || play(input, wire::machine::READ_MAX));
    let cut = usize::from(cut % 8) + 1;
    let pieces = fuzz::within(BUDGET, || play(input, cut));
    // What follows COMPRESS at once is refused, so there the cut matters.
    let is_compressing = input.to_ascii_uppercase().windows(8).any(|word| word == b"COMPRESS");
    if is_compressing {
        return;
    }
    assert_eq!(String::from_utf8_lossy(&whole), String::from_utf8_lossy(&pieces), "in pieces of {cut}");
});

fn done(kind: Kind) -> Answer {
    Answer::Done(Response { kind, code: None, text: "done".into() })
}

/// What the session says, with an owner who says yes to all.
fn play(input: &[u8], piece: usize) -> Vec<u8> {
    let mut session = Session::new(Options {
        privacy: Privacy::Tls,
        clear_login: ClearLogin::Refused,
        mechanisms: vec!["PLAIN", "LOGIN"],
        append_limit: 4096,
        message_limit: 1000,
        greeting: "mx.example.org".to_owned(),
        hidden: Vec::new(),
    });
    let mut pieces = input.chunks(piece);
    let mut said = Vec::new();
    loop {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(octets) => session.feed(octets),
                None => return said,
            },
            Step::Write(octets) => said.extend_from_slice(&octets),
            Step::Ask(question) => {
                if let Some(answer) = usual(&question) {
                    session.answer(answer);
                }
            }
            Step::Body(octets) => assert!(octets.len() <= wire::machine::READ_MAX),
            Step::StartTls => session.tls_started(),
            Step::Close => return said,
        }
        assert!(said.len() <= 64 * 1024 + 64 * input.len(), "answers without end");
    }
}

fn usual(question: &Question) -> Option<Answer> {
    Some(match question {
        Question::Command(command) => match format!("{command:?}").starts_with("Idle") {
            true => Answer::Go,
            false => done(Kind::Ok),
        },
        Question::Authenticate { initial: None, .. } => Answer::Challenge(String::new()),
        Question::Append(_) | Question::AppendMore(_) => Answer::Go,
        Question::Compress => return None,
        _ => done(Kind::Ok),
    })
}
