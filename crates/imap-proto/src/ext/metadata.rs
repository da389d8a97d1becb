//! GETMETADATA and SETMETADATA (RFC 5464 §5).

use crate::command::{Command, Depth, GetMetadata, Refusal, SetMetadata};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// Most entries of one command.
const ENTRIES_MAX: usize = 100;
/// Longest name of an entry in octets.
const ENTRY_LEN_MAX: usize = 500;
/// Largest value that is taken, in octets; a literal that announces more is refused before it comes.
pub(crate) const VALUE_MAX: u64 = 16 * 1024;

/// Options stand before the mailbox; some clients send them behind it, as the examples of RFC 5464 §4.2.1 do.
pub(crate) fn get(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let mut get = GetMetadata { mailbox: None, depth: Depth::Zero, max_size: None, entries: Vec::new() };
    let before = lexer.peek() == Some(b'(');
    if before {
        options(lexer, &mut get)?;
        lexer.space()?;
    }
    get.mailbox = mailbox(lexer, names)?;
    lexer.space()?;
    let is_option = lexer.peek_second().is_some_and(|octet| octet.is_ascii_alphabetic());
    if !before && lexer.peek() == Some(b'(') && is_option {
        options(lexer, &mut get)?;
        lexer.space()?;
    }
    if lexer.peek() == Some(b'(') {
        get.entries = lexer.parenthesized(|lexer| entry(lexer, Use::Read))?;
    } else {
        get.entries.push(entry(lexer, Use::Read)?);
        while lexer.take_space() {
            get.entries.push(entry(lexer, Use::Read)?);
        }
    }
    check_count(get.entries.len())?;
    Ok(Command::GetMetadata(get))
}

pub(crate) fn set(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let mailbox = mailbox(lexer, names)?;
    lexer.space()?;
    let values = lexer.parenthesized(|lexer| {
        let name = entry(lexer, Use::Write)?;
        lexer.space()?;
        let value = if lexer.take_word("NIL") { None } else { Some(lexer.string()?) };
        Ok((name, value))
    })?;
    check_count(values.len())?;
    for (at, (name, _)) in values.iter().enumerate() {
        if values[..at].iter().any(|(other, _)| other.eq_ignore_ascii_case(name)) {
            return Err(Refusal::bad("An entry is named twice."));
        }
    }
    Ok(Command::SetMetadata(SetMetadata { mailbox, values }))
}

/// Entries of LIST … RETURN (METADATA …) (RFC 9590 §5).
pub(crate) fn entries(lexer: &mut Lexer<'_>) -> Lexed<Vec<String>> {
    let entries = lexer.parenthesized(|lexer| entry(lexer, Use::Read))?;
    check_count(entries.len())?;
    Ok(entries)
}

fn check_count(count: usize) -> Lexed<()> {
    if count == 0 || count > ENTRIES_MAX {
        return Err(Refusal::bad("From 1 to 100 entries can be named."));
    }
    Ok(())
}

fn mailbox(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Option<String>> {
    let octets = lexer.astring()?;
    if octets.is_empty() { Ok(None) } else { parse::name(&octets, names).map(Some) }
}

fn options(lexer: &mut Lexer<'_>, get: &mut GetMetadata) -> Lexed<()> {
    lexer.parenthesized(|lexer| {
        match lexer.word()?.as_str() {
            "MAXSIZE" => {
                lexer.space()?;
                get.max_size = Some(lexer.number()?);
            }
            "DEPTH" => {
                lexer.space()?;
                get.depth = match lexer.word()?.as_str() {
                    "0" => Depth::Zero,
                    "1" => Depth::One,
                    "INFINITY" => Depth::Infinity,
                    _ => return Err(Refusal::bad("DEPTH is 0, 1 or infinity.")),
                };
            }
            _ => return Err(Refusal::bad("The options of GETMETADATA are MAXSIZE and DEPTH.")),
        }
        Ok(())
    })?;
    Ok(())
}

/// What an entry is named for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    /// Also what only has entries below it.
    Read,
    Write,
}

/// RFC 5464 §3.2: a wrong name is BAD wherever it stands.
fn entry(lexer: &mut Lexer<'_>, wanted: Use) -> Lexed<String> {
    let bad = || Refusal::bad("The name of an entry is not well formed.");
    let name = String::from_utf8(lexer.astring()?).map_err(|_| bad())?;
    let plain = |octet: u8| matches!(octet, 0x20..=0x7e) && !matches!(octet, b'*' | b'%');
    let mut parts = name.strip_prefix('/').ok_or_else(bad)?.split('/');
    if name.len() > ENTRY_LEN_MAX || !name.bytes().all(plain) || name.contains("//") || name.ends_with('/') {
        return Err(bad());
    }
    let scope = parts.next().unwrap_or_default();
    if !scope.eq_ignore_ascii_case("private") && !scope.eq_ignore_ascii_case("shared") {
        return Err(Refusal::bad("The name of an entry begins with /private or /shared."));
    }
    let least = if parts.next().is_some_and(|part| part.eq_ignore_ascii_case("vendor")) { 4 } else { 2 };
    if wanted == Use::Write && name.matches('/').count() < least {
        return Err(Refusal::bad("The name of an entry is too short to have a value."));
    }
    Ok(name)
}
