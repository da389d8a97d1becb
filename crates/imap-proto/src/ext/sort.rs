//! SORT with RETURN, and THREAD (RFC 5256 §5, RFC 5267 §5).

use super::search;
use crate::command::{Algorithm, By, Charset, Command, Direction, Refusal, Sort, SortBy, SortKey, Thread};
use crate::lex::{Lexed, Lexer};

pub(crate) fn sort(lexer: &mut Lexer<'_>, by: By) -> Lexed<Command> {
    lexer.space()?;
    let give = search::give(lexer)?;
    let mut order: Vec<SortBy> = Vec::new();
    for criterion in lexer.parenthesized(criterion)? {
        // What a key left undecided it will not decide the second time.
        if order.iter().all(|known| known.key != criterion.key) {
            order.push(criterion);
        }
    }
    if order.is_empty() {
        return Err(Refusal::bad("SORT needs at least one criterion to sort by."));
    }
    lexer.space()?;
    let search = search::program(lexer, by, give)?;
    let by_relevancy = order.iter().any(|by| by.key == SortKey::Relevancy);
    if by_relevancy && search.charset != Charset::Unknown && !search.key.has_fuzzy() {
        return Err(Refusal::bad("RELEVANCY needs a FUZZY criterion."));
    }
    Ok(Command::Sort(Sort { search, order }))
}

fn criterion(lexer: &mut Lexer<'_>) -> Lexed<SortBy> {
    let mut word = lexer.word()?;
    let mut direction = Direction::Ascending;
    if word == "REVERSE" {
        direction = Direction::Descending;
        lexer.space()?;
        word = lexer.word()?;
    }
    let key = match word.as_str() {
        "ARRIVAL" => SortKey::Arrival,
        "CC" => SortKey::Cc,
        "DATE" => SortKey::Date,
        "DISPLAYFROM" => SortKey::DisplayFrom,
        "DISPLAYTO" => SortKey::DisplayTo,
        "FROM" => SortKey::From,
        "RELEVANCY" => SortKey::Relevancy,
        "SIZE" => SortKey::Size,
        "SUBJECT" => SortKey::Subject,
        "TO" => SortKey::To,
        _ => return Err(Refusal::bad("This sort criterion is not known here.")),
    };
    Ok(SortBy { key, direction })
}

pub(crate) fn thread(lexer: &mut Lexer<'_>, by: By) -> Lexed<Command> {
    lexer.space()?;
    let algorithm = match lexer.word()?.as_str() {
        "ORDEREDSUBJECT" => Algorithm::OrderedSubject,
        "REFERENCES" => Algorithm::References,
        "REFS" => Algorithm::Refs,
        _ => return Err(Refusal::bad("This threading algorithm is not known here.")),
    };
    lexer.space()?;
    Ok(Command::Thread(Thread { search: search::program(lexer, by, None)?, algorithm }))
}
