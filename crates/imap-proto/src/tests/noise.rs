//! Octets without sense: nothing panics, nothing goes in circles, the limits hold.

use super::{options, talk, talk_in_pieces};
use crate::command::Command;
use crate::parse::{self, Names, Parsed};
use crate::response::Response;
use crate::server::{Answer, Privacy, Question, Session};
use wire::{Machine, Step};

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

const WORDS: [&str; 59] = [
    "a",
    " ",
    "\r\n",
    "\r",
    "\n",
    "LOGIN",
    "SELECT",
    "FETCH",
    "UID ",
    "SEARCH",
    "LIST",
    "(",
    ")",
    "\"",
    "\\",
    "{3}",
    "{3+}",
    "{0+}",
    "{99999+}",
    "~{2}",
    "*",
    "1:*",
    "$",
    "BODY[",
    "]",
    "<0.5>",
    "OR",
    "NOT",
    "RETURN",
    "APPEND",
    "INBOX",
    "IDLE",
    "DONE",
    "\0",
    "\u{fc}",
    "&",
    "AUTHENTICATE PLAIN",
    "=",
    "STATUS",
    "STORE 1 FLAGS",
    "CHARSET",
    "SINCE",
    "(CHANGEDSINCE 1",
    "VANISHED",
    "(QRESYNC (1 2",
    "(UNCHANGEDSINCE 3) ",
    "MODSEQ",
    "SORT (",
    "SUBJECT REVERSE DATE) UTF-8 ",
    "THREAD REFERENCES US-ASCII ",
    "ESEARCH IN (subtree ",
    "personal selected) ",
    "RETURN (PARTIAL -1:-2 UPDATE) ",
    "CANCELUPDATE \"a\"",
    "ENABLE QRESYNC",
    "4294967295",
    "1:4294967295",
    "1-Jan-2026",
    "abc",
];

#[test]
fn noise_neither_panics_nor_loops() {
    let seed = 0x9e37_79b9_7f4a_7c15;
    let mut dice = Dice(seed);
    for round in 0..3000 {
        let mut text = String::new();
        for _ in 0..dice.below(40) {
            text.push_str(WORDS[dice.below(WORDS.len())]);
        }
        text.push_str("\r\n");
        let mut session =
            Session::new(options(if round % 2 == 0 { Privacy::Tls } else { Privacy::StartTls }));
        let out = talk(&mut session, text.as_bytes());
        assert!(out.len() < 64 * 1024, "seed {seed:x}, round {round}: {text:?}");
        if round % 2 == 0 {
            // How the octets are cut makes no difference (but behind STARTTLS, where it must).
            let piece = 1 + dice.below(8);
            let again = talk_in_pieces(&mut Session::new(options(Privacy::Tls)), text.as_bytes(), piece);
            assert_eq!(again, out, "seed {seed:x}, round {round}, in pieces of {piece}: {text:?}");
        }
    }
}

const APPENDED: [&str; 28] = [
    "a APPEND INBOX",
    "b UID REPLACE 7 Drafts",
    "c APPEND {5+}\r\nInbox",
    " (\\Seen)",
    " \" 1-Feb-2026 12:00:00 +0000\"",
    " CATENATE (",
    " CATENATE (TEXT",
    " CATENATE (URL ;UID=1",
    " URL /x/;UID=1",
    " URL {6+}\r\n;UID=1",
    " URL",
    " TEXT",
    " UTF8 (",
    " UTF8 (~{2+}\r\nhi)",
    " {3+}\r\nabc",
    " {3+}\r\nabc",
    " ~{2+}\r\n\0x",
    " {0+}\r\n",
    " {3}\r\nabc",
    " {9000000+}\r\n",
    ")",
    ")",
    ")",
    "\r\n",
    "\r\n",
    " ",
    "x",
    "\r",
];

/// What a session writes and hands out, once somebody is logged in: questions are answered in the order of `dice`.
fn append(octets: &[u8], most: usize, mut dice: Dice) -> (String, Vec<u8>) {
    let mut session = Session::new(options(Privacy::Tls));
    let (mut out, mut bodies) = (Vec::new(), Vec::new());
    let mut rest: Vec<u8> = [b"l LOGIN a b\r\ns SELECT INBOX\r\n", octets].concat();
    for _ in 0..100_000 {
        match session.step() {
            Step::Read if rest.is_empty() => return (String::from_utf8_lossy(&out).into_owned(), bodies),
            Step::Read => session.feed(&rest.drain(..rest.len().min(most)).collect::<Vec<u8>>()),
            Step::Write(octets) => out.extend_from_slice(&octets),
            Step::Body(octets) => bodies.extend_from_slice(&octets),
            Step::Ask(Question::Append(_) | Question::AppendMore(_) | Question::AppendPieces(_)) => {
                session.answer(match dice.below(5) {
                    0 => Answer::Done(Response::no("No.")),
                    _ => Answer::Go,
                });
            }
            Step::Ask(_) => session.answer(Answer::Done(Response::ok("Yes."))),
            Step::StartTls => {}
            Step::Close => return (String::from_utf8_lossy(&out).into_owned(), bodies),
        }
    }
    panic!("the session goes in circles: {:?}", String::from_utf8_lossy(octets));
}

