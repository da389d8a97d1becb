//! What a message says, decoded and folded, so that a substring can be looked for (RFC 9051 §6.4.4).

use super::casemap::fold;
use super::{Depth, TextTest};
use crate::body::{Body, HEADER_MAX};
use imap_proto::command::Day;
use mail::mime::{KeyFields, Kind, Section, text};
use std::borrow::Cow;
use std::cell::OnceCell;
use storage::Row;

/// Most octets of one text part that are searched.
const PART_MAX: u64 = 8 * 1024 * 1024;
/// Most octets of all text parts of one message that are searched.
const TEXT_MAX: u64 = 32 * 1024 * 1024;

/// The searchable text of one message, as far as it was read.
pub(crate) struct Haystack<'a> {
    depth: Depth,
    fields: Vec<Field<'a>>,
    /// Folded text of each text part, and the headers of messages within.
    texts: Vec<String>,
}

struct Field<'a> {
    /// In lower case.
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
        let mut fields = fields(row.prefix.as_deref().unwrap_or_default(), KeyFields::hold);
        fields.extend(stored.into_iter().map(|(name, value)| Field::new(name, value)));
        Some(Self { depth: Depth::Keys, fields, texts: Vec::new() })
    }

    /// Reads as much as `depth` asks for, and the key fields as they are to be stored. `None`: the octets cannot be
    /// read. Blocks.
    pub(crate) fn read(row: &mut Row, depth: Depth) -> Option<(Self, KeyFields)> {
        let (body, header, keys) = header(row)?;
        let texts = if depth == Depth::Body { texts(&body)? } else { Vec::new() };
        Some((Self { depth, fields: fields(&header, |_| true), texts }, keys))
    }

    /// The verdict; `None` if what was read does not decide it.
    pub(super) fn judge(&self, test: &TextTest) -> Option<bool> {
        Some(match test {
            TextTest::SentBefore(day) => self.sent().is_some_and(|sent| sent < *day),
            TextTest::SentOn(day) => self.sent() == Some(*day),
            TextTest::SentSince(day) => self.sent().is_some_and(|sent| sent >= *day),
            TextTest::Header(name, _) if self.depth == Depth::Keys && !KeyFields::hold(name) => return None,
            TextTest::Header(name, wanted) => {
                self.fields.iter().any(|field| field.name == *name && field.folded().contains(wanted))
            }
            TextTest::Body(_) | TextTest::Text(_) if self.depth != Depth::Body => return None,
            TextTest::Body(wanted) => self.has_text(wanted),
            TextTest::Text(wanted) => {
                let in_field =
                    |field: &Field<'_>| format!("{}: {}", fold(&field.name), field.folded()).contains(wanted);
                self.fields.iter().any(in_field) || self.has_text(wanted)
            }
        })
    }

    fn sent(&self) -> Option<Day> {
        let field = self.fields.iter().find(|field| field.name == "date")?;
        let day = mail::date::parse(&field.value)?.day();
        Some(Day { year: day.year, month: day.month, day: day.day })
    }

    fn has_text(&self, wanted: &str) -> bool {
        wanted.is_empty() || self.texts.iter().any(|text| text.contains(wanted))
    }
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

/// Those fields of a header whose names are wanted.
fn fields(header: &[u8], wanted: impl Fn(&str) -> bool) -> Vec<Field<'static>> {
    mail::header::fields(header)
        .filter_map(|field| {
            let name = String::from_utf8_lossy(field.name);
            wanted(&name).then(|| Field::new(name.to_lowercase(), field.unfolded()))
        })
        .collect()
}

fn texts(body: &Body) -> Option<Vec<String>> {
    let mut left = TEXT_MAX;
    let mut texts = Vec::new();
    for (at, part) in body.parts().iter().enumerate() {
        match part.kind {
            Kind::Plain | Kind::Html | Kind::Text => {
                let raw = body.read_range_blocking(&part.body, PART_MAX.min(left)).ok()?;
                left -= (raw.len() as u64).min(left);
                texts.push(fold(&text(part, &raw)));
            }
            // What is forwarded as a message is found by its subject and people too.
            _ if at > 0 && part.parent.is_some_and(|parent| is_message(body, parent)) => {
                let raw = body.read_range_blocking(&part.header, HEADER_MAX.min(left)).ok()?;
                left -= (raw.len() as u64).min(left);
                texts.extend(fields(&raw, |_| true).iter().map(|field| field.folded().to_owned()));
            }
            _ => {}
        }
    }
    Some(texts)
}

fn is_message(body: &Body, at: usize) -> bool {
    body.parts().iter().nth(at).is_some_and(|part| part.kind == Kind::Message)
}
