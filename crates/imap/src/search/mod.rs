//! SEARCH: first what flags and numbers can tell, then, for the messages that are still open, what stands in them.

mod column;
pub(crate) mod columns;
pub(crate) mod context;
mod facts;
mod find;
mod indexed;
mod order;
mod relevancy;
mod sort;
mod subject;
mod symbols;
mod text;
mod thread;

use crate::object::{self, Thread};
use crate::picture::Picture;
use crate::view::{Target, View};
pub(crate) use facts::ids as message_ids;
pub(crate) use find::Place;
use imap_proto::command::{Day, Key};
use imap_proto::{Ranges, Set};
use indexed::Possible;
use mail::casemap::{self, fold};
use mail::fuzzy::Fuzzy;
use mail::mime::KeyFields;
pub(crate) use order::{sorted, threaded};
use std::collections::BTreeSet;
use storage::{Columns, EmailId, Flags, Keywords, Mark, ModSeq, Row, UidSet, Unix};
use text::Haystack;

/// A criterion made ready: sets are numbers, texts are folded, keywords are bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    All,
    None,
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Numbers(Ranges),
    Uids(Ranges),
    Saved(UidSet),
    Flag(Flags),
    /// Number of the keyword's bit.
    Keyword(usize),
    ModSeq(ModSeq),
    Row(RowTest),
    Text(TextTest),
}

/// What a row tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RowTest {
    Before(Day),
    On(Day),
    Since(Day),
    SavedBefore(Day),
    SavedOn(Day),
    SavedSince(Day),
    /// Received at this second or before.
    Until(Unix),
    /// Received at this second or later.
    From(Unix),
    Email(EmailId),
    Larger(u64),
    Smaller(u64),
}

/// What only the octets of the message tell. Texts are folded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TextTest {
    SentBefore(Day),
    SentOn(Day),
    SentSince(Day),
    Thread(Thread),
    /// Name of the field, and text.
    Header(String, String),
    Body(String),
    Text(String),
    /// Near is near enough (RFC 6203 §3).
    Near(Within, Fuzzy),
}

/// Where words are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Within {
    /// In a field of this name.
    Field(String),
    Body,
    Text,
}

/// The messages that a search looks at: where its criteria name some by number or UID at the top, those (RFC 9738 §3.1).
pub(crate) fn candidates(key: &Key, view: &View, saved: &UidSet) -> Vec<Target> {
    let keys = match key {
        Key::And(keys) => keys.as_slice(),
        other => std::slice::from_ref(other),
    };
    let last = view.last();
    let sets: Vec<(bool, Ranges)> = keys
        .iter()
        .filter_map(|key| match key {
            Key::Sequence(set @ Set::Ranges(_)) => Some((false, set.resolve(view.len()))),
            Key::Uid(set @ Set::Ranges(_)) => Some((true, set.resolve(last))),
            Key::Sequence(Set::Saved) | Key::Uid(Set::Saved) => {
                Some((true, Ranges::new(saved.ranges().iter().copied())))
            }
            _ => None,
        })
        .collect();
    let fits = |target: &Target| {
        sets.iter().all(|(by_uid, set)| set.contains(if *by_uid { target.uid } else { target.number }))
    };
    view.all().filter(fits).collect()
}

/// What must be read of messages that flags and numbers do not decide, from cheap to dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Depth {
    /// What the row says.
    Row,
    /// The key fields, which are stored beside the message.
    Keys,
    /// The message, for its header.
    Header,
    Body,
}

impl Depth {
    fn columns(self) -> Columns {
        match self {
            Self::Row => Columns::NONE,
            Self::Keys => Columns::KEY_FIELDS | Columns::PREFIX,
            Self::Header | Self::Body => Columns::MESSAGE | Columns::PARTS | Columns::KEY_FIELDS,
        }
    }
}

/// A message as far as it is known.
struct Known<'a> {
    pub(crate) target: Target,
    pub(crate) flags: Flags,
    pub(crate) keywords: Keywords,
    pub(crate) modseq: ModSeq,
    pub(crate) row: Option<&'a Row>,
    pub(crate) text: Option<&'a Haystack<'a>>,
    possible: Option<&'a Possible>,
}

