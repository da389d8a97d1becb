//! What a message says, decoded and folded, so that a substring can be looked for (RFC 9051 §6.4.4).

use super::{Depth, TextTest, Within};
use crate::body::{Body, HEADER_MAX};
use crate::object::Thread;
use imap_proto::command::Day;
use mail::casemap::fold;
use mail::fuzzy::Fuzzy;
use mail::mime::{Extent, KeyFields, SearchText, Section};
use std::borrow::Cow;
use std::cell::OnceCell;
use storage::Row;

/// What words in the subject are worth more than the same words elsewhere.
const BELOW_SUBJECT: u8 = 20;

/// The searchable text of one message, as far as it is known.
pub(crate) enum Haystack<'a> {
    /// The key fields alone.
    Keys(Vec<Field<'a>>),
    /// What was read of the message.
    Read { extent: Extent, sent: Option<Day>, thread: Thread, text: SearchText },
    /// From the search index, which knows neither dates nor threads.
    Indexed(SearchText<&'a str>),
}

pub(crate) struct Field<'a> {
    /// In any case of letters.
    name: Cow<'static, str>,
    /// On one line, as written.
    value: Cow<'a, [u8]>,
    /// Decoded and folded, once it is asked for.
    folded: OnceCell<String>,
}

impl<'a> Field<'a> {
    fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Cow<'a, [u8]>>) -> Self {
        Self { name: name.into(), value: value.into(), folded: OnceCell::new() }
    }

    fn folded(&self) -> &str {
        self.folded.get_or_init(|| fold(&mail::words::decode(&self.value)))
    }
}

impl<'a> Haystack<'a> {
    /// From the key fields alone. `None`: they are not stored, and the message has to be read.
    pub(crate) fn of_keys(row: &'a Row) -> Option<Self> {
        let stored = KeyFields::stored(row.key_fields.as_deref()?)?;
        let mut fields = key_fields(row.prefix.as_deref().unwrap_or_default());
        fields.extend(stored.into_iter().map(|(name, value)| Field::new(name, value)));
        Some(Self::Keys(fields))
    }

    /// Reads as much as `depth` asks for, and the key fields as they are to be stored. `None`: the octets cannot be
    /// read. Blocks.
    pub(crate) fn read(row: &mut Row, depth: Depth) -> Option<(Self, KeyFields)> {
        let (body, header, keys) = header(row)?;
        let extent = if depth == Depth::Body { Extent::Whole } else { Extent::Header };
        let text = SearchText::read(body.message(), body.parts(), extent).ok()?;
        let sent = mail::header::find(&header, "date").and_then(|field| day(&field.unfolded()));
        Some((Self::Read { extent, sent, thread: Thread::of(&keys), text }, keys))
    }

    /// The verdict; `None` if what is known does not decide it.
    pub(super) fn judge(&self, test: &TextTest) -> Option<bool> {
        match test {
            TextTest::SentBefore(day) => Some(self.sent()?.is_some_and(|sent| sent < *day)),
            TextTest::SentOn(day) => Some(self.sent()? == Some(*day)),
            TextTest::SentSince(day) => Some(self.sent()?.is_some_and(|sent| sent >= *day)),
            TextTest::Thread(wanted) => Some(self.thread()? == *wanted),
            TextTest::Header(name, wanted) => match self {
                Self::Keys(_) if !KeyFields::hold(name) => None,
                Self::Keys(fields) => {
                    let fits = |field: &Field<'_>| {
                        field.name.eq_ignore_ascii_case(name) && field.folded().contains(wanted)
                    };
                    Some(fields.iter().any(fits))
                }
                Self::Read { text, .. } => Some(text.has_in_field(name, wanted)),
                Self::Indexed(text) => Some(text.has_in_field(name, wanted)),
            },
            TextTest::Body(wanted) => Some(self.whole()?.has_in_body(wanted)),
            TextTest::Text(wanted) => Some(self.whole()?.has(wanted)),
            TextTest::Near(within, wanted) => Some(self.score(within, wanted)?.is_some()),
        }
    }

    /// How well it fits, from 1 to 100, and `Some(None)` if it does not; `None` if what is known does not tell.
    pub(super) fn score(&self, within: &Within, wanted: &Fuzzy) -> Option<Option<u8>> {
        match within {
            Within::Field(name) => match self {
                Self::Keys(_) if !KeyFields::hold(name) => None,
                Self::Keys(fields) => {
                    let fields = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
                    Some(fields.filter_map(|field| wanted.score(field.folded())).max())
                }
                Self::Read { text, .. } => Some(in_field(text.view(), name, wanted)),
                Self::Indexed(text) => Some(in_field(*text, name, wanted)),
            },
            Within::Body => Some(wanted.score(self.whole()?.body())),
            Within::Text => {
                let text = self.whole()?;
                let subject = in_field(text, "SUBJECT", wanted);
                let anywhere =
                    wanted.score(text.whole()).map(|score| score.saturating_sub(BELOW_SUBJECT).max(1));
                Some(subject.max(anywhere))
            }
        }
    }

    /// The text of the whole message, if it is known.
    fn whole(&self) -> Option<SearchText<&str>> {
        match self {
            Self::Read { extent: Extent::Whole, text, .. } => Some(text.view()),
            Self::Indexed(text) => Some(*text),
            Self::Keys(_) | Self::Read { .. } => None,
        }
    }

    /// The thread, if it is known.
    fn thread(&self) -> Option<Thread> {
        match self {
            Self::Keys(fields) => {
                // Ours stand in front, and are none of these.
                let named = |name: &str| fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                Some(Thread::by(|name| named(name).map(|field| field.value.to_vec())))
            }
            Self::Read { thread, .. } => Some(thread.clone()),
            Self::Indexed(_) => None,
        }
    }

    /// The day in the Date field, if there is one; `None` if it is not known.
    fn sent(&self) -> Option<Option<Day>> {
        match self {
            Self::Keys(fields) => {
                let date = fields.iter().find(|field| field.name.eq_ignore_ascii_case("date"));
                Some(date.and_then(|field| day(&field.value)))
            }
            Self::Read { sent, .. } => Some(*sent),
            Self::Indexed(_) => None,
        }
    }
}

fn in_field(text: SearchText<&str>, name: &str, wanted: &Fuzzy) -> Option<u8> {
    let values = text.fields().filter(|(known, _)| *known == name);
    values.filter_map(|(_, value)| wanted.score(value)).max()
}

fn day(value: &[u8]) -> Option<Day> {
    let day = mail::date::parse(value)?.day();
    Some(Day { year: day.year, month: day.month, day: day.day })
}

/// The message of a row that was read with `MESSAGE` and `PARTS`, its header with the fields in front, and the key fields
/// of the octets as received. Blocks.
pub(super) fn header(row: &mut Row) -> Option<(Body, Vec<u8>, KeyFields)> {
    let in_front = row.prefix_len;
    let body = Body::take_blocking(row)?;
    let range = body.parts().section(&[], Section::Header)?;
    let header = body.read_range_blocking(&range, in_front.saturating_add(HEADER_MAX)).ok()?;
    let received = header.get(usize::try_from(in_front).unwrap_or(usize::MAX)..).unwrap_or_default();
    let keys = KeyFields::read(received);
    Some((body, header, keys))
}

/// Those fields of a header that are key fields.
fn key_fields(header: &[u8]) -> Vec<Field<'static>> {
    mail::header::fields(header)
        .filter_map(|field| {
            let name = String::from_utf8_lossy(field.name);
            KeyFields::hold(&name).then(|| Field::new(name.into_owned(), field.unfolded()))
        })
        .collect()
}
