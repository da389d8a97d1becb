//! GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208 §7).

use crate::command::Command;
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

pub(crate) fn get(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    lexer.space()?;
    Ok(Command::GetQuota { root: Lexer::utf8(lexer.astring()?)? })
}

pub(crate) fn root(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    Ok(Command::GetQuotaRoot { mailbox: parse::name(&lexer.astring()?, names)? })
}

pub(crate) fn set(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    lexer.space()?;
    let root = Lexer::utf8(lexer.astring()?)?;
    lexer.space()?;
    let limits = lexer.parenthesized(|lexer| {
        let resource = lexer.word()?;
        lexer.space()?;
        Ok((resource, lexer.number()?))
    })?;
    Ok(Command::SetQuota { root, limits })
}
