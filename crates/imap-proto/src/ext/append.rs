//! APPEND and REPLACE: what stands before, between and behind literals that hold messages or pieces of them
//! (RFC 9051 §6.3.12, RFC 3502, RFC 3516 §4.4, RFC 4469, RFC 6855 §4, RFC 8508 §5).

use super::store::check_flags;
use crate::command::{Append, Appended, By, Piece, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};
use crate::sequence::{self, Bound, Set};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Append,
    Replace(By),
}

/// Where the last literal stood; what follows depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inside {
    /// It was a message.
    Message,
    /// It was a message, in `UTF8 (…)`.
    Utf8,
    /// It was a piece, in `CATENATE (…)`.
    Catenate,
    /// It was a piece, in `CATENATE (UTF8 (…))`.
    CatenateUtf8,
}

/// What stands between two literals, or between one and an end of the command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) events: Vec<Event>,
    pub(crate) end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The first message of the command begins.
    Begin(Append),
    /// A further one begins; the one before is whole.
    More(Appended),
    /// The message goes on.
    Pieces(Vec<Piece>),
}

/// How a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The literal that follows is a message, or a piece of one.
    Literal(Inside),
    /// The literal that follows is a name or a URL.
    Argument,
    /// The command is whole.
    Command,
}

/// The literal behind a segment: its length. `None`: the line ends there.
type Size = Option<u64>;

/// Whether the command is one of the two.
pub(crate) fn is_verb(body: &[u8]) -> bool {
    verb(&mut Lexer::new(body)).is_some()
}

/// The first segment: `body` is what stands behind the tag.
pub(crate) fn first(body: &[u8], size: Size, names: Names) -> Lexed<Segment> {
    let mut lexer = Lexer::new(body);
    let verb = verb(&mut lexer).ok_or(Refusal::bad("APPEND is not well formed."))?;
    lexer.space().map_err(|_| Refusal::bad("APPEND needs a mailbox and a message."))?;
    let replaces = match verb {
        Verb::Append => None,
        Verb::Replace(by) => {
            let number = one(sequence::set(&mut lexer)?)?;
            lexer.space()?;
            Some((by, number))
        }
    };
    if lexer.is_end() && size.is_some() {
        return Ok(Segment { events: Vec::new(), end: End::Argument });
    }
    let mailbox = parse::name(&lexer.astring()?, names)?;
    let mut reader = Reader { lexer, size, events: Vec::new() };
    let message = Appended::default();
    reader.events.push(Event::Begin(Append { mailbox, replaces, message }));
    let end = reader.message()?;
    Ok(reader.whole(end))
}

/// A later one, behind a literal that stood `inside` something.
pub(crate) fn next(between: &[u8], size: Size, inside: Inside) -> Lexed<Segment> {
    let mut reader = Reader { lexer: Lexer::new(between), size, events: Vec::new() };
    if matches!(inside, Inside::Utf8 | Inside::CatenateUtf8) {
        reader.lexer.expect(b')')?;
    }
    let end = match inside {
        Inside::Message | Inside::Utf8 => reader.behind_message()?,
        Inside::Catenate | Inside::CatenateUtf8 => {
            reader.events.push(Event::Pieces(Vec::new()));
            reader.behind_piece()?
        }
    };
    Ok(reader.whole(end))
}

fn verb(lexer: &mut Lexer<'_>) -> Option<Verb> {
    if lexer.take_word("APPEND") {
        return Some(Verb::Append);
    }
    let by = if lexer.take_word("UID") && lexer.take_space() { By::Uid } else { By::Sequence };
    lexer.take_word("REPLACE").then_some(Verb::Replace(by))
}

/// A single message.
fn one(set: Set) -> Lexed<Bound> {
    match set {
        Set::Ranges(ranges) if ranges.len() == 1 && ranges[0].0 == ranges[0].1 => Ok(ranges[0].0),
        _ => Err(Refusal::bad("REPLACE takes one message.")),
    }
}

struct Reader<'a> {
    lexer: Lexer<'a>,
    size: Size,
    events: Vec<Event>,
}

