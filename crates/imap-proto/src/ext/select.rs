//! SELECT and EXAMINE with CONDSTORE and QRESYNC (RFC 7162 §3.1.8, §3.2.5).

use crate::command::{Access, Refusal, Resync, Select};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};
use crate::sequence;

/// What is selected, and whether mod-sequences are asked for by it.
pub(crate) fn select(lexer: &mut Lexer<'_>, access: Access, names: Names) -> Lexed<(Select, bool)> {
    lexer.space().map_err(|_| Refusal::bad("A mailbox name is needed."))?;
    let mailbox = parse::name(&lexer.astring()?, names)?;
    let mut select = Select { mailbox, access, resync: None };
    let mut condstore = false;
    if lexer.take_space() {
        for resync in lexer.parenthesized(parameter)? {
            condstore = true;
            if select.resync.is_some() && resync.is_some() {
                return Err(Refusal::bad("QRESYNC may stand only once."));
            }
            select.resync = resync.or(select.resync);
        }
        if !condstore {
            return Err(Refusal::bad("The list of parameters is empty."));
        }
    }
    Ok((select, condstore))
}

/// `None` for CONDSTORE.
fn parameter(lexer: &mut Lexer<'_>) -> Lexed<Option<Resync>> {
    match lexer.word()?.as_str() {
        "CONDSTORE" => Ok(None),
        "QRESYNC" => {
            lexer.space()?;
            lexer.expect(b'(')?;
            let resync = resync(lexer)?;
            lexer.expect(b')')?;
            Ok(Some(resync))
        }
        _ => Err(Refusal::bad("SELECT knows the parameters CONDSTORE and QRESYNC.")),
    }
}

fn resync(lexer: &mut Lexer<'_>) -> Lexed<Resync> {
    let uidvalidity = lexer.nz_number()?;
    lexer.space()?;
    let modseq = lexer.number()?;
    if modseq == 0 {
        return Err(Refusal::bad("A mod-sequence is never 0."));
    }
    let mut resync = Resync { uidvalidity, modseq, known: None, matches: None };
    if lexer.peek() == Some(b' ') && lexer.peek_second() != Some(b'(') {
        lexer.space()?;
        resync.known = Some(sequence::plain(lexer)?);
    }
    if lexer.take_space() {
        lexer.expect(b'(')?;
        let numbers = sequence::ascending(lexer)?;
        lexer.space()?;
        let uids = sequence::ascending(lexer)?;
        lexer.expect(b')')?;
        if numbers.count() != uids.count() {
            return Err(Refusal::bad("There must be as many UIDs as message numbers."));
        }
        resync.matches = Some((numbers, uids));
    }
    Ok(resync)
}
