//! Runs the chats of `transcripts/`, and tables about grammar and output.

mod acl;
mod context;
mod grammar;
mod multisearch;
mod noise;
mod output;
mod sort;

use crate::response::{Code, Kind, Response, Told, Untagged, Vanished};
use crate::sequence::Ranges;
use crate::server::{Answer, ClearLogin, Options, Privacy, Question, Session, hideable};
use std::path::Path;
use wire::transcript::{Event, Player, Side, run};
use wire::{Machine, Step};

fn options(privacy: Privacy) -> Options {
    Options {
        privacy,
        clear_login: ClearLogin::Refused,
        mechanisms: vec!["PLAIN", "LOGIN"],
        append_limit: 1000,
        message_limit: 2000,
        greeting: "mx.example.org".to_owned(),
        hidden: Vec::new(),
    }
}

/// A session whose owner answers as the chat says: actions parted by `;`, the last one the answer.
struct Chatting(Session);

impl Chatting {
    fn say(&mut self, action: &str) -> Result<(), String> {
        let (verb, rest) = action.split_once(' ').unwrap_or((action, ""));
        let number = || rest.parse::<u32>().map_err(|error| format!("{action}: {error}"));
        let response = |kind| {
            let (code, text) = match rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
                Some((code, text)) => (Some(Code::Word(code.to_owned().leak())), text),
                None => (None, rest),
            };
            Answer::Done(Response { kind, code, text: text.to_owned().into() })
        };
        let tell = match verb {
            "bad" => return self.done(response(Kind::Bad)),
            "ok" => return self.done(response(Kind::Ok)),
            "no" => return self.done(response(Kind::No)),
            "go" => return self.done(Answer::Go),
            "challenge" => return self.done(Answer::Challenge(rest.to_owned())),
            "on" => return Ok(()),
            "tls" => {
                self.0.tls_started();
                return Ok(());
            }
            "bye" => {
                self.0.bye(Some("UNAVAILABLE"), "Good night.");
                return Ok(());
            }
            "exists" => Untagged::Exists(number()?),
            "expunge" => Untagged::Expunge(number()?),
            "flags" => {
                let (number, uid) = rest.split_once(' ').ok_or("a number and a UID are needed")?;
                Untagged::Fetch(Told {
                    number: number.parse().map_err(|error| format!("{action}: {error}"))?,
                    uid: Some(uid.parse().map_err(|error| format!("{action}: {error}"))?),
                    flags: Some(vec!["\\Seen".to_owned()]),
                    modseq: None,
                })
            }
            "batches" => {
                let (high, low) = rest.split_once(' ').ok_or("two UIDs are needed")?;
                let number = |text: &str| text.parse::<u32>().map_err(|error| format!("{action}: {error}"));
                let (high, low) = (number(high)?, number(low)?);
                let ranges = if high == 0 { Vec::new() } else { vec![(high, low), (low - 1, 1)] };
                Untagged::UidBatches { tag: self.0.tag().to_owned(), ranges }
            }
            "vanished" => Untagged::Vanished(Vanished::Now, Ranges::from_numbers([number()?])),
            other => return Err(format!("unknown action {other}")),
        };
        self.0.tell(&tell).map_err(|error| format!("{error:?}"))
    }

    fn done(&mut self, answer: Answer) -> Result<(), String> {
        self.0.answer(answer);
        Ok(())
    }
}

fn show(question: &Question) -> String {
    match question {
        Question::Command(command) => format!("{command:?}"),
        other => format!("{other:?}"),
    }
}

impl Player for Chatting {
    fn feed(&mut self, octets: &[u8]) {
        self.0.feed(octets);
    }

    fn step(&mut self) -> Event {
        match self.0.step() {
            Step::Read => Event::Read,
            Step::Write(octets) => Event::Write(octets),
            Step::Ask(question) => Event::Ask(show(&question)),
            Step::Body(octets) => Event::Body(octets),
            Step::StartTls => Event::StartTls,
            Step::Close => Event::Close,
        }
    }

    fn answer(&mut self, answer: &str) -> Result<(), String> {
        answer.split(';').try_for_each(|action| self.say(action.trim()))
    }

    fn act(&mut self, what: &str) -> Result<(), String> {
        self.say(what)
    }
}

/// What is announced before login, one name a line, and the limit of [`options`].
fn capabilities() -> String {
    let names: Vec<&str> = include_str!("tests/capabilities.txt").lines().collect();
    format!("{} APPENDLIMIT=1000 MESSAGELIMIT=2000", names.join(" "))
}

/// `@greeting`, `@login` and `@select` stand for what most chats begin with, `@CAPABILITIES` and `@AFTER_LOGIN` for
/// the lists.
fn expand(chat: &str) -> String {
    let capabilities = capabilities();
    let greeting = format!("S: * OK [CAPABILITY {capabilities} AUTH=PLAIN AUTH=LOGIN] mx.example.org\n");
    let later = capabilities.replace(" APPENDLIMIT", " UNAUTHENTICATE COMPRESS=DEFLATE APPENDLIMIT");
    let hidden = capabilities.replace(" QRESYNC", "").replace(" APPENDLIMIT=1000", "");
    let login = format!(
        "{greeting}C: l LOGIN alice secret\n? Login {{ user: \"alice\", password: Secret(***) }} = ok Welcome.\n\
         S: l OK [CAPABILITY {later}] Welcome.\n"
    );
    let select = format!(
        "{login}C: s SELECT INBOX\n? Select(Select {{ mailbox: \"INBOX\", access: ReadWrite, resync: None }}) = ok [READ-WRITE] Selected.\n\
         S: s OK [READ-WRITE] Selected.\n"
    );
    let lines = chat.lines().map(|line| match line {
        "@greeting" => greeting.clone(),
        "@login" => login.clone(),
        "@select" => select.clone(),
        other => {
            format!(
                "{}\n",
                other
                    .replace("@CAPABILITIES", &capabilities)
                    .replace("@AFTER_LOGIN", &later)
                    .replace("@HIDDEN", &hidden)
            )
        }
    });
    lines.collect()
}