impl<'a> Known<'a> {
    fn from_mark(target: Target, mark: &Mark) -> Self {
        let Mark { flags, keywords, modseq, .. } = *mark;
        Self { target, flags, keywords, modseq, row: None, text: None, possible: None }
    }
}

impl Test {
    /// `now` is what OLDER and YOUNGER count from.
    pub(crate) fn new(key: &Key, view: &View, picture: &Picture, saved: &UidSet, now: Unix) -> Self {
        let each = |keys: &[Key]| keys.iter().map(|key| Self::new(key, view, picture, saved, now)).collect();
        match key {
            Key::All => Self::All,
            Key::And(keys) => Self::And(each(keys)),
            Key::Or(keys) => Self::Or(each(keys)),
            Key::Not(key) => Self::Not(Box::new(Self::new(key, view, picture, saved, now))),
            Key::Fuzzy(key) => Self::new(key, view, picture, saved, now).near(),
            Key::Sequence(Set::Saved) | Key::Uid(Set::Saved) => Self::Saved(saved.clone()),
            Key::Sequence(set) => Self::Numbers(set.resolve(view.len())),
            Key::Uid(set) => Self::Uids(set.resolve(view.last())),
            Key::Flag(name) => flag(name, picture),
            Key::Before(day) => Self::Row(RowTest::Before(*day)),
            Key::On(day) => Self::Row(RowTest::On(*day)),
            Key::Since(day) => Self::Row(RowTest::Since(*day)),
            Key::SavedBefore(day) => Self::Row(RowTest::SavedBefore(*day)),
            Key::SavedOn(day) => Self::Row(RowTest::SavedOn(*day)),
            Key::SavedSince(day) => Self::Row(RowTest::SavedSince(*day)),
            Key::Older(seconds) => Self::Row(RowTest::Until(now - i64::from(*seconds))),
            Key::Younger(seconds) => Self::Row(RowTest::From(now - i64::from(*seconds))),
            Key::ModSeq(modseq) => Self::ModSeq(*modseq),
            Key::EmailId(id) => object::find_email(id).map_or(Self::None, |id| Self::Row(RowTest::Email(id))),
            Key::ThreadId(id) => match object::find_thread(id) {
                None => Self::None,
                Some((thread, None)) => Self::Text(TextTest::Thread(thread)),
                Some((thread, Some(email))) => {
                    Self::And(vec![Self::Row(RowTest::Email(email)), Self::Text(TextTest::Thread(thread))])
                }
            },
            Key::Larger(size) => Self::Row(RowTest::Larger(*size)),
            Key::Smaller(size) => Self::Row(RowTest::Smaller(*size)),
            Key::SentBefore(day) => Self::Text(TextTest::SentBefore(*day)),
            Key::SentOn(day) => Self::Text(TextTest::SentOn(*day)),
            Key::SentSince(day) => Self::Text(TextTest::SentSince(*day)),
            // No text that is searched has a NUL in it.
            Key::Header(_, text) | Key::Body(text) | Key::Text(text) if text.contains('\0') => Self::None,
            Key::Body(text) | Key::Text(text) if text.is_empty() => Self::All,
            Key::Header(name, text) => Self::Text(TextTest::Header(fold(name), fold(text))),
            Key::Body(text) => Self::Text(TextTest::Body(fold(text))),
            Key::Text(text) => Self::Text(TextTest::Text(fold(text))),
        }
    }

    /// The same, but texts need only fit nearly. What is excluded stays what was written, so that no more is excluded.
    fn near(self) -> Self {
        let each = |tests: Vec<Self>| tests.into_iter().map(Self::near).collect();
        match self {
            Self::And(tests) => Self::And(each(tests)),
            Self::Or(tests) => Self::Or(each(tests)),
            Self::Text(test) => Self::Text(test.near()),
            other => other,
        }
    }

    /// How far messages must be read for this test, step by step; empty: not at all. Whoever is decided by one step need
    /// not go the next.
    fn depths(&self) -> BTreeSet<Depth> {
        let mut depths = BTreeSet::new();
        self.collect_depths(&mut depths);
        if depths.contains(&Depth::Keys) {
            // The row comes with them.
            depths.remove(&Depth::Row);
            if depths.last() == Some(&Depth::Keys) {
                // For messages whose key fields are not stored.
                depths.insert(Depth::Header);
            }
        }
        depths
    }

