//! LIST with selection options, several patterns and return options (RFC 9051 §6.3.9, RFC 6154 §2, RFC 5819).

use super::{metadata, status};
use crate::command::{Command, List, ListForm, ListReturn, ListSelect, Refusal};
use crate::lex::{Lexed, Lexer};
use crate::parse::{self, Names};

/// Most patterns of one LIST.
const PATTERNS_MAX: usize = 100;

pub(crate) fn list(lexer: &mut Lexer<'_>, names: Names) -> Lexed<Command> {
    lexer.space()?;
    let mut list = List::default();
    if lexer.peek() == Some(b'(') {
        list.form = ListForm::Extended;
        list.select = lexer.parenthesized(select)?;
        check_select(&list.select)?;
        lexer.space()?;
    }
    list.reference = parse::pattern_name(&lexer.astring()?, names)?;
    lexer.space()?;
    if lexer.peek() == Some(b'(') {
        list.form = ListForm::Extended;
        list.patterns = lexer.parenthesized(|lexer| pattern(lexer, names))?;
    } else {
        list.patterns.push(pattern(lexer, names)?);
    }
    if list.patterns.is_empty() || list.patterns.len() > PATTERNS_MAX {
        return Err(Refusal::bad("LIST takes from 1 to 100 patterns."));
    }
    if lexer.take_space() {
        list.form = ListForm::Extended;
        if !lexer.take_word("RETURN") {
            return Err(Refusal::bad("Only RETURN may follow the pattern of LIST."));
        }
        lexer.space()?;
        list.give = lexer.parenthesized(give)?;
    }
    Ok(Command::List(list))
}

fn pattern(lexer: &mut Lexer<'_>, names: Names) -> Lexed<String> {
    parse::pattern_name(&lexer.list_mailbox()?, names)
}

fn select(lexer: &mut Lexer<'_>) -> Lexed<ListSelect> {
    Ok(match lexer.word()?.as_str() {
        "SUBSCRIBED" => ListSelect::Subscribed,
        "REMOTE" => ListSelect::Remote,
        "RECURSIVEMATCH" => ListSelect::RecursiveMatch,
        "SPECIAL-USE" => ListSelect::SpecialUse,
        _ => return Err(Refusal::bad("This selection option of LIST is not known here.")),
    })
}

/// RECURSIVEMATCH alone, or only with REMOTE, selects nothing (RFC 9051 §6.3.9.1).
fn check_select(options: &[ListSelect]) -> Lexed<()> {
    let recursive = options.contains(&ListSelect::RecursiveMatch);
    let base = options.iter().any(|o| matches!(o, ListSelect::Subscribed | ListSelect::SpecialUse));
    if recursive && !base {
        return Err(Refusal::bad("RECURSIVEMATCH needs another selection option beside it."));
    }
    Ok(())
}

fn give(lexer: &mut Lexer<'_>) -> Lexed<ListReturn> {
    Ok(match lexer.word()?.as_str() {
        "SUBSCRIBED" => ListReturn::Subscribed,
        "CHILDREN" => ListReturn::Children,
        "SPECIAL-USE" => ListReturn::SpecialUse,
        "STATUS" => {
            lexer.space()?;
            ListReturn::Status(status::items(lexer)?)
        }
        "MYRIGHTS" => ListReturn::MyRights,
        "METADATA" => {
            lexer.space()?;
            ListReturn::Metadata(metadata::entries(lexer)?)
        }
        _ => return Err(Refusal::bad("This return option of LIST is not known here.")),
    })
}
