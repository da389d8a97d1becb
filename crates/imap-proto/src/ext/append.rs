//! The heads of APPEND and REPLACE: what stands before a literal that holds a message (RFC 9051 §6.3.12, RFC 3502,
//! RFC 3516 §4.4, RFC 8508 §5).

use super::store::check_flags;
use crate::command::{Append, Appended, By, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};
use crate::sequence::{self, Bound, Set};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Append,
    Replace(By),
}

/// `body` is what stands behind the tag, up to the brace of the last literal; `size` that literal's length.
/// `None`: this is neither APPEND nor REPLACE.
pub(crate) fn head(body: &[u8], size: u64, names: Names) -> Option<Lexed<Append>> {
    let mut lexer = Lexer::new(body);
    let verb = verb(&mut lexer)?;
    Some(arguments(&mut lexer, verb, size, names))
}

/// The same of a further message of one APPEND: what stands between two literals (RFC 3502).
pub(crate) fn more(between: &[u8], size: u64) -> Lexed<Appended> {
    message(&mut Lexer::new(between), size)
}

/// Whether the literal that comes next is the message itself, and not the mailbox name.
pub(crate) fn is_message_next(body: &[u8]) -> bool {
    let mut lexer = Lexer::new(body);
    match verb(&mut lexer) {
        None => false,
        Some(Verb::Append) => is_behind_name(&mut lexer),
        Some(Verb::Replace(_)) => {
            lexer.take(b' ') && sequence::set(&mut lexer).is_ok() && is_behind_name(&mut lexer)
        }
    }
}

fn is_behind_name(lexer: &mut Lexer<'_>) -> bool {
    lexer.take(b' ') && !lexer.is_end() && lexer.astring().is_ok()
}

fn verb(lexer: &mut Lexer<'_>) -> Option<Verb> {
    if lexer.take_word("APPEND") {
        return Some(Verb::Append);
    }
    let by = if lexer.take_word("UID") && lexer.take(b' ') { By::Uid } else { By::Sequence };
    lexer.take_word("REPLACE").then_some(Verb::Replace(by))
}

fn arguments(lexer: &mut Lexer<'_>, verb: Verb, size: u64, names: Names) -> Lexed<Append> {
    lexer.space()?;
    let replaces = match verb {
        Verb::Append => None,
        Verb::Replace(by) => {
            let number = one(sequence::set(lexer)?)?;
            lexer.space()?;
            Some((by, number))
        }
    };
    let mailbox = parse::name(&lexer.astring()?, names)?;
    Ok(Append { mailbox, replaces, message: message(lexer, size)? })
}

/// A single message.
fn one(set: Set) -> Lexed<Bound> {
    match set {
        Set::Ranges(ranges) if ranges.len() == 1 && ranges[0].0 == ranges[0].1 => Ok(ranges[0].0),
        _ => Err(Refusal::bad("REPLACE takes one message.")),
    }
}

fn message(lexer: &mut Lexer<'_>, size: u64) -> Lexed<Appended> {
    lexer.space()?;
    let mut flags = Vec::new();
    if lexer.peek() == Some(b'(') {
        flags = lexer.parenthesized(Lexer::flag)?;
        // Clients send back what they were told; `\Recent` was told for years (RFC 3501 §2.3.2).
        flags.retain(|flag| !flag.eq_ignore_ascii_case("\\Recent"));
        check_flags(&flags)?;
        lexer.space()?;
    }
    let mut date = None;
    if lexer.peek() == Some(b'"') {
        let text = Lexer::utf8(lexer.string()?)?;
        if !is_date_time(&text) {
            return Err(Refusal::bad("The date of APPEND is like \" 1-Feb-2026 12:00:00 +0000\"."));
        }
        date = Some(text);
        lexer.space()?;
    }
    let binary = lexer.take(b'~');
    lexer.end()?;
    Ok(Appended { flags, date, size, binary })
}

/// `date-time` (RFC 9051 §9): `dd-Mon-yyyy hh:mm:ss +zzzz`, the day with a blank or a zero in front.
fn is_date_time(text: &str) -> bool {
    let shape =
        text.bytes().zip(*b"dd-aaa-dddd dd:dd:dd sdddd").enumerate().all(|(at, (octet, want))| match want {
            b'd' => octet.is_ascii_digit() || (at == 0 && octet == b' '),
            b'a' => octet.is_ascii_alphabetic(),
            b's' => matches!(octet, b'+' | b'-'),
            other => octet == other,
        });
    text.len() == 26 && shape
}