    fn collect_depths(&self, depths: &mut BTreeSet<Depth>) {
        match self {
            Self::And(tests) | Self::Or(tests) => tests.iter().for_each(|test| test.collect_depths(depths)),
            Self::Not(test) => test.collect_depths(depths),
            Self::Row(_) => drop(depths.insert(Depth::Row)),
            Self::Text(test) => drop(depths.insert(test.depth())),
            _ => {}
        }
    }

    /// The verdict; `None` if what is known does not decide it.
    fn judge(&self, known: &Known<'_>) -> Option<bool> {
        match self {
            Self::All => Some(true),
            Self::None => Some(false),
            Self::And(tests) => all(tests, known, true),
            Self::Or(tests) => all(tests, known, false),
            Self::Not(test) => test.judge(known).map(|verdict| !verdict),
            Self::Numbers(ranges) => Some(ranges.contains(known.target.number)),
            Self::Uids(ranges) => Some(ranges.contains(known.target.uid)),
            Self::Saved(saved) => Some(saved.contains(known.target.uid)),
            Self::Flag(flag) => Some(known.flags.contains(*flag)),
            Self::Keyword(bit) => Some(known.keywords.contains(*bit)),
            Self::ModSeq(modseq) => Some(known.modseq >= *modseq),
            Self::Row(test) => known.row.map(|row| test.judge(row)),
            Self::Text(test) => known.text.and_then(|text| text.judge(test)).or_else(|| {
                let excluded = known.possible?.excludes(test, known.target.uid);
                excluded.then_some(false)
            }),
        }
    }
}

/// AND if `wanted` is true, OR if it is false: decided by the first test that says otherwise.
fn all(tests: &[Test], known: &Known<'_>, wanted: bool) -> Option<bool> {
    let mut verdict = Some(wanted);
    for test in tests {
        match test.judge(known) {
            Some(judged) if judged != wanted => return Some(judged),
            Some(_) => {}
            None => verdict = None,
        }
    }
    verdict
}

fn flag(name: &str, picture: &Picture) -> Test {
    match crate::flags::system_flag(name) {
        Some(flag) => Test::Flag(flag),
        None => match picture.keywords.iter().position(|known| known.eq_ignore_ascii_case(name)) {
            Some(bit) => Test::Keyword(bit),
            // Nobody ever set it here.
            None => Test::None,
        },
    }
}

impl TextTest {
    fn depth(&self) -> Depth {
        match self {
            Self::Body(_) | Self::Text(_) | Self::Near(Within::Body | Within::Text, _) => Depth::Body,
            Self::Header(name, _) | Self::Near(Within::Field(name), _) if !KeyFields::hold(name) => {
                Depth::Header
            }
            Self::Header(..) | Self::Near(..) => Depth::Keys,
            Self::SentBefore(_) | Self::SentOn(_) | Self::SentSince(_) | Self::Thread(_) => Depth::Keys,
        }
    }

    fn near(self) -> Self {
        let (within, text) = match self {
            Self::Header(name, text) => (Within::Field(name), text),
            Self::Body(text) => (Within::Body, text),
            Self::Text(text) => (Within::Text, text),
            other => return other,
        };
        Self::Near(within, Fuzzy::new(&text))
    }
}

impl RowTest {
    /// Days are compared without time and zone (RFC 9051 §6.4.4); INTERNALDATE is told in UTC.
    fn judge(self, row: &Row) -> bool {
        let day = |seconds: Unix| {
            let day = mail::date::day_of(seconds);
            Day { year: day.year, month: day.month, day: day.day }
        };
        match self {
            Self::Before(wanted) => day(row.received) < wanted,
            Self::On(wanted) => day(row.received) == wanted,
            Self::Since(wanted) => day(row.received) >= wanted,
            Self::SavedBefore(wanted) => day(row.saved) < wanted,
            Self::SavedOn(wanted) => day(row.saved) == wanted,
            Self::SavedSince(wanted) => day(row.saved) >= wanted,
            Self::Until(second) => row.received <= second,
            Self::From(second) => row.received >= second,
            Self::Email(id) => row.email == id,
            Self::Larger(size) => row.size > size,
            Self::Smaller(size) => row.size < size,
        }
    }
}

#[cfg(test)]
mod tests;