#[test]
fn chats() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts");
    let mut count = 0;
    let mut failed = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let hidden =
            ["COMPRESS=DEFLATE", "UNAUTHENTICATE", "QRESYNC", "APPENDLIMIT"].map(|n| hideable(n).unwrap());
        let hidden = if name.starts_with("hidden") { hidden.to_vec() } else { Vec::new() };
        let privacy = if name.starts_with("clear-") { Privacy::StartTls } else { Privacy::Tls };
        let chat = expand(&std::fs::read_to_string(&path).unwrap());
        if let Err(error) = run(Side::Server, &chat, || {
            Chatting(Session::new(Options { hidden: hidden.clone(), ..options(privacy) }))
        }) {
            failed.push(format!("{name}: {error}"));
        }
        count += 1;
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(count >= 10, "only {count} chats were found");
}

/// Everything the session writes when it is fed `octets` at once and every question is answered with NO.
fn talk(session: &mut Session, octets: &[u8]) -> String {
    talk_in_pieces(session, octets, wire::READ_MAX)
}

fn talk_in_pieces(session: &mut Session, octets: &[u8], most: usize) -> String {
    let mut out = Vec::new();
    let mut rest = octets;
    loop {
        match session.step() {
            Step::Read if rest.is_empty() => break,
            Step::Read => {
                let (piece, after) = rest.split_at(rest.len().min(most));
                session.feed(piece);
                rest = after;
            }
            Step::Write(octets) => out.extend_from_slice(&octets),
            Step::Ask(_) => session.answer(Answer::Done(Response::no("No."))),
            Step::Body(_) => {}
            Step::StartTls => {
                out.extend_from_slice(b"<TLS>");
                session.tls_started();
            }
            Step::Close => {
                out.extend_from_slice(b"<CLOSE>");
                break;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// RFC 9051 §6.2.1. In pieces the second command would come after TLS has begun, so this is no chat.
#[test]
fn text_behind_starttls_in_the_same_packet_ends_the_connection() {
    let mut session = Session::new(options(Privacy::StartTls));
    let out = talk(&mut session, b"a STARTTLS\r\nb NOOP\r\n");
    assert!(out.contains("a BAD Nothing may follow"), "{out}");
    assert!(out.ends_with("<CLOSE>"), "{out}");
    assert!(!out.contains("<TLS>"), "{out}");
}

#[test]
fn who_sends_only_rubbish_is_cut_off() {
    let mut session = Session::new(options(Privacy::Tls));
    let out = talk(&mut session, "x RUBBISH\r\n".repeat(200).as_bytes());
    assert_eq!(out.matches("x BAD").count() as u32, crate::server::BAD_MAX);
    assert!(out.ends_with("<CLOSE>"));
}

#[test]
fn what_is_too_long_does_not_shift_the_next_command() {
    let long = "y".repeat(20_000);
    for command in [
        format!("a LOGIN {long} x\r\n"),
        format!("a LOGIN {{20000+}}\r\n{long} x\r\n"),
        format!("a LOGIN {long} {{20000+}}\r\n{long} {{3+}}\r\nabc\r\n"),
        "a LOGIN {20000}\r\n".to_owned(),
        "a LOGIN {3+}\r\nabc\r {5+}\r\nfg\r\nh\r\n".to_owned(),
        "a LOGIN x\ry {4+}\r\n\r\n\r\n\r\n".to_owned(),
        "a LOGIN x y\n".to_owned(),
    ] {
        let mut session = Session::new(options(Privacy::Tls));
        let out = talk(&mut session, format!("{command}b NOOP\r\n").as_bytes());
        let lines: Vec<&str> = out.lines().skip(1).filter(|line| !line.starts_with("+ ")).collect();
        let head = &command[..command.len().min(40)];
        assert_eq!(lines.len(), 2, "{head:?}: {lines:?}");
        assert!(lines[0].starts_with("a BAD"), "{head:?}: {lines:?}");
        assert_eq!(lines[1], "b NO No.", "{head:?}");
    }
}

#[test]
fn a_literal_without_end_ends_the_connection() {
    let mut session = Session::new(options(Privacy::Tls));
    let out = talk(&mut session, b"a LOGIN {99999999999999999999+}\r\n");
    assert!(out.ends_with("* BYE The command has no end.\r\n<CLOSE>"), "{out}");
}

/// A client that sends an octet now and then may not hold its place for ever.
#[test]
fn what_was_begun_has_a_time_to_end() {
    let mut session = Session::new(options(Privacy::Tls));
    let under_way = |session: &Session| session.under_way().map(|u| (u.number, u.patience));
    let command = crate::server::PATIENCE_COMMAND;
    talk(&mut session, b"");
    assert_eq!(under_way(&session), None);
    talk(&mut session, b"a NO");
    assert_eq!(under_way(&session), Some((0, command)));
    talk(&mut session, b"OP {3}\r\n");
    assert_eq!(under_way(&session), Some((0, command)), "its literal belongs to it");
    talk(&mut session, b"abc\r\n");
    assert_eq!(under_way(&session), None);
    talk(&mut session, b"b");
    assert_eq!(under_way(&session), Some((1, command)));
    talk(&mut session, &[b'b'; 10_000]);
    assert_eq!(under_way(&session), Some((1, command)), "what is dropped as well");
}
