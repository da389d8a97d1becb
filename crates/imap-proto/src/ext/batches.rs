//! UIDBATCHES (RFC 10022 §3.1).

use crate::command::{Command, Refusal, RefusalKind, UidBatches};
use crate::lex::{Lexed, Lexer};

/// Fewest messages of a batch: with smaller ones message numbers could be found out (RFC 10022 §3.1.5).
pub const BATCH_MIN: u32 = 500;
/// Most batches of one answer.
pub const BATCHES_MAX: u32 = 10_000;

pub(crate) fn batches(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    lexer.space().map_err(|_| Refusal::bad("UIDBATCHES needs the size of a batch."))?;
    let size = lexer.nz_number()?;
    let mut range = None;
    if lexer.take_space() {
        let first = lexer.nz_number()?;
        if !lexer.take(b':') {
            return Err(Refusal::bad("Batches are named by a range such as 1:10."));
        }
        range = Some((first, lexer.nz_number()?));
    }
    lexer.end()?;
    let refused = |kind, text| Err(Refusal { kind, text });
    if size < BATCH_MIN {
        return refused(RefusalKind::TooFew, "A batch has 500 messages or more.");
    }
    match range {
        Some((first, last)) if first > last => {
            refused(RefusalKind::ClientBug, "The first batch stands before the last one.")
        }
        Some((first, last)) if last - first >= BATCHES_MAX => {
            refused(RefusalKind::TooMany, "At most 10,000 batches are told at once.")
        }
        _ => Ok(Command::UidBatches(UidBatches { size, range })),
    }
}
