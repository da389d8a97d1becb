//! What a message says, decoded and folded, so that a substring can be looked for (RFC 9051 §6.4.4).

use super::{Depth, TextTest};
use crate::body::{Body, HEADER_MAX};
use imap_proto::command::Day;
use mail::mime::{Kind, Section, text};
use storage::Row;

/// Most octets of one text part that are searched.
const PART_MAX: u64 = 8 * 1024 * 1024;
/// Most octets of all text parts of one message that are searched.
const TEXT_MAX: u64 = 32 * 1024 * 1024;

/// Without difference of case, for all of Unicode.
pub(super) fn fold(text: &str) -> String {
    text.to_lowercase()
}

/// The searchable text of one message.
pub(crate) struct Haystack {
    /// Name in lower case and folded text of each field of the header.
    fields: Vec<(String, String)>,
    sent: Option<Day>,
    /// Folded text of each text part, and the headers of messages within.
    texts: Vec<String>,
}

impl Haystack {
    /// Reads as much as `depth` asks for. `None`: the octets cannot be read. Blocks.
    pub(crate) fn read(row: &mut Row, depth: Depth) -> Option<Self> {
        let body = Body::take_blocking(row)?;
        let range = body.parts().section(&[], Section::Header)?;
        let header = body.read_range_blocking(&range, HEADER_MAX).ok()?;
        let fields = fields(&header);
        let sent = mail::header::find(&header, "Date").and_then(|field| {
            let day = mail::date::parse(&field.unfolded())?.day();
            Some(Day { year: day.year, month: day.month, day: day.day })
        });
        let texts = if depth == Depth::Body { texts(&body)? } else { Vec::new() };
        Some(Self { fields, sent, texts })
    }

    pub(super) fn judge(&self, test: &TextTest) -> bool {
        match test {
            TextTest::SentBefore(day) => self.sent.is_some_and(|sent| sent < *day),
            TextTest::SentOn(day) => self.sent == Some(*day),
            TextTest::SentSince(day) => self.sent.is_some_and(|sent| sent >= *day),
            TextTest::Header(name, wanted) => {
                self.fields.iter().any(|(field, text)| field == name && text.contains(wanted))
            }
            TextTest::Body(wanted) => self.has_text(wanted),
            TextTest::Text(wanted) => {
                let in_field = |(name, text): &(String, String)| format!("{name}: {text}").contains(wanted);
                self.fields.iter().any(in_field) || self.has_text(wanted)
            }
        }
    }

    fn has_text(&self, wanted: &str) -> bool {
        wanted.is_empty() || self.texts.iter().any(|text| text.contains(wanted))
    }
}

fn fields(header: &[u8]) -> Vec<(String, String)> {
    mail::header::fields(header)
        .map(|field| (String::from_utf8_lossy(field.name).to_lowercase(), fold(&field.text())))
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
                texts.extend(fields(&raw).into_iter().map(|(_, text)| text));
            }
            _ => {}
        }
    }
    Some(texts)
}

fn is_message(body: &Body, at: usize) -> bool {
    body.parts().iter().nth(at).is_some_and(|part| part.kind == Kind::Message)
}
