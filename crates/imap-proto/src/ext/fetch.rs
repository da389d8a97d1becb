//! FETCH items with sections, partials and BINARY (RFC 9051 §6.4.5, RFC 3516), and its modifiers.

use super::search;
use crate::command::{
    By, Command, Fetch, FetchItem, Partial, Peek, PreviewWhen, Refusal, Rfc822, Section, SectionText,
};
use crate::lex::{Lexed, Lexer};
use crate::sequence;

/// Most items of one FETCH.
const ITEMS_MAX: usize = 100;
/// Deepest part number.
const PART_DEPTH_MAX: usize = 64;
/// Most names of one `HEADER.FIELDS`.
const NAMES_MAX: usize = 500;

pub(crate) fn fetch(lexer: &mut Lexer<'_>, by: By) -> Lexed<Command> {
    lexer.space()?;
    let set = sequence::set(lexer)?;
    lexer.space()?;
    let items = if lexer.peek() == Some(b'(') {
        lexer.parenthesized(item)?
    } else if let Some(items) = take_macro(lexer) {
        items
    } else {
        vec![item(lexer)?]
    };
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(Refusal::bad("FETCH takes from 1 to 100 items."));
    }
    let mut fetch = Fetch { set, by, items, changed_since: None, vanished: false, slice: None };
    if lexer.take_space() {
        modifiers(lexer, &mut fetch)?;
    }
    Ok(Command::Fetch(fetch))
}

/// Items in parentheses, at least one, without macros.
pub(crate) fn items(lexer: &mut Lexer<'_>) -> Lexed<Vec<FetchItem>> {
    let items = lexer.parenthesized(item)?;
    if items.is_empty() || items.len() > ITEMS_MAX {
        return Err(Refusal::bad("From 1 to 100 items of a message can be told."));
    }
    Ok(items)
}

/// `(CHANGEDSINCE n VANISHED PARTIAL 1:5)` (RFC 7162 §3.1.4.1, §3.2.6, RFC 9394 §3.3).
fn modifiers(lexer: &mut Lexer<'_>, fetch: &mut Fetch) -> Lexed<()> {
    let given = lexer.parenthesized(|lexer| {
        match lexer.word()?.as_str() {
            "CHANGEDSINCE" if fetch.changed_since.is_none() => {
                lexer.space()?;
                fetch.changed_since = Some(lexer.number()?);
            }
            "PARTIAL" if fetch.slice.is_none() => {
                lexer.space()?;
                fetch.slice = Some(search::partial(lexer)?);
            }
            "VANISHED" if !fetch.vanished => fetch.vanished = true,
            _ => return Err(Refusal::bad("This modifier of FETCH is not known here, or stands twice.")),
        }
        Ok(())
    })?;
    if given.is_empty() {
        return Err(Refusal::bad("The list of modifiers is empty."));
    }
    if fetch.slice.is_some() && fetch.by == By::Sequence {
        return Err(Refusal::bad("PARTIAL is for UID FETCH."));
    }
    if fetch.vanished && (fetch.by == By::Sequence || fetch.changed_since.is_none()) {
        return Err(Refusal::bad("VANISHED is for UID FETCH together with CHANGEDSINCE."));
    }
    Ok(())
}

fn take_macro(lexer: &mut Lexer<'_>) -> Option<Vec<FetchItem>> {
    let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Size];
    if lexer.take_word("FAST") {
        return Some(items);
    }
    if lexer.take_word("ALL") {
        items.push(FetchItem::Envelope);
        return Some(items);
    }
    if lexer.take_word("FULL") {
        items.extend([FetchItem::Envelope, FetchItem::Body]);
        return Some(items);
    }
    None
}

fn item(lexer: &mut Lexer<'_>) -> Lexed<FetchItem> {
    let word = lexer.word()?;
    let bracket = lexer.peek() == Some(b'[');
    Ok(match (word.as_str(), bracket) {
        ("UID", _) => FetchItem::Uid,
        ("FLAGS", _) => FetchItem::Flags,
        ("MODSEQ", _) => FetchItem::ModSeq,
        ("EMAILID", _) => FetchItem::EmailId,
        ("THREADID", _) => FetchItem::ThreadId,
        ("SAVEDATE", _) => FetchItem::SaveDate,
        ("PREVIEW", _) => FetchItem::Preview(preview(lexer)?),
        ("INTERNALDATE", _) => FetchItem::InternalDate,
        ("RFC822.SIZE", _) => FetchItem::Size,
        ("ENVELOPE", _) => FetchItem::Envelope,
        ("BODYSTRUCTURE", _) => FetchItem::BodyStructure,
        ("BODY", false) => FetchItem::Body,
        ("BODY", true) => section_item(lexer, Peek::MarkSeen)?,
        ("BODY.PEEK", true) => section_item(lexer, Peek::Peek)?,
        ("RFC822", _) => FetchItem::Rfc822(Rfc822::Whole),
        ("RFC822.HEADER", _) => FetchItem::Rfc822(Rfc822::Header),
        ("RFC822.TEXT", _) => FetchItem::Rfc822(Rfc822::Text),
        ("BINARY", true) => binary(lexer, Peek::MarkSeen)?,
        ("BINARY.PEEK", true) => binary(lexer, Peek::Peek)?,
        ("BINARY.SIZE", true) => FetchItem::BinarySize { part: binary_part(lexer)? },
        _ => return Err(Refusal::bad("This FETCH item is not known here.")),
    })
}

