//! Runs a chat, written as text, against a machine. Only tests use it; it has no other way to the machine
//! than the one the daemon has.
//!
//! A chat is lines; blank lines and lines that begin with `#` mean nothing:
//!
//! ```text
//! C: EHLO a.example        octets of the client, CRLF added
//! C+ EHL                   the same without CRLF
//! ? hello a.example = ok   the machine must ask just this; behind ` = ` the answer that is given
//! S: 250 mx.example        octets of the server, CRLF added (S+ without)
//! B: Subject: x            message octets that the machine must hand out, CRLF added (B+ without)
//! ! tell exists 5          the owner acts without being asked
//! T                        the machine must ask for TLS
//! X                        the machine must close
//! ```
//!
//! `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` stand for octets. Lines of one kind that follow each other are one run
//! of octets, so that pipelining can be written down.

use std::collections::VecDeque;

/// What a machine under test did, with questions and answers as text.
#[derive(Debug)]
pub enum Event {
    Read,
    Write(Vec<u8>),
    Ask(String),
    Body(Vec<u8>),
    StartTls,
    Close,
}

/// A machine, made ready for chats: the test gives questions and answers a text form.
pub trait Player {
    fn feed(&mut self, octets: &[u8]);
    fn step(&mut self) -> Event;
    /// Answers the question that was asked last.
    fn answer(&mut self, answer: &str) -> Result<(), String>;
    /// Acts without being asked (`!`); also called with `tls` after [`Event::StartTls`].
    fn act(&mut self, what: &str) -> Result<(), String>;
}

/// Which side of the chat the machine plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Server,
    Client,
}

#[derive(Debug)]
enum Item {
    Feed(Vec<u8>),
    Write(Vec<u8>),
    Body(Vec<u8>),
    Ask { question: String, answer: String },
    Act(String),
    StartTls,
    Close,
}

/// Most steps of one run; a machine that needs more goes in circles.
const STEPS_MAX: usize = 1_000_000;

/// Runs the chat whole and in pieces of 1 to 8 octets, each time with a new machine.
pub fn run<P: Player>(side: Side, chat: &str, make: impl Fn() -> P) -> Result<(), String> {
    for piece in [usize::MAX, 1, 2, 3, 4, 5, 6, 7, 8] {
        let mut script = parse(side, chat)?;
        play(&mut script, &mut make(), piece).map_err(|error| match piece {
            usize::MAX => format!("whole: {error}"),
            n => format!("in pieces of {n}: {error}"),
        })?;
    }
    Ok(())
}

fn parse(side: Side, chat: &str) -> Result<VecDeque<(usize, Item)>, String> {
    let mut items: VecDeque<(usize, Item)> = VecDeque::new();
    for (at, line) in chat.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let item = parse_line(side, line).map_err(|error| format!("line {}: {error}", at + 1))?;
        match (items.back_mut().map(|(_, last)| last), item) {
            (Some(Item::Feed(run)), Item::Feed(more))
            | (Some(Item::Write(run)), Item::Write(more))
            | (Some(Item::Body(run)), Item::Body(more)) => run.extend_from_slice(&more),
            (_, item) => items.push_back((at + 1, item)),
        }
    }
    Ok(items)
}

fn parse_line(side: Side, line: &str) -> Result<Item, String> {
    match line.trim_end() {
        "T" => return Ok(Item::StartTls),
        "X" => return Ok(Item::Close),
        _ => {}
    }
    if let Some(text) = line.strip_prefix("? ") {
        let (question, answer) = text.rsplit_once(" = ").unwrap_or((text, ""));
        return Ok(Item::Ask { question: question.trim().to_owned(), answer: answer.trim().to_owned() });
    }
    if let Some(text) = line.strip_prefix("! ") {
        return Ok(Item::Act(text.trim().to_owned()));
    }
    let (head, text) = line.split_at_checked(2).ok_or("not a line of a chat")?;
    let mut octets = unescape(text.strip_prefix(' ').unwrap_or(text))?;
    if head.ends_with(':') {
        octets.extend_from_slice(b"\r\n");
    }
    match (side, head) {
        (Side::Server, "C:" | "C+") | (Side::Client, "S:" | "S+") => Ok(Item::Feed(octets)),
        (Side::Server, "S:" | "S+") | (Side::Client, "C:" | "C+") => Ok(Item::Write(octets)),
        (_, "B:" | "B+") => Ok(Item::Body(octets)),
        _ => Err(format!("not a line of a chat: {line}")),
    }
}

fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        out.push(match chars.next() {
            Some('r') => b'\r',
            Some('n') => b'\n',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('x') => {
                let hex: String = chars.by_ref().take(2).collect();
                u8::from_str_radix(&hex, 16).map_err(|_| format!("bad \\x{hex}"))?
            }
            other => return Err(format!("unknown escape {other:?}")),
        });
    }
    Ok(out)
}

