//! STORE, COPY and MOVE: imap-codec has them, but not `$` as their set (RFC 9051 §6.4.4.1).

use crate::command::{Answering, By, Command, Refusal, Store, StoreMode};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};
use crate::sequence;

/// Longest flag in octets.
pub(crate) const FLAG_MAX: usize = 255;
/// Most flags of one command.
pub(crate) const FLAGS_MAX: usize = 100;

pub(crate) fn store(lexer: &mut Lexer<'_>, by: By) -> Lexed<Command> {
    lexer.space()?;
    let set = sequence::set(lexer)?;
    lexer.space()?;
    let unchanged_since = unchanged_since(lexer)?;
    let mode = if lexer.take(b'+') {
        StoreMode::Add
    } else if lexer.take(b'-') {
        StoreMode::Remove
    } else {
        StoreMode::Replace
    };
    let answering = match lexer.word()?.as_str() {
        "FLAGS" => Answering::Told,
        "FLAGS.SILENT" => Answering::Silent,
        _ => return Err(Refusal::bad("STORE knows FLAGS, +FLAGS and -FLAGS, each with .SILENT or without.")),
    };
    lexer.space()?;
    let flags = if lexer.peek() == Some(b'(') {
        lexer.parenthesized(Lexer::flag)?
    } else {
        let mut flags = vec![lexer.flag()?];
        while lexer.take_space() {
            flags.push(lexer.flag()?);
        }
        flags
    };
    check_flags(&flags)?;
    Ok(Command::Store(Store { set, by, mode, answering, flags, unchanged_since }))
}

/// `(UNCHANGEDSINCE n) ` (RFC 7162 §3.1.3).
fn unchanged_since(lexer: &mut Lexer<'_>) -> Lexed<Option<u64>> {
    if !lexer.take(b'(') {
        return Ok(None);
    }
    if !lexer.take_word("UNCHANGEDSINCE") {
        return Err(Refusal::bad("The only modifier of STORE is UNCHANGEDSINCE."));
    }
    lexer.space()?;
    let modseq = lexer.number()?;
    lexer.expect(b')')?;
    lexer.space()?;
    Ok(Some(modseq))
}

/// `\Recent` and unknown system flags cannot be stored.
pub(crate) fn check_flags(flags: &[String]) -> Lexed<()> {
    const SYSTEM: [&str; 5] = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"];
    if flags.len() > FLAGS_MAX || flags.iter().any(|flag| flag.len() > FLAG_MAX) {
        return Err(Refusal::limit("There are too many flags, or one is too long."));
    }
    let known =
        |flag: &String| !flag.starts_with('\\') || SYSTEM.iter().any(|s| s.eq_ignore_ascii_case(flag));
    if flags.iter().all(known) {
        Ok(())
    } else {
        Err(Refusal::bad(
            "Only \\Answered, \\Flagged, \\Deleted, \\Seen, \\Draft and keywords can be stored.",
        ))
    }
}

/// Arguments of COPY and MOVE.
pub(crate) fn transfer(lexer: &mut Lexer<'_>, by: By, verb: Transfer, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let set = sequence::set(lexer)?;
    lexer.space()?;
    let mailbox = parse::name(&lexer.astring()?, names)?;
    Ok(match verb {
        Transfer::Copy => Command::Copy { set, by, mailbox },
        Transfer::Move => Command::Move { set, by, mailbox },
    })
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transfer {
    Copy,
    Move,
}
