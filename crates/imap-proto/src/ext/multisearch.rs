//! ESEARCH: a search of several mailboxes (RFC 7377 §4).

use super::search;
use crate::command::{By, Command, MultiSearch, Refusal, SearchReturn, Source};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// Most mailboxes that one command may name.
const NAMED_MAX: usize = 1000;

pub(crate) fn multisearch(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let sources = if lexer.take_word("IN") {
        lexer.space()?;
        let sources = lexer.parenthesized(|lexer| source(lexer, names))?;
        lexer.space()?;
        sources
    } else {
        vec![Source::Selected]
    };
    if sources.is_empty() {
        return Err(Refusal::bad("ESEARCH IN needs at least one mailbox to search."));
    }
    let search = search::with_return(lexer, By::Uid)?;
    let saves = search.give.as_ref().is_some_and(|give| give.contains(&SearchReturn::Save));
    if saves && sources.iter().any(|source| *source != Source::Selected) {
        return Err(Refusal::bad("Only a search of the selected mailbox can be saved."));
    }
    Ok(Command::MultiSearch(MultiSearch { sources, search }))
}

fn source(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Source> {
    let word = lexer.word().map_err(|_| Refusal::bad("ESEARCH takes no scope options."))?;
    let some = |lexer: &mut Lexer<'_>| {
        lexer.space()?;
        mailboxes(lexer, names)
    };
    Ok(match word.as_str() {
        "SELECTED" => Source::Selected,
        "INBOXES" => Source::Inboxes,
        "PERSONAL" => Source::Personal,
        "SUBSCRIBED" => Source::Subscribed,
        "SUBTREE" => Source::Subtree(some(lexer)?),
        "SUBTREE-ONE" => Source::SubtreeOne(some(lexer)?),
        "MAILBOXES" => Source::Mailboxes(some(lexer)?),
        _ => return Err(Refusal::bad("This kind of mailbox to search is not known here.")),
    })
}

/// One name, or several in parentheses.
pub(crate) fn mailboxes(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Vec<String>> {
    let one = |lexer: &mut Lexer<'_>| parse::name(&lexer.astring()?, names);
    if lexer.peek() != Some(b'(') {
        return Ok(vec![one(lexer)?]);
    }
    let list = lexer.parenthesized(one)?;
    match list.len() {
        0 => Err(Refusal::bad("A mailbox name is missing.")),
        1..=NAMED_MAX => Ok(list),
        _ => Err(Refusal::limit("Too many mailboxes are named.")),
    }
}
