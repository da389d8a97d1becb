//! SEARCH with RETURN, and criteria nested as deep as clients write them (RFC 9051 §6.4.4).
//!
//! imap-codec gives up at eight chained ORs, since it recurses. Here open groups are on a stack of our own, and
//! chains of OR become one flat list, so that a filter over hundreds of senders is shallow.

use super::fetch;
use crate::command::{
    By, Charset, Command, Day, FetchItem, Key, PartialRange, Refusal, Search, SearchReturn,
};
use crate::lex::{Lexed, Lexer};
use crate::sequence::{self, Bound, Set};

/// Charsets that the texts of a search may be in, with blanks between, as BADCHARSET lists them (RFC 9051 §7.1).
pub const CHARSETS: &str = "US-ASCII UTF-8 ISO-8859-1 ISO-8859-2 ISO-8859-3 ISO-8859-4 ISO-8859-5 ISO-8859-6 \
    ISO-8859-7 ISO-8859-8 ISO-8859-9 ISO-8859-10 ISO-8859-13 ISO-8859-14 ISO-8859-15 ISO-8859-16 windows-1250 \
    windows-1251 windows-1252 windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 \
    KOI8-R KOI8-U TIS-620 Big5 GB2312 GBK GB18030 EUC-JP ISO-2022-JP Shift_JIS EUC-KR";
const UTF8: &str = "UTF-8";
const ASCII: &str = "US-ASCII";

/// Deepest nesting of criteria after chains are made flat.
pub const DEPTH_MAX: usize = 100;
/// Most groups, ORs and NOTs that may be open at once.
const OPEN_MAX: usize = 10_000;

pub(crate) fn search(lexer: &mut Lexer<'_>, by: By) -> Lexed<Command> {
    lexer.space()?;
    Ok(Command::Search(with_return(lexer, by)?))
}

/// `[RETURN (…) ][CHARSET … ]criteria`.
pub(super) fn with_return(lexer: &mut Lexer<'_>, by: By) -> Lexed<Search> {
    let give = give(lexer)?;
    if lexer.take_word("CHARSET") {
        lexer.space()?;
        return program(lexer, by, give);
    }
    known(lexer, by, give, UTF8)
}

/// What the charset of criteria that were read is told as. US-ASCII is in UTF-8.
fn state_of(charset: &str) -> Charset {
    if [UTF8, ASCII].contains(&charset) { Charset::Known } else { Charset::Other }
}

/// The criteria. How well messages fit can only be told of what need not fit exactly (RFC 6203 §4).
fn known(lexer: &mut Lexer<'_>, by: By, give: Option<Vec<SearchReturn>>, charset: &str) -> Lexed<Search> {
    let key = keys(lexer, charset)?;
    let relevancy = give.as_ref().is_some_and(|give| give.contains(&SearchReturn::Relevancy));
    if relevancy && !key.has_fuzzy() {
        return Err(Refusal::bad("RELEVANCY needs a FUZZY criterion."));
    }
    Ok(Search { by, charset: state_of(charset), give, key })
}

/// `RETURN (…) `, if it is there.
pub(super) fn give(lexer: &mut Lexer<'_>) -> Lexed<Option<Vec<SearchReturn>>> {
    if !lexer.take_word("RETURN") {
        return Ok(None);
    }
    lexer.space()?;
    let mut options = lexer.parenthesized(return_option)?;
    if options.is_empty() {
        options.push(SearchReturn::All);
    }
    let lists = |option: &&SearchReturn| matches!(option, SearchReturn::All | SearchReturn::Partial(_));
    if options.iter().filter(lists).count() > 1 {
        return Err(Refusal::bad("Only one of ALL and PARTIAL can be returned, and once."));
    }
    lexer.space()?;
    Ok(Some(options))
}

/// What some programs write, and the name that is meant.
const ALIASES: [(&str, &str); 2] = [("UTF8", UTF8), ("ASCII", ASCII)];

