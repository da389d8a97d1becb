//! SETACL, DELETEACL, GETACL, LISTRIGHTS and MYRIGHTS (RFC 4314 §3).

use crate::command::{Acl, Command, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// Longest identifier in octets.
const IDENTIFIER_MAX: usize = 500;
/// Longest list of rights in octets.
const RIGHTS_MAX: usize = 64;

pub(crate) fn set(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    let mailbox = mailbox(lexer, names)?;
    let identifier = identifier(lexer)?;
    lexer.space()?;
    let rights = Lexer::utf8(lexer.astring()?)?;
    if rights.len() > RIGHTS_MAX {
        return Err(Refusal::bad("The list of rights is too long."));
    }
    Ok(Command::Acl(Acl::Set { mailbox, identifier, rights }))
}

pub(crate) fn delete(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    let mailbox = mailbox(lexer, names)?;
    Ok(Command::Acl(Acl::Delete { mailbox, identifier: identifier(lexer)? }))
}

pub(crate) fn get(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    Ok(Command::Acl(Acl::Get { mailbox: mailbox(lexer, names)? }))
}

pub(crate) fn list_rights(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    let mailbox = mailbox(lexer, names)?;
    Ok(Command::Acl(Acl::ListRights { mailbox, identifier: identifier(lexer)? }))
}

pub(crate) fn my_rights(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    Ok(Command::Acl(Acl::MyRights { mailbox: mailbox(lexer, names)? }))
}

fn mailbox(lexer: &mut Lexer<'_>, names: Names) -> Lexed<String> {
    lexer.space()?;
    parse::name(&lexer.astring()?, names)
}

/// RFC 4314 §3: one that cannot be an identifier is BAD.
fn identifier(lexer: &mut Lexer<'_>) -> Lexed<String> {
    lexer.space()?;
    let identifier = Lexer::utf8(lexer.astring()?)?;
    let name = identifier.strip_prefix('-').unwrap_or(&identifier);
    if name.trim().is_empty() || name.chars().any(char::is_control) || identifier.len() > IDENTIFIER_MAX {
        return Err(Refusal::bad("The identifier is not well formed."));
    }
    Ok(identifier)
}
