//! Commands about mailboxes by name: imap-codec has them, but no UTF-8 in quoted strings (RFC 6855 §3).

use crate::command::{Command, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// DELETE, SUBSCRIBE and UNSUBSCRIBE.
pub(crate) fn one(lexer: &mut Lexer<'_>, names: Names) -> Lexed<String> {
    lexer.space().map_err(|_| Refusal::bad("One mailbox name is needed."))?;
    parse::name(&lexer.astring()?, names)
}

pub(crate) fn rename(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    let wrong = |_| Refusal::bad("RENAME needs the old name and the new one.");
    lexer.space().map_err(wrong)?;
    let from = parse::name(&lexer.astring()?, names)?;
    lexer.space().map_err(wrong)?;
    Ok(Command::Rename { from, to: parse::name(&lexer.astring()?, names)? })
}

/// LSUB (RFC 3501 §6.3.9).
pub(crate) fn lsub(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    let wrong = |_| Refusal::bad("LSUB needs a reference and a pattern.");
    lexer.space().map_err(wrong)?;
    let reference = parse::pattern_name(&lexer.astring()?, names)?;
    lexer.space().map_err(wrong)?;
    Ok(Command::Lsub { reference, pattern: parse::pattern_name(&lexer.list_mailbox()?, names)? })
}