/// A charset and the criteria. Criteria in a charset that is not known cannot be read.
pub(super) fn program(lexer: &mut Lexer<'_>, by: By, give: Option<Vec<SearchReturn>>) -> Lexed<Search> {
    let named = lexer.astring()?;
    lexer.space()?;
    let is_named = |name: &str| named.eq_ignore_ascii_case(name.as_bytes());
    let name = ALIASES.iter().find(|(alias, _)| is_named(alias)).map(|(_, name)| *name);
    let Some(charset) = name.or_else(|| CHARSETS.split(' ').find(|known| is_named(known))) else {
        lexer.skip_rest();
        return Ok(Search { by, charset: Charset::Unknown, give, key: Key::All });
    };
    known(lexer, by, give, charset)
}

fn return_option(lexer: &mut Lexer<'_>) -> Lexed<SearchReturn> {
    Ok(match lexer.word()?.as_str() {
        "MIN" => SearchReturn::Min,
        "MAX" => SearchReturn::Max,
        "ALL" => SearchReturn::All,
        "COUNT" => SearchReturn::Count,
        "SAVE" => SearchReturn::Save,
        "PARTIAL" => {
            lexer.space()?;
            SearchReturn::Partial(partial(lexer)?)
        }
        "CONTEXT" => SearchReturn::Context,
        "UPDATE" => SearchReturn::Update(update(lexer)?),
        "RELEVANCY" => SearchReturn::Relevancy,
        _ => return Err(Refusal::bad("This return option of SEARCH is not known here.")),
    })
}

/// `UPDATE`, or `UPDATE (UID ENVELOPE)` (RFC 5465 §7).
fn update(lexer: &mut Lexer<'_>) -> Lexed<Vec<FetchItem>> {
    if lexer.peek() != Some(b' ') || lexer.peek_second() != Some(b'(') {
        return Ok(Vec::new());
    }
    lexer.space()?;
    fetch::items(lexer)
}

/// `1:100` or `-1:-100`.
pub(super) fn partial(lexer: &mut Lexer<'_>) -> Lexed<PartialRange> {
    let mut end = || {
        let backwards = lexer.take(b'-');
        let place = i64::from(lexer.nz_number()?);
        let colon = lexer.take(b':');
        Ok((if backwards { -place } else { place }, colon))
    };
    let ((from, colon), (to, more)) = (end()?, end()?);
    if !colon || more || (from < 0) != (to < 0) {
        return Err(Refusal::bad("PARTIAL needs a range such as 1:100 or -1:-100."));
    }
    Ok(PartialRange { from, to })
}

/// CANCELUPDATE (RFC 5267 §5): tags in quotes.
pub(crate) fn cancel(lexer: &mut Lexer<'_>) -> Lexed<Command> {
    let mut tags = Vec::new();
    while tags.is_empty() || !lexer.at_end() {
        lexer.space()?;
        tags.push(Lexer::utf8(lexer.string()?)?);
    }
    Ok(Command::CancelUpdate(tags))
}

/// A group that is not closed yet, with the depth of its deepest member.
enum Open {
    List(Vec<Key>, usize),
    Or(Vec<Key>, usize),
    Not,
    Fuzzy,
}

/// All criteria up to the end of the command.
fn keys(lexer: &mut Lexer<'_>, charset: &str) -> Lexed<Key> {
    let mut open = vec![Open::List(Vec::new(), 0)];
    loop {
        if open.len() > OPEN_MAX {
            return Err(Refusal::limit("The search is nested too deep."));
        }
        if lexer.take(b'(') {
            let _ = lexer.space();
            open.push(Open::List(Vec::new(), 0));
        } else if lexer.take_word("OR") {
            lexer.space()?;
            open.push(Open::Or(Vec::new(), 0));
        } else if lexer.take_word("NOT") {
            lexer.space()?;
            open.push(Open::Not);
        } else if lexer.take_word("FUZZY") {
            lexer.space()?;
            open.push(Open::Fuzzy);
        } else {
            let key = leaf(lexer, charset)?;
            if let Some(whole) = complete(lexer, &mut open, key)? {
                return Ok(whole);
            }
        }
    }
}

