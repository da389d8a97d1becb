//! The server's session where a chat cannot say it: batches of replies, text behind STARTTLS, patience, noise.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

use mail::{Domain, Reply, Status};
use smtp_proto::server::{Answer, Channel, Options, Question, Session, StartTls};
use std::time::Duration;
use wire::{Machine, Step};

fn options() -> Options {
    let mut options = Options::new(Domain::parse("mx.example.org").unwrap());
    options.limits.message_size = 1000;
    options
}

/// Everything a session did, with the output as one text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Story {
    questions: Vec<Question>,
    output: String,
    body: Vec<u8>,
    closed: bool,
}

/// Runs a session on `input` in pieces. Every question is answered in a way that depends only on the question.
fn tell(options: Options, input: &[u8], piece: usize) -> (Story, Vec<String>) {
    let mut session = Session::new(options, Channel::Clear);
    let mut story = Story::default();
    let mut writes = Vec::new();
    let mut pieces = input.chunks(piece);
    loop {
        match session.step() {
            Step::Read => match pieces.next() {
                Some(octets) => session.feed(octets),
                None => return (story, writes),
            },
            Step::Write(octets) => {
                let text = String::from_utf8(octets).unwrap();
                story.output.push_str(&text);
                writes.push(text);
            }
            Step::Ask(question) => {
                session.answer(usual(&question));
                story.questions.push(question);
            }
            Step::Body(octets) => {
                assert!(!octets.is_empty());
                story.body.extend_from_slice(&octets);
            }
            Step::StartTls => panic!("no TLS here"),
            Step::Close => {
                story.closed = true;
                return (story, writes);
            }
        }
    }
}

fn usual(question: &Question) -> Answer {
    let ok = || Reply::new(250, Status::success(0, 0), "OK").into();
    match question {
        Question::Reset => Answer::Noted,
        Question::Data => Reply::bare(354, "Go on").into(),
        Question::Rcpt(recipient) if recipient.address.local().starts_with('n') => {
            Reply::new(550, Status::permanent(1, 1), "no").into()
        }
        _ => ok(),
    }
}

#[test]
fn replies_to_a_group_are_one_write() {
    let input = b"HELO a\r\n";
    let group = b"MAIL FROM:<a@b.example>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<n@example.org>\r\nDATA\r\n";
    let mail = b"x\r\n.\r\nMAIL FROM:<>\r\nRCPT TO:<n@example.org>\r\nDATA\r\nQUIT\r\n";
    let all = [&input[..], group, mail].concat();
    let (story, writes) = tell(options(), &all, usize::MAX);
    assert_eq!(
        writes,
        [
            "220 mx.example.org ESMTP\r\n",
            "250 mx.example.org OK\r\n",
            "250 2.0.0 OK\r\n250 2.0.0 OK\r\n550 5.1.1 no\r\n354 Go on\r\n",
            "250 2.0.0 OK\r\n",
            "250 2.0.0 OK\r\n550 5.1.1 no\r\n554 5.5.1 No valid recipients; say RCPT first\r\n",
            "221 2.0.0 Goodbye\r\n",
        ]
    );
    assert!(story.closed);
    assert_eq!(story.body, b"x\r\n");
}

#[test]
fn text_behind_starttls_ends_the_connection() {
    let mut options = options();
    options.starttls = StartTls::Offered;
    let input = b"EHLO a\r\nSTARTTLS\r\nMAIL FROM:<evil@a.example>\r\n";
    let (story, writes) = tell(options, input, usize::MAX);
    assert!(story.closed);
    assert!(writes.last().unwrap().starts_with("554 5.5.0 "), "{writes:?}");
    assert!(!story.questions.iter().any(|question| matches!(question, Question::Mail(_))));
}

#[test]
fn a_refused_message_is_not_read_for_ever() {
    let head = b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
    let mut input = head.to_vec();
    input.extend(std::iter::repeat_n(b'x', 2 * 1024 * 1024));
    let (story, _) = tell(options(), &input, 16 * 1024);
    assert!(story.closed);
    assert_eq!(story.body.len(), 1000);
    assert!(story.output.ends_with("552 5.3.4 The message is larger than 1000 octets\r\n"));
}

#[test]
fn recipients_without_end_end_the_connection() {
    let mut options = options();
    options.limits.recipients = 1;
    let mut input = b"HELO a\r\nMAIL FROM:<>\r\n".to_vec();
    for _ in 0..20_000 {
        input.extend_from_slice(b"RCPT TO:<b@example.org>\r\n");
    }
    let (story, _) = tell(options, &input, 16 * 1024);
    assert!(story.closed);
    assert!(story.output.ends_with("\r\n421 4.7.0 Too many recipients on this connection; closing\r\n"));
}

