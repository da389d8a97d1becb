//! Conversations with filters of a few lines: what they hear, what they say, what becomes of the message.

use super::packet::packet;
use super::{Change, Client, Decision, Patience, Session, Trouble, edited, show};
use mail::{Blob, Message};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const PATIENCE: Patience = Patience { step: Duration::from_secs(5), content: Duration::from_secs(5) };
const MAIL: &[u8] = b"From: a@b.example\r\nSubject: two\r\n lines\r\n\r\nHello\r\n";

/// A filter: options, and for each letter that it hears the packets that it says.
struct Filter {
    steps: u32,
    answers: Vec<(u8, Vec<Vec<u8>>)>,
}

impl Filter {
    fn new(steps: u32, answers: &[(u8, &[Vec<u8>])]) -> Self {
        Self { steps, answers: answers.iter().map(|(letter, all)| (*letter, all.to_vec())).collect() }
    }

    /// Plays until the other side goes; gives all it heard, as text.
    async fn play(self, mut stream: DuplexStream) -> Vec<String> {
        let mut heard = Vec::new();
        while let Ok(length) = stream.read_u32().await {
            let mut octets = vec![0; length as usize];
            stream.read_exact(&mut octets).await.unwrap();
            let letter = octets[0];
            let text = String::from_utf8_lossy(&octets).replace('\0', "|");
            let say = match (letter, self.answers.iter().find(|(one, _)| *one == letter)) {
                (b'O', _) => {
                    let words = [6_u32, 0x31, self.steps].map(u32::to_be_bytes).concat();
                    vec![packet(b'O', &words)]
                }
                (_, Some((_, answers))) => answers.clone(),
                (b'D' | b'A' | b'Q', None) => Vec::new(),
                (_, None) => vec![packet(b'c', &[])],
            };
            if letter != b'O' {
                heard.push(text);
            }
            for octets in say {
                // The other side may have heard enough.
                let _ = stream.write_all(&octets).await;
            }
        }
        heard
    }
}

async fn opened(filter: Filter) -> (Session, tokio::task::JoinHandle<Vec<String>>) {
    let (ours, theirs) = tokio::io::duplex(1024);
    let playing = tokio::spawn(filter.play(theirs));
    (Session::open(Box::new(ours), PATIENCE).await.unwrap(), playing)
}

fn message() -> Message {
    Message::new(Blob::from_bytes(MAIL.to_vec()))
}

#[tokio::test]
async fn all_that_a_filter_hears() {
    let changes =
        [packet(b'p', &[]), packet(b'h', b"X-Seen\0yes\0"), packet(b'q', b"looks odd\0"), packet(b'c', &[])];
    let (mut session, playing) = opened(Filter::new(0, &[(b'E', &changes)])).await;
    let client = Client { ip: [192, 0, 2, 1].into(), port: 25, name: Some("mx.b.example".to_owned()) };
    assert_eq!(session.connect(&client, "mx.example.org").await.unwrap(), Decision::Go);
    assert_eq!(session.hello("b.example").await.unwrap(), Decision::Go);
    assert_eq!(session.mail("id1", "a@b.example", &["SIZE=5".to_owned()]).await.unwrap(), Decision::Go);
    assert_eq!(session.rcpt("c@example.org").await.unwrap(), Decision::Go);
    let (decision, conclusion) = show(&mut session, &message()).await.unwrap();
    assert_eq!(decision, Decision::Go);
    assert_eq!(conclusion.quarantine.as_deref(), Some("looks odd"));
    let dir = std::env::temp_dir();
    let changed = edited(&message(), &conclusion.changes, &dir).unwrap().unwrap();
    let want = "From: a@b.example\r\nSubject: two\r\n lines\r\nX-Seen: yes\r\n\r\nHello\r\n";
    assert_eq!(String::from_utf8(changed.to_vec().unwrap()).unwrap(), want);
    session.quit().await;
    let heard = playing.await.unwrap();
    assert!(heard[0].starts_with("DCj|mx.example.org|_|mx.b.example [192.0.2.1]|{client_addr}|192.0.2.1|"));
    let said: Vec<&str> = heard.iter().map(String::as_str).filter(|text| !text.starts_with('D')).collect();
    assert_eq!(
        said,
        [
            "Cmx.b.example|4|\u{19}192.0.2.1|",
            "Hb.example|",
            "M<a@b.example>|SIZE=5|",
            "R<c@example.org>|",
            "T",
            "LFrom|a@b.example|",
            "LSubject|two\n lines|",
            "N",
            "BHello\r\n",
            "E",
            "Q",
        ]
    );
}