/// Puts a finished criterion into its group, and that into its own if it is full. `Some`: the command ended.
fn complete(lexer: &mut Lexer<'_>, open: &mut Vec<Open>, key: Key) -> Lexed<Option<Key>> {
    let (mut key, mut depth) = (key, 1);
    loop {
        if depth > DEPTH_MAX {
            return Err(Refusal::limit("The search is nested too deep."));
        }
        match open.pop() {
            None => return Err(Refusal::bad("A closing parenthesis is too many.")),
            Some(Open::Not) => {
                (key, depth) = match key {
                    Key::Not(inner) => (*inner, depth - 1),
                    other => (Key::Not(Box::new(other)), depth + 1),
                };
            }
            Some(Open::Fuzzy) => {
                // Twice says no more than once.
                (key, depth) = match key {
                    Key::Fuzzy(_) => (key, depth),
                    other => (Key::Fuzzy(Box::new(other)), depth + 1),
                };
            }
            Some(Open::Or(mut members, deepest)) => {
                let first = members.is_empty();
                let inner = if matches!(key, Key::Or(_)) { depth - 1 } else { depth };
                match key {
                    Key::Or(more) => members.extend(more),
                    other => members.push(other),
                }
                let deepest = deepest.max(inner);
                if first {
                    lexer.space()?;
                    open.push(Open::Or(members, deepest));
                    return Ok(None);
                }
                (key, depth) = (Key::Or(members), deepest + 1);
            }
            Some(Open::List(mut members, deepest)) => {
                members.push(key);
                let deepest = deepest.max(depth);
                let outermost = open.is_empty();
                if !(if outermost { lexer.at_end() } else { close(lexer) }) {
                    lexer.space()?;
                    open.push(Open::List(members, deepest));
                    return Ok(None);
                }
                (key, depth) = match members.pop() {
                    Some(only) if members.is_empty() => (only, deepest),
                    Some(last) => {
                        members.push(last);
                        (Key::And(members), deepest + 1)
                    }
                    None => (Key::All, 1),
                };
                if outermost {
                    return Ok(Some(key));
                }
            }
        }
    }
}

/// The end of a list, with blanks before it or without.
fn close(lexer: &mut Lexer<'_>) -> bool {
    let mut ahead = lexer.clone();
    let _ = ahead.space();
    let closes = ahead.take(b')');
    if closes {
        *lexer = ahead;
    }
    closes
}

/// A criterion without criteria in it.
fn leaf(lexer: &mut Lexer<'_>, charset: &str) -> Lexed<Key> {
    if lexer.peek().is_some_and(|b| b.is_ascii_digit() || matches!(b, b'*' | b'$')) {
        return Ok(Key::Sequence(sequence::set(lexer)?));
    }
    let word = lexer.word().map_err(|_| Refusal::bad("A search criterion is missing."))?;
    if let Some(key) = plain(&word) {
        return Ok(key);
    }
    lexer.space()?;
    Ok(match word.as_str() {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => Key::Header(word, text(lexer, charset)?),
        "HEADER" => {
            let name = text(lexer, charset)?;
            lexer.space()?;
            Key::Header(name, text(lexer, charset)?)
        }
        "BODY" => Key::Body(text(lexer, charset)?),
        "TEXT" => Key::Text(text(lexer, charset)?),
        "BEFORE" => Key::Before(date(lexer)?),
        "ON" => Key::On(date(lexer)?),
        "SINCE" => Key::Since(date(lexer)?),
        "SENTBEFORE" => Key::SentBefore(date(lexer)?),
        "SENTON" => Key::SentOn(date(lexer)?),
        "SENTSINCE" => Key::SentSince(date(lexer)?),
        "SAVEDBEFORE" => Key::SavedBefore(date(lexer)?),
        "SAVEDON" => Key::SavedOn(date(lexer)?),
        "SAVEDSINCE" => Key::SavedSince(date(lexer)?),
        "OLDER" => Key::Older(lexer.nz_number()?),
        "YOUNGER" => Key::Younger(lexer.nz_number()?),
        "MODSEQ" => modseq(lexer)?,
        "EMAILID" => Key::EmailId(lexer.object_id()?),
        "THREADID" => Key::ThreadId(lexer.object_id()?),
        "LARGER" => Key::Larger(lexer.number()?),
        "SMALLER" => Key::Smaller(lexer.number()?),
        "KEYWORD" => Key::Flag(lexer.atom()?.to_owned()),
        "UNKEYWORD" => not(Key::Flag(lexer.atom()?.to_owned())),
        "UID" => Key::Uid(sequence::set(lexer)?),
        "UIDAFTER" => match lexer.nz_number()?.checked_add(1) {
            Some(first) => uids(first, u32::MAX),
            None => not(Key::All),
        },
        "UIDBEFORE" => match lexer.nz_number()? {
            1 => not(Key::All),
            end => uids(1, end - 1),
        },
        _ => return Err(Refusal::bad("This search criterion is not known here.")),
    })
}