/// Waits do not add up: a line in crumbs has one time limit, and so has a message, be it taken or only read to its end.
#[test]
fn each_line_and_each_message_is_under_way_once() {
    let mut options = options();
    options.limits.command_patience = Duration::from_secs(300);
    options.limits.message_patience = Duration::from_secs(7200);
    let mut session = Session::new(options, Channel::Clear);
    let mut seen: Vec<Option<(u64, u64)>> = Vec::new();
    let mut feed = |octets: &[u8]| {
        session.feed(octets);
        loop {
            match session.step() {
                Step::Read => break,
                Step::Ask(question) => session.answer(usual(&question)),
                _ => {}
            }
        }
        let now = session.under_way().map(|one| (one.number, one.patience.as_secs()));
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    };
    let mail = "MAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n";
    let bare_in_data = format!("HELO a\r\n{mail}DATA\r\nx\n");
    for piece in
        ["NO", "O", "P", "\r\n", &bare_in_data, "x", "\r\n", ".", "\r\n", "BDAT 99999\r\n", "x", "y", mail]
    {
        feed(piece.as_bytes());
    }
    let (line, message) = (300, 7200);
    assert_eq!(seen, [Some((0, line)), None, Some((5, message)), None, Some((7, message))]);
    assert_eq!(session.patience(), Duration::from_secs(300));
}

/// How the octets are cut never matters: neither to the questions, nor to the message, nor to the replies.
#[test]
fn noise_in_any_pieces_tells_one_story() {
    const PHRASES: [&[u8]; 20] = [
        b"HELO a\r\n",
        b"EHLO b\r\n",
        b"MAIL FROM:<a@a.example>\r\n",
        b"MAIL FROM:<> BODY=BINARYMIME\r\n",
        b"RCPT TO:<b@example.org>\r\n",
        b"RCPT TO:<n@example.org>\r\n",
        b"DATA\r\n",
        b"BDAT 5\r\nab\r\nc",
        b"BDAT 4 LAST\r\na\nb\r",
        b"BDAT 0 LAST\r\n",
        b"BDAT 2000\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"text\r\n",
        b"..\r\n",
        b".\r\n",
        b"\n.\n",
        b"\r",
        b"\xff\0",
        b"Q",
    ];
    let seed: u64 = 0x5eed_0004;
    let mut state = seed;
    let mut roll = |end: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % end as u64).unwrap()
    };
    for round in 0..3000 {
        let mut input = b"HELO a\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.org>\r\n".to_vec();
        for _ in 0..roll(25) {
            input.extend_from_slice(PHRASES[roll(PHRASES.len())]);
        }
        let (whole, _) = tell(options(), &input, usize::MAX);
        let piece = 1 + roll(8);
        let (cut, _) = tell(options(), &input, piece);
        assert_eq!(
            cut,
            whole,
            "seed {seed:x} round {round} piece {piece}: {:?}",
            String::from_utf8_lossy(&input)
        );
    }
}

#[test]
fn a_message_refused_on_its_way_is_told_of_before_it_is_dropped() {
    for text in ["DATA\r\nbad\nline\r\n.\r\nNOOP\r\n", "BDAT 9 LAST\r\nbad\nline\rNOOP\r\n", "BDAT 2000\r\n"]
    {
        let mut session = Session::new(options(), Channel::Clear);
        session.feed(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\n");
        session.feed(text.as_bytes());
        session.feed(&[b'x'; 2000]);
        let mut told = Vec::new();
        loop {
            let step = session.step();
            told.extend(session.take_refusals());
            match step {
                Step::Ask(Question::Reset) => break,
                Step::Ask(question) => session.answer(usual(&question)),
                Step::Read | Step::Close => panic!("{text:?} is not dropped"),
                _ => {}
            }
        }
        assert_eq!(told.len(), 1, "{text:?}: {told:?}");
        session.answer(Answer::Noted);
        while !matches!(session.step(), Step::Read | Step::Close) {}
        assert!(!session.take_refusals().contains(&told[0]), "{text:?} is told of twice");
    }
}

#[test]
fn what_is_put_off_is_no_abuse_nor_what_is_refused_beside_a_message() {
    let refused = |code, class: fn(u16, u16) -> Status| Answer::Reply(Reply::new(code, class(1, 1), "no"));
    let message = "MAIL FROM:<>\r\nRCPT TO:<good@b.example>\r\nDATA\r\nx: y\r\n\r\nz\r\n.\r\n";
    for (first, code, is_abuse) in [("", 550, true), ("", 451, false), (message, 550, false)] {
        let mut options = options();
        options.limits.refusals = 3;
        let mut session = Session::new(options, Channel::Clear);
        session.feed(format!("EHLO x\r\n{first}MAIL FROM:<>\r\n").as_bytes());
        session.feed(&b"RCPT TO:<a@b.example>\r\n".repeat(3));
        loop {
            match session.step() {
                Step::Ask(Question::Rcpt(rcpt)) if !format!("{rcpt:?}").contains("good") => {
                    session.answer(if code == 550 {
                        refused(code, Status::permanent)
                    } else {
                        refused(code, Status::transient)
                    });
                }
                Step::Ask(question) => session.answer(usual(&question)),
                Step::Close => break,
                Step::Read => panic!("the connection goes on"),
                _ => {}
            }
        }
        assert_eq!(session.was_abused(), is_abuse, "{code} {first:?}");
    }
}
