//! STATUS and its items (RFC 9051 §6.3.11; and those of RFC 7889 §3, RFC 7162 §3.1.7, RFC 8474 §4.3).

use crate::command::{Command, Refusal, StatusItem};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

pub(crate) fn status(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let mailbox = parse::name(&lexer.astring()?, names)?;
    lexer.space()?;
    Ok(Command::Status { mailbox, items: items(lexer)? })
}

/// `(MESSAGES UNSEEN …)`, each item kept once.
pub(crate) fn items(lexer: &mut Lexer<'_>) -> Lexed<Vec<StatusItem>> {
    let mut items = Vec::new();
    for item in lexer.parenthesized(item)? {
        if !items.contains(&item) {
            items.push(item);
        }
    }
    if items.is_empty() { Err(Refusal::bad("STATUS needs at least one item.")) } else { Ok(items) }
}

fn item(lexer: &mut Lexer<'_>) -> Lexed<StatusItem> {
    Ok(match lexer.word()?.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "DELETED-STORAGE" => StatusItem::DeletedStorage,
        "SIZE" => StatusItem::Size,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "MAILBOXID" => StatusItem::MailboxId,
        _ => return Err(Refusal::bad("This STATUS item is not known here.")),
    })
}