/// Criteria of one word. No message is recent here, so that NEW and RECENT find none and OLD finds all
/// (RFC 9051 dropped the three).
fn plain(word: &str) -> Option<Key> {
    let flag = |name: &str| Key::Flag(name.to_owned());
    Some(match word {
        "ALL" | "OLD" | "SAVEDATESUPPORTED" => Key::All,
        "NEW" | "RECENT" => not(Key::All),
        "ANSWERED" => flag("\\Answered"),
        "DELETED" => flag("\\Deleted"),
        "DRAFT" => flag("\\Draft"),
        "FLAGGED" => flag("\\Flagged"),
        "SEEN" => flag("\\Seen"),
        "UNANSWERED" => not(flag("\\Answered")),
        "UNDELETED" => not(flag("\\Deleted")),
        "UNDRAFT" => not(flag("\\Draft")),
        "UNFLAGGED" => not(flag("\\Flagged")),
        "UNSEEN" => not(flag("\\Seen")),
        _ => return None,
    })
}

/// UIDAFTER and UIDBEFORE (RFC 9738 §3.2).
fn uids(first: u32, last: u32) -> Key {
    Key::Uid(Set::Ranges(vec![(Bound::Number(first), Bound::Number(last))]))
}

fn not(key: Key) -> Key {
    Key::Not(Box::new(key))
}

/// `MODSEQ ["/flags/…" all] n`: there is one mod-sequence for a whole message, so that the name says nothing
/// (RFC 7162 §3.1.5).
fn modseq(lexer: &mut Lexer<'_>) -> Lexed<Key> {
    if lexer.peek() == Some(b'"') {
        let entry = lexer.string()?;
        lexer.space()?;
        let kind = lexer.word()?;
        if !entry.starts_with(b"/flags/") || !["PRIV", "SHARED", "ALL"].contains(&kind.as_str()) {
            return Err(Refusal::bad("The entry behind MODSEQ is like \"/flags/\\\\seen\" all."));
        }
        lexer.space()?;
    }
    Ok(Key::ModSeq(lexer.number()?))
}

fn text(lexer: &mut Lexer<'_>, charset: &str) -> Lexed<String> {
    let octets = lexer.astring()?;
    match state_of(charset) {
        Charset::Other => Ok(mail::words::from_charset(charset, &octets)),
        Charset::Known | Charset::Unknown => Lexer::utf8(octets),
    }
}

/// `date`: `1-Feb-2026`, in quotes or not (RFC 9051 §9).
fn date(lexer: &mut Lexer<'_>) -> Lexed<Day> {
    let text = lexer.astring()?;
    std::str::from_utf8(&text).ok().and_then(day).ok_or(Refusal::bad("A date is like 1-Feb-2026."))
}

fn day(text: &str) -> Option<Day> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = text.split('-');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some()
        || !(1..=2).contains(&day.len())
        || year.len() != 4
        || !digits(day)
        || !digits(year)
    {
        return None;
    }
    let month = MONTHS.iter().position(|m| m.eq_ignore_ascii_case(month))?;
    let day: u8 = day.parse().ok()?;
    (1..=31).contains(&day).then_some(Day {
        year: year.parse().ok()?,
        month: u8::try_from(month).ok()? + 1,
        day,
    })
}