#[test]
fn messages_in_pieces_of_any_order() {
    let seed = 0x2545_f491_4f6c_dd1d;
    let mut dice = Dice(seed);
    for round in 0..3000 {
        let words: Vec<&str> =
            (0..1 + dice.below(14)).map(|_| APPENDED[dice.below(APPENDED.len())]).collect();
        let text = format!("{}{}\r\nz NOOP\r\n", APPENDED[dice.below(3)], words.concat());
        let answers = dice.next();
        let whole = append(text.as_bytes(), wire::READ_MAX, Dice(answers));
        let piece = 1 + dice.below(8);
        let again = append(text.as_bytes(), piece, Dice(answers));
        assert_eq!(again, whole, "seed {seed:x}, round {round}, in pieces of {piece}: {text:?}");
        assert!(
            whole.0.len() < 64 * 1024 && whole.1.len() <= text.len(),
            "seed {seed:x}, round {round}: {text:?}"
        );
    }
}

#[test]
fn deep_searches_are_taken_or_refused_but_never_recurse() {
    let parsed = |criteria: &str| {
        let body = format!("SEARCH {criteria}");
        parse::command(format!("a {body}").as_bytes(), body.as_bytes(), Names::Utf7)
    };
    let chain = format!("{}FROM z", "OR FROM a@example.org ".repeat(2000));
    assert!(matches!(parsed(&chain), Ok(Parsed::Command(Command::Search(_)))));
    let grouped = format!("{}FROM z{}", "(OR FROM a ".repeat(2000), ")".repeat(2000));
    assert!(parsed(&grouped).is_ok());
    assert!(parsed(&format!("{}SEEN", "NOT ".repeat(4001))).is_ok());
    let deep = format!("{}SEEN{}", "(DRAFT NOT (SEEN OR DELETED (".repeat(300), ")))".repeat(300));
    assert!(parsed(&deep).is_err());
    assert!(parsed(&"(".repeat(60_000)).is_err());
}

const MIME: [&str; 40] = [
    "Content-Type: multipart/mixed; boundary=b\r\n",
    "Content-Type: multipart/alternative; boundary=\"c d\"\r\n",
    "Content-Type: multipart/mixed\r\n",
    "Content-Type: message/rfc822\r\n",
    "Content-Type: text/plain; charset=utf-8; format=flowed\r\n",
    "Content-Type: text\r\n",
    "Content-Type: ;;=\"\r\n",
    "Content-Type: application/x; name*0*=utf-8'en'%41; name*1=\"b\\\"c\"\r\n",
    "Content-Type: image/png; name=\"\u{fc}.png\"\r\n",
    "Content-Transfer-Encoding: base64\r\n",
    "Content-Transfer-Encoding: \"x\r\n",
    "Content-Disposition: attachment; filename=\"a b.txt\"; size=5\r\n",
    "Content-Disposition: =?utf-8?q?=C3=BC?=\r\n",
    "Content-Language: de, en\r\n",
    "Content-Language: ,\r\n",
    "Content-Location: http://x/\u{fc}\r\n",
    "Content-ID: <a@b>\r\n",
    "Content-Description: two\r\n lines \"quoted\" \\ \0 \r\n",
    "Content-MD5: xyz==\r\n",
    "From: a@b, \"x \\\" y\" <c@d>, (comment (nested)) <@r,@s:e@f>\r\n",
    "From: group: a@b, c; , ;\r\n",
    "From: <>\r\n",
    "To: undisclosed-recipients:;\r\n",
    "To: \u{fc} <\u{fc}@\u{fc}>\r\n",
    "Cc: ((((\r\n",
    "Reply-To: \"unclosed\r\n",
    "Sender: a@\r\n",
    "Subject: =?utf-8?b?w7w=?= \u{fc} \"\\\r\n",
    "Date: whenever\r\n",
    "Message-ID: <x\r\n",
    "In-Reply-To: a b <c@d>\r\n",
    "no colon here\r\n",
    ": no name\r\n",
    "\r\n",
    "--b\r\n",
    "--b--\r\n",
    "--c d\r\n",
    "--c d--\r\n",
    "text\r\n",
    "bare\nand\rbare",
];

/// Whatever a message is made of, a strict client can read what is said of its structure: one bad answer spoils
/// the whole connection in Apple Mail.
#[test]
fn the_structure_of_rubbish_can_be_read() {
    use imap_codec::ResponseCodec;
    use imap_codec::decode::Decoder;
    let seed = 0x2545_f491_4f6c_dd1d;
    let mut dice = Dice(seed);
    for round in 0..4000 {
        let mut message = String::new();
        for _ in 0..dice.below(30) {
            message.push_str(MIME[dice.below(MIME.len())]);
        }
        let analysis = mail::mime::analyse(&mut message.as_bytes()).unwrap();
        let mut out = Vec::new();
        let mut line = crate::fetch::FetchLine::begin(1, &mut out);
        line.item(&mut out, "ENVELOPE", &analysis.envelope);
        line.item(&mut out, "BODYSTRUCTURE", &analysis.bodystructure);
        line.item(&mut out, "BODY", &mail::mime::body(&analysis.bodystructure));
        line.end(&mut out);
        let read = ResponseCodec::default().decode(&out);
        assert!(
            matches!(read, Ok(([], _))),
            "seed {seed:x}, round {round}: {message:?}\n{}\n{read:?}",
            String::from_utf8_lossy(&out)
        );
    }
}