/// `PREVIEW (LAZY)`, or nothing behind it (RFC 8970 §6).
fn preview(lexer: &mut Lexer<'_>) -> Lexed<PreviewWhen> {
    if lexer.peek() != Some(b' ') || lexer.peek_second() != Some(b'(') {
        return Ok(PreviewWhen::Always);
    }
    let mut ahead = lexer.clone();
    ahead.space()?;
    let modifiers = ahead.parenthesized(Lexer::word);
    match modifiers {
        Ok(words) if !words.is_empty() && words.iter().all(|word| word == "LAZY") => {
            *lexer = ahead;
            Ok(PreviewWhen::Lazy)
        }
        // What follows may be modifiers of FETCH itself.
        _ => Ok(PreviewWhen::Always),
    }
}

fn section_item(lexer: &mut Lexer<'_>, peek: Peek) -> Lexed<FetchItem> {
    lexer.expect(b'[')?;
    let section = section(lexer)?;
    lexer.expect(b']')?;
    Ok(FetchItem::Section { section, partial: partial(lexer)?, peek })
}

pub(crate) fn section(lexer: &mut Lexer<'_>) -> Lexed<Section> {
    let (part, more) = part(lexer)?;
    if lexer.peek() == Some(b']') && !more {
        return Ok(Section { part, what: SectionText::Whole });
    }
    if !part.is_empty() && !more {
        return Err(Refusal::bad("The section of BODY[…] is not well formed."));
    }
    let what = match lexer.word()?.as_str() {
        "HEADER" => SectionText::Header,
        "TEXT" => SectionText::Text,
        "MIME" if !part.is_empty() => SectionText::Mime,
        "HEADER.FIELDS" => SectionText::HeaderFields(header_names(lexer)?),
        "HEADER.FIELDS.NOT" => SectionText::HeaderFieldsNot(header_names(lexer)?),
        _ => return Err(Refusal::bad("The section of BODY[…] is not known here.")),
    };
    Ok(Section { part, what })
}

/// Part numbers, and whether a dot with more behind it follows.
fn part(lexer: &mut Lexer<'_>) -> Lexed<(Vec<u32>, bool)> {
    let mut part = Vec::new();
    let mut more = false;
    while lexer.peek().is_some_and(|b| b.is_ascii_digit()) {
        part.push(lexer.nz_number()?);
        more = lexer.take(b'.');
        if !more {
            break;
        }
    }
    if part.len() > PART_DEPTH_MAX {
        return Err(Refusal::limit("The part number is too deep."));
    }
    Ok((part, more))
}

fn header_names(lexer: &mut Lexer<'_>) -> Lexed<Vec<String>> {
    lexer.space()?;
    let names = lexer.parenthesized(|lexer| {
        let name = Lexer::utf8(lexer.astring()?)?;
        let good = !name.is_empty() && name.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b':');
        if good { Ok(name) } else { Err(Refusal::bad("A header field name is not well formed.")) }
    })?;
    if names.is_empty() || names.len() > NAMES_MAX {
        return Err(Refusal::bad("HEADER.FIELDS takes from 1 to 500 names."));
    }
    Ok(names)
}

fn partial(lexer: &mut Lexer<'_>) -> Lexed<Option<Partial>> {
    if !lexer.take(b'<') {
        return Ok(None);
    }
    let origin = lexer.number()?;
    lexer.expect(b'.')?;
    let length = lexer.number()?;
    lexer.expect(b'>')?;
    if length == 0 {
        return Err(Refusal::bad("The length of a partial fetch may not be 0."));
    }
    Ok(Some(Partial { origin, length }))
}

fn binary(lexer: &mut Lexer<'_>, peek: Peek) -> Lexed<FetchItem> {
    let part = binary_part(lexer)?;
    Ok(FetchItem::Binary { part, partial: partial(lexer)?, peek })
}

fn binary_part(lexer: &mut Lexer<'_>) -> Lexed<Vec<u32>> {
    lexer.expect(b'[')?;
    let (part, more) = part(lexer)?;
    lexer.expect(b']')?;
    if more { Err(Refusal::bad("The section of BINARY[…] is not well formed.")) } else { Ok(part) }
}