impl Reader<'_> {
    fn whole(mut self, end: End) -> Segment {
        self.events.retain(|event| *event != Event::Pieces(Vec::new()));
        Segment { events: self.events, end }
    }

    /// The message under way.
    fn current(&mut self) -> Option<&mut Appended> {
        match self.events.last_mut()? {
            Event::Begin(append) => Some(&mut append.message),
            Event::More(message) => Some(message),
            Event::Pieces(_) => None,
        }
    }

    fn push(&mut self, piece: Piece) {
        match self.events.last_mut() {
            Some(Event::Begin(append)) => append.message.pieces.push(piece),
            Some(Event::More(message)) => message.pieces.push(piece),
            Some(Event::Pieces(pieces)) => pieces.push(piece),
            None => self.events.push(Event::Pieces(vec![piece])),
        }
    }

    /// Flags, date and data of a message, whose event is the last one.
    fn message(&mut self) -> Lexed<End> {
        const NEEDED: Refusal = Refusal::bad("A message is needed, as a literal.");
        if self.lexer.is_end() && self.size.is_none() {
            return Err(NEEDED);
        }
        self.lexer.space()?;
        let (flags, date) = (self.flags()?, self.date()?);
        if let Some(message) = self.current() {
            (message.flags, message.date) = (flags, date);
        }
        if self.lexer.take_word("CATENATE") {
            self.lexer.space()?;
            self.lexer.expect(b'(')?;
            return self.piece();
        }
        if self.lexer.take_word("UTF8") {
            return self.utf8(Inside::Utf8);
        }
        let binary = self.lexer.take(b'~');
        if !self.lexer.is_end() || self.size.is_none() {
            return Err(NEEDED);
        }
        self.literal(binary, Inside::Message)
    }

    fn flags(&mut self) -> Lexed<Vec<String>> {
        if self.lexer.peek() != Some(b'(') {
            return Ok(Vec::new());
        }
        let mut flags = self.lexer.parenthesized(Lexer::flag)?;
        // Clients send back what they were told; `\Recent` was told for years (RFC 3501 §2.3.2).
        flags.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
        check_flags(&flags)?;
        self.lexer.space()?;
        Ok(flags)
    }

    fn date(&mut self) -> Lexed<Option<String>> {
        if self.lexer.peek() != Some(b'"') {
            return Ok(None);
        }
        let text = Lexer::utf8(self.lexer.string()?)?;
        if !is_date_time(&text) {
            return Err(Refusal::bad("The date of APPEND is like \" 1-Feb-2026 12:00:00 +0000\"."));
        }
        self.lexer.space()?;
        Ok(Some(text))
    }

    /// `UTF8 (~{…}` up to the literal (RFC 6855 §4).
    fn utf8(&mut self, inside: Inside) -> Lexed<End> {
        self.lexer.space()?;
        self.lexer.expect(b'(')?;
        if !self.lexer.take(b'~') {
            return Err(Refusal::bad("UTF8 needs a literal8."));
        }
        self.literal(true, inside)
    }

    /// The end of the segment, with a literal that is streamed.
    fn literal(&mut self, binary: bool, inside: Inside) -> Lexed<End> {
        self.lexer.end()?;
        let size = self.size.ok_or(Refusal::bad("A literal is missing."))?;
        self.push(Piece::Text { size, binary });
        Ok(End::Literal(inside))
    }

    /// A piece of CATENATE (RFC 4469 §5).
    fn piece(&mut self) -> Lexed<End> {
        if self.lexer.take_word("TEXT") {
            self.lexer.space()?;
            let binary = self.lexer.take(b'~');
            return self.literal(binary, Inside::Catenate);
        }
        if self.lexer.take_word("UTF8") {
            return self.utf8(Inside::CatenateUtf8);
        }
        if !self.lexer.take_word("URL") {
            return Err(Refusal::bad("CATENATE takes TEXT, URL and UTF8."));
        }
        self.lexer.space()?;
        if self.lexer.is_end() && self.size.is_some() {
            return Ok(End::Argument);
        }
        let url = Lexer::utf8(self.lexer.astring()?)?;
        self.push(Piece::Url(url));
        self.behind_piece()
    }

    fn behind_piece(&mut self) -> Lexed<End> {
        if self.lexer.take(b')') {
            return self.behind_message();
        }
        self.lexer.space()?;
        self.piece()
    }

    /// The end, or a further message (RFC 3502).
    fn behind_message(&mut self) -> Lexed<End> {
        if self.lexer.at_end() && self.size.is_none() {
            return Ok(End::Command);
        }
        if self.size.is_none() && !self.lexer.rest().contains(&b')') {
            // A message has a literal or parentheses.
            return Err(Refusal::bad("Nothing may follow the message of APPEND."));
        }
        self.events.push(Event::More(Appended::default()));
        self.message()
    }
}

/// `date-time` (RFC 9051 §9): `dd-Mon-yyyy hh:mm:ss +zzzz`, the day with a blank or a zero in front, which some leave out.
fn is_date_time(text: &str) -> bool {
    if text.len() == 25 {
        return is_date_time(&format!(" {text}"));
    }
    let shape =
        text.bytes().zip(*b"dd-aaa-dddd dd:dd:dd sdddd").enumerate().all(|(at, (octet, want))| match want {
            b'd' => octet.is_ascii_digit() || (at == 0 && octet == b' '),
            b'a' => octet.is_ascii_alphabetic(),
            b's' => matches!(octet, b'+' | b'-'),
            other => octet == other,
        });
    text.len() == 26 && shape
}