/// rspamd wants answers at the end only, also to what is never said here, and all actions, whatever is offered.
#[tokio::test]
async fn a_filter_may_keep_silent_about_everything() {
    let end = [packet(b'm', b"\0\0\0\x01X-Spam\0Yes\0"), packet(b'a', &[])];
    let nothing: &[Vec<u8>] = &[];
    let silent: Vec<(u8, &[Vec<u8>])> = b"CHMRTLNB".iter().map(|letter| (*letter, nothing)).collect();
    let answers = [&silent[..], &[(b'E', &end[..])]].concat();
    let (mut session, playing) = opened(Filter::new(0x000f_f080, &answers)).await;
    let client = Client { ip: [192, 0, 2, 1].into(), port: 25, name: None };
    assert_eq!(session.connect(&client, "mx.example.org").await.unwrap(), Decision::Go);
    assert_eq!(session.hello("b.example").await.unwrap(), Decision::Go);
    for _ in 0..2 {
        assert_eq!(session.mail("id1", "a@b.example", &[]).await.unwrap(), Decision::Go);
        assert_eq!(session.rcpt("c@example.org").await.unwrap(), Decision::Go);
        let (decision, conclusion) = show(&mut session, &message()).await.unwrap();
        assert_eq!((decision, conclusion.changes.len()), (Decision::Go, 1));
    }
    session.quit().await;
    let heard = playing.await.unwrap().iter().filter(|text| text.starts_with(['M', 'E'])).count();
    assert_eq!(heard, 4);
}

#[tokio::test]
async fn refusals_are_about_what_was_said() {
    let no = [packet(b'y', b"550 5.7.1 Not you\0")];
    let (mut session, playing) = opened(Filter::new(0, &[(b'R', &no), (b'M', &[packet(b't', &[])])])).await;
    let text = |decision| match decision {
        Decision::Refuse(reply) => reply.to_string(),
        other => format!("{other:?}"),
    };
    let sender = session.mail("id", "", &[]).await.unwrap();
    assert_eq!(text(sender), "451 4.7.1 A filter asks to try again later");
    assert_eq!(text(session.rcpt("a@example.org").await.unwrap()), "550 5.7.1 Not you");
    // The next message begins after the end of this one, and an end is told once.
    session.mail("two", "", &[]).await.unwrap();
    session.abort().await.unwrap();
    session.abort().await.unwrap();
    drop(session);
    let heard = playing.await.unwrap();
    let letters: String = heard.iter().filter_map(|text| text.chars().next()).collect();
    assert_eq!(letters, "DMDRADMA");
}

#[tokio::test]
async fn who_has_accepted_is_not_asked_again_about_this_message() {
    let (mut session, playing) = opened(Filter::new(0, &[(b'R', &[packet(b'a', &[])])])).await;
    for id in ["one", "two"] {
        session.mail(id, "a@b.example", &[]).await.unwrap();
        assert_eq!(session.rcpt("a@example.org").await.unwrap(), Decision::Go);
        assert_eq!(session.rcpt("b@example.org").await.unwrap(), Decision::Go);
        assert_eq!(show(&mut session, &message()).await.unwrap().0, Decision::Go);
    }
    drop(session);
    let heard = playing.await.unwrap();
    let letters: String = heard.iter().filter_map(|text| text.chars().next()).collect();
    assert_eq!(letters, "DMDRADMDR");
}

