//! CREATE with USE (RFC 6154 §3, RFC 4466 §2.2).

use crate::command::{Command, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

pub(crate) fn create(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let mailbox = parse::name(&lexer.astring()?, names)?;
    let mut uses = Vec::new();
    if lexer.take_space() {
        lexer.expect(b'(')?;
        if !lexer.take_word("USE") {
            return Err(Refusal::bad("The only parameter of CREATE is USE."));
        }
        lexer.space()?;
        uses = lexer.parenthesized(Lexer::flag)?;
        lexer.expect(b')')?;
    }
    Ok(Command::Create { mailbox, uses })
}
