//! LOGIN and ID: imap-codec has them, but no eight-bit octets in quoted strings, which programs send and others take.

use crate::command::{Command, Refusal, Secret};
use crate::lex::{Lexed, Lexer};

/// Most pairs of an ID command (RFC 2971 §3.3).
const PAIRS_MAX: usize = 30;

/// LOGIN (RFC 9051 §6.2.3). Passwords may be any octets.
pub(crate) fn login(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    let wrong = |_| Refusal::bad("LOGIN needs a user name and a password.");
    lexer.space().map_err(wrong)?;
    let user = Lexer::utf8(lexer.astring().map_err(wrong)?)?;
    lexer.space().map_err(wrong)?;
    let password = Secret(lexer.astring().map_err(wrong)?);
    Ok(Command::Login { user, password })
}

/// ID (RFC 2971 §3).
pub(crate) fn id(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    let wrong = |_| Refusal::bad("ID needs NIL or a list of pairs of strings.");
    lexer.space().map_err(wrong)?;
    if lexer.take_word("NIL") {
        return Ok(Command::Id(Vec::new()));
    }
    let text = |octets: Vec<u8>| String::from_utf8_lossy(&octets).into_owned();
    let pair = |lexer: &mut Lexer<'_>| {
        let key = text(lexer.string()?);
        lexer.space()?;
        let value = if lexer.take_word("NIL") { None } else { Some(text(lexer.string()?)) };
        Ok((key, value))
    };
    let pairs = lexer.parenthesized(pair).map_err(wrong)?;
    if pairs.len() > PAIRS_MAX {
        return Err(Refusal::bad("ID takes at most 30 pairs."));
    }
    Ok(Command::Id(pairs))
}