fn play<P: Player>(script: &mut VecDeque<(usize, Item)>, player: &mut P, piece: usize) -> Result<(), String> {
    let mut waiting: VecDeque<u8> = VecDeque::new();
    for _ in 0..STEPS_MAX {
        act_if_due(script, player, &waiting)?;
        match player.step() {
            Event::Read => {
                if waiting.is_empty() {
                    if let Some((_, Item::Feed(_))) = script.front() {
                        let Some((_, Item::Feed(octets))) = script.pop_front() else { unreachable!() };
                        waiting.extend(octets);
                    } else if let Some((_, Item::Act(_))) = script.front() {
                        continue;
                    } else {
                        return end(script);
                    }
                }
                let n = waiting.len().min(piece);
                let octets: Vec<u8> = waiting.drain(..n).collect();
                player.feed(&octets);
            }
            Event::Write(octets) => expect_run(script, &octets, Run::Write)?,
            Event::Body(octets) => expect_run(script, &octets, Run::Body)?,
            Event::Ask(question) => match script.pop_front() {
                Some((line, Item::Ask { question: want, answer })) if want == question => {
                    player.answer(&answer).map_err(|error| format!("line {line}: {error}"))?;
                }
                other => return Err(mismatch(other.as_ref(), &format!("? {question}"))),
            },
            Event::StartTls => match script.pop_front() {
                Some((line, Item::StartTls)) => {
                    player.act("tls").map_err(|error| format!("line {line}: {error}"))?;
                }
                other => return Err(mismatch(other.as_ref(), "T")),
            },
            Event::Close => {
                return match script.pop_front() {
                    Some((_, Item::Close)) => end(script),
                    other => Err(mismatch(other.as_ref(), "X")),
                };
            }
        }
    }
    Err("the machine goes in circles".to_owned())
}

fn act_if_due<P: Player>(
    script: &mut VecDeque<(usize, Item)>,
    player: &mut P,
    waiting: &VecDeque<u8>,
) -> Result<(), String> {
    while waiting.is_empty() {
        let Some((line, Item::Act(what))) = script.front() else { return Ok(()) };
        player.act(what).map_err(|error| format!("line {line}: {error}"))?;
        script.pop_front();
    }
    Ok(())
}

fn end(script: &VecDeque<(usize, Item)>) -> Result<(), String> {
    match script.front() {
        None => Ok(()),
        some => Err(mismatch(some, "nothing more")),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Write,
    Body,
}

/// Takes `octets` off the front of the run that the script expects; the run may be longer.
fn expect_run(script: &mut VecDeque<(usize, Item)>, octets: &[u8], kind: Run) -> Result<(), String> {
    let mark = if kind == Run::Write { "writes" } else { "hands out" };
    let shown = || format!("{mark} {:?}", String::from_utf8_lossy(octets));
    let rest = match (kind, script.front_mut()) {
        (Run::Write, Some((_, Item::Write(rest)))) | (Run::Body, Some((_, Item::Body(rest)))) => rest,
        (_, other) => return Err(mismatch(other.as_deref(), &shown())),
    };
    if !rest.starts_with(octets) {
        return Err(mismatch(script.front(), &shown()));
    }
    rest.drain(..octets.len());
    if rest.is_empty() {
        script.pop_front();
    }
    Ok(())
}

fn mismatch(want: Option<&(usize, Item)>, got: &str) -> String {
    let want = match want {
        None => "the chat has ended".to_owned(),
        Some((line, Item::Feed(octets))) => {
            format!("line {line}: it reads {:?}", String::from_utf8_lossy(octets))
        }
        Some((line, Item::Write(octets))) => {
            format!("line {line}: it writes {:?}", String::from_utf8_lossy(octets))
        }
        Some((line, Item::Body(octets))) => {
            format!("line {line}: it hands out {:?}", String::from_utf8_lossy(octets))
        }
        Some((line, Item::Ask { question, .. })) => format!("line {line}: it asks {question}"),
        Some((line, Item::Act(what))) => format!("line {line}: owner acts {what}"),
        Some((line, Item::StartTls)) => format!("line {line}: it asks for TLS"),
        Some((line, Item::Close)) => format!("line {line}: it closes"),
    };
    format!("wanted: {want}; the machine: {got}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says back every line; asks about `ask`; hands out `body`; closes on `quit`.
    #[derive(Default)]
    struct Echo {
        buffer: Vec<u8>,
        next: VecDeque<Event>,
        closed: bool,
    }

    impl Player for Echo {
        fn feed(&mut self, octets: &[u8]) {
            self.buffer.extend_from_slice(octets);
        }

        fn step(&mut self) -> Event {
            if let Some(event) = self.next.pop_front() {
                return event;
            }
            if self.closed {
                return Event::Close;
            }
            match crate::take_line(&self.buffer, 100) {
                crate::Line::Whole(line, used) => {
                    self.buffer.drain(..used);
                    match line.as_slice() {
                        b"ask" => Event::Ask("may I".into()),
                        b"body" => Event::Body(b"octets".to_vec()),
                        b"tls" => Event::StartTls,
                        b"quit" => {
                            self.closed = true;
                            Event::Write(b"bye\r\n".to_vec())
                        }
                        _ => Event::Write([&line, &b"\r\n"[..]].concat()),
                    }
                }
                _ => Event::Read,
            }
        }

        fn answer(&mut self, answer: &str) -> Result<(), String> {
            self.next.push_back(Event::Write(format!("{answer}\r\n").into_bytes()));
            Ok(())
        }

        fn act(&mut self, what: &str) -> Result<(), String> {
            self.next.push_back(Event::Write(format!("* {what}\r\n").into_bytes()));
            Ok(())
        }
    }

    #[test]
    fn a_right_chat_passes() {
        let chat = "C: a\nC: b\nS: a\nS: b\nC: ask\n? may I = yes\nS: yes\nC: body\nB+ octets\n\
                    ! ring\nS: * ring\nC: tls\nT\nS: * tls\nC: quit\nS: bye\nX\n";
        run(Side::Server, chat, Echo::default).unwrap();
    }

    #[test]
    fn a_wrong_chat_fails() {
        for chat in [
            "C: a\nS: b\n",
            "C: a\n",
            "C: a\nS: a\nS: more\n",
            "C: ask\n? may you = yes\nS: yes\n",
            "C: quit\nS: bye\nS: more\nX\n",
            "C: quit\nS: bye\nX\nC: a\n",
            "C: body\nB+ octet\n",
            "nonsense\n",
        ] {
            assert!(run(Side::Server, chat, Echo::default).is_err(), "{chat}");
        }
    }
}