#[tokio::test]
async fn steps_that_are_not_wanted_are_left_out_and_silent_ones_not_waited_for() {
    // No HELO, no body, silence about fields; the blank behind the colon is kept.
    let steps = 0x2 | 0x10 | 0x80 | 0x10_0000;
    let (mut session, playing) = opened(Filter::new(steps, &[(b'L', &[])])).await;
    session.hello("x").await.unwrap();
    session.mail("id", "a@b.example", &[]).await.unwrap();
    assert_eq!(show(&mut session, &message()).await.unwrap().0, Decision::Go);
    drop(session);
    let heard = playing.await.unwrap();
    let said: Vec<&str> = heard.iter().map(String::as_str).filter(|text| !text.starts_with('D')).collect();
    assert_eq!(said, ["M<a@b.example>|", "T", "LFrom| a@b.example|", "LSubject| two\n lines|", "N", "E"]);
}

#[tokio::test]
async fn a_filter_that_wants_no_more_of_the_body() {
    let (mut session, playing) = opened(Filter::new(0x400, &[(b'B', &[packet(b's', &[])])])).await;
    session.mail("id", "", &[]).await.unwrap();
    let long = Message::new(Blob::from_bytes([b"A: b\r\n\r\n".as_slice(), &vec![b'x'; 900_000]].concat()));
    assert_eq!(show(&mut session, &long).await.unwrap().0, Decision::Go);
    drop(session);
    let heard = playing.await.unwrap();
    assert_eq!(heard.iter().filter(|text| text.starts_with('B')).count(), 1);
}

#[tokio::test]
async fn filters_that_are_no_filters() {
    for (said, want) in [
        (
            &b"220 mx.example.org ESMTP\r\n"[..],
            "the filter does not speak the protocol: a packet of a length that none has",
        ),
        (b"\0\0\0\0", "the filter does not speak the protocol: a packet of a length that none has"),
        (b"\0\0\0\x01c", "the filter does not speak the protocol: it does not begin with its options"),
        (
            b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x01\xff\xff\xff\xff",
            "the filter does not speak the protocol: it wants steps that were not offered",
        ),
        (b"", "the connection to the filter is lost: unexpected end of file"),
    ] {
        let (ours, mut theirs) = tokio::io::duplex(1024);
        theirs.write_all(said).await.unwrap();
        theirs.shutdown().await.unwrap();
        let error = Session::open(Box::new(ours), PATIENCE).await.err().unwrap();
        assert_eq!(error.to_string(), want, "{:?}", String::from_utf8_lossy(said));
    }
}

#[tokio::test]
async fn a_silent_filter_and_one_without_end() {
    let (ours, _theirs) = tokio::io::duplex(1024);
    let short = Patience { step: Duration::from_millis(20), ..PATIENCE };
    assert!(matches!(Session::open(Box::new(ours), short).await, Err(Trouble::TimedOut(_))));
    let (mut session, _playing) = opened(Filter::new(0, &[(b'H', &vec![packet(b'p', &[]); 2500])])).await;
    assert!(matches!(session.hello("x").await, Err(Trouble::Garbled(_))));
}

#[test]
fn nothing_changes_without_changes() {
    let dir = std::env::temp_dir();
    assert!(edited(&message(), &[], &dir).unwrap().is_none());
    let nothing = Change::Replace { nth: 9, name: b"X".to_vec(), value: None };
    assert!(edited(&message(), &[nothing], &dir).unwrap().is_none());
    let all_header = Message::new(Blob::from_bytes(b"A: b\r\n".to_vec()));
    let change = Change::Append { name: b"C".to_vec(), value: b"d".to_vec() };
    let changed = edited(&all_header, &[change], &dir).unwrap().unwrap();
    assert_eq!(changed.to_vec().unwrap(), b"A: b\r\nC: d\r\n\r\n");
}
