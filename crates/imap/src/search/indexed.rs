//! What the search index decides: first which messages cannot have a text, from its trigrams; then, for those that may,
//! their texts. Messages that are not in the index stay open, and are read.

use super::find::Judged;
use super::{Depth, Known, Place, Test, TextTest};
use crate::refusal;
use crate::search::text::Haystack;
use crate::view::Target;
use imap_proto::Response;
use std::collections::HashMap;
use std::sync::Arc;
use storage::{Columns, IndexedText, Row, TERM_MIN, Uid, UidSet};

/// Fewer messages are read: that is as fast.
const MESSAGES_MIN: usize = 16;
/// Most different texts of one search that the index is asked about.
const TERMS_MAX: usize = 256;
/// Messages that are looked at together.
const PAGE: usize = storage::PAGE_MAX;
/// More texts than these are looked at off the threads of the runtime.
const TEXTS_INLINE: usize = 32;

/// For each text the messages that may have it, of those that are in the index.
#[derive(Default)]
pub(super) struct Possible {
    sets: HashMap<String, UidSet>,
    upto: Uid,
    unread: UidSet,
}

impl Possible {
    fn knows(&self, uid: Uid) -> bool {
        uid <= self.upto && !self.unread.contains(uid)
    }

    /// Sets in all of which a message must be that fits, if the index knows it.
    fn needed<'a>(&'a self, test: &Test) -> Vec<&'a UidSet> {
        match test {
            Test::And(tests) => tests.iter().flat_map(|test| self.needed(test)).collect(),
            Test::Text(test) => term(test).and_then(|term| self.sets.get(term)).into_iter().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it is certain that the message does not fit.
    pub(super) fn excludes(&self, test: &TextTest, uid: Uid) -> bool {
        let Some(set) = term(test).and_then(|term| self.sets.get(term)) else { return false };
        self.knows(uid) && !set.contains(uid)
    }
}

/// A text that every message has that fits.
fn term(test: &TextTest) -> Option<&str> {
    let is_long = |text: &str| text.chars().nth(TERM_MIN - 1).is_some();
    match test {
        TextTest::Header(name, text) => {
            [text, name].into_iter().map(String::as_str).find(|text| is_long(text))
        }
        TextTest::Body(text) | TextTest::Text(text) => Some(text.as_str()).filter(|text| is_long(text)),
        // Of words that are nearly there the index knows nothing.
        TextTest::Near(..) => None,
        TextTest::SentBefore(_) | TextTest::SentOn(_) | TextTest::SentSince(_) | TextTest::Thread(_) => None,
    }
}

impl Test {
    /// The texts that the index can be asked about.
    fn terms<'a>(&'a self, terms: &mut Vec<&'a str>) {
        match self {
            Self::And(tests) | Self::Or(tests) => tests.iter().for_each(|test| test.terms(terms)),
            Self::Not(test) => test.terms(terms),
            Self::Text(test) => {
                if let Some(term) = term(test)
                    && terms.len() < TERMS_MAX
                    && !terms.contains(&term)
                {
                    terms.push(term);
                }
            }
            _ => {}
        }
    }

    /// Whether one of the tests in it is such.
    pub(super) fn any(&self, wanted: &impl Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::And(tests) | Self::Or(tests) => tests.iter().any(|test| test.any(wanted)),
                Self::Not(test) => test.any(wanted),
                _ => false,
            }
    }
}

impl Place<'_> {
    /// Judges what the index can judge.
    pub(super) async fn judge_indexed(
        &self,
        test: &Arc<Test>,
        open: Vec<Target>,
    ) -> Result<Judged, Response> {
        let mut judged = Judged::default();
        let is_text = |test: &Test| match test {
            Test::Text(TextTest::Header(..) | TextTest::Body(_) | TextTest::Text(_)) => true,
            // It excludes none of these, but its texts are read sooner than the messages.
            Test::Text(near @ TextTest::Near(..)) => near.depth() > Depth::Keys,
            _ => false,
        };
        if open.len() < MESSAGES_MIN || !test.any(&is_text) {
            judged.open = open;
            return Ok(judged);
        }
        let Some(possible) = self.possible(test).await else {
            judged.open = open;
            return Ok(judged);
        };
        let possible = Arc::new(possible);
        let mut may = Vec::new();
        {
            let picture = self.shared.look();
            let mut walk = picture.walk();
            let needed = possible.needed(test);
            for target in open {
                let lacks = |set: &&UidSet| !set.contains(target.uid);
                if needed.iter().any(lacks) && possible.knows(target.uid) {
                    continue;
                }
                let Some(mark) = walk.mark(target.uid) else { continue };
                let known = Known { possible: Some(&possible), ..Known::from_mark(target, mark) };
                match test.judge(&known) {
                    Some(true) => judged.found.push(target),
                    Some(false) => {}
                    None if possible.knows(target.uid) => may.push(target),
                    None => judged.open.push(target),
                }
            }
        }
        let needs_rows = test.any(&|test| matches!(test, Test::Row(_)));
        for page in may.chunks(PAGE) {
            let rows = if needs_rows { self.rows(page).await? } else { HashMap::new() };
            self.judge_texts(test, &possible, page, rows, &mut judged).await?;
        }
        Ok(judged)
    }

    async fn possible(&self, test: &Test) -> Option<Possible> {
        let mut terms = Vec::new();
        test.terms(&mut terms);
        let terms: Vec<String> = terms.into_iter().map(str::to_owned).collect();
        let candidates = self.store.search_candidates(self.mailbox, &terms).await?;
        let sets = terms.into_iter().zip(candidates.sets);
        let sets = sets.filter_map(|(term, set)| Some((term, set?))).collect();
        Some(Possible { sets, upto: candidates.upto, unread: candidates.unread })
    }

    async fn rows(&self, page: &[Target]) -> Result<HashMap<Uid, Row>, Response> {
        let mut rest: UidSet = page.iter().map(|target| target.uid).collect();
        let mut rows = HashMap::with_capacity(page.len());
        while !rest.is_empty() {
            let read = self.store.fetch(self.mailbox, &rest, Columns::NONE, PAGE).await;
            let read = read.map_err(|error| refusal::response(&error))?;
            let Some(last) = read.last().map(|row| row.uid) else { break };
            rest = rest.after(last);
            rows.extend(read.into_iter().map(|row| (row.uid, row)));
        }
        Ok(rows)
    }

    /// Looks at the texts of a page, and at its rows before.
    async fn judge_texts(
        &self,
        test: &Arc<Test>,
        possible: &Arc<Possible>,
        page: &[Target],
        rows: HashMap<Uid, Row>,
        judged: &mut Judged,
    ) -> Result<(), Response> {
        let mut open: HashMap<Uid, Looked> = HashMap::with_capacity(page.len());
        for target in page {
            let Some(mark) = self.shared.look().mark(target.uid).copied() else { continue };
            let looked = Looked { target: *target, mark, row: rows.get(&target.uid).cloned() };
            match looked.judge(test, possible, None) {
                Some(true) => judged.found.push(*target),
                Some(false) => {}
                None => drop(open.insert(target.uid, looked)),
            }
        }
        let mut rest: UidSet =
            page.iter().map(|target| target.uid).filter(|uid| open.contains_key(uid)).collect();
        while !rest.is_empty() {
            let Some(texts) = self.store.search_texts(self.mailbox, &rest).await else { break };
            let Some(last) = texts.last().map(|text| text.uid) else { break };
            rest = rest.after(last);
            let work: Vec<(Looked, IndexedText)> =
                texts.into_iter().filter_map(|text| Some((open.remove(&text.uid)?, text))).collect();
            for (target, verdict) in judge_all(test, possible, work).await? {
                match verdict {
                    Some(true) => judged.found.push(target),
                    Some(false) => {}
                    None => judged.open.push(target),
                }
            }
        }
        // Those whose texts are not there: the index was made anew meanwhile, or the messages are gone.
        judged.open.extend(open.into_values().map(|looked| looked.target));
        Ok(())
    }
}

/// A message that is looked at.
struct Looked {
    target: Target,
    mark: storage::Mark,
    row: Option<Row>,
}

impl Looked {
    fn judge(&self, test: &Test, possible: &Possible, text: Option<&Haystack<'_>>) -> Option<bool> {
        let known = Known::from_mark(self.target, &self.mark);
        test.judge(&Known { row: self.row.as_ref(), text, possible: Some(possible), ..known })
    }
}

async fn judge_all(
    test: &Arc<Test>,
    possible: &Arc<Possible>,
    work: Vec<(Looked, IndexedText)>,
) -> Result<Vec<(Target, Option<bool>)>, Response> {
    let judge = |test: &Test, possible: &Possible, work: Vec<(Looked, IndexedText)>| {
        let each = |(looked, text): (Looked, IndexedText)| {
            let text = text.open().map(Haystack::Indexed);
            (looked.target, text.and_then(|text| looked.judge(test, possible, Some(&text))))
        };
        work.into_iter().map(each).collect()
    };
    if work.len() <= TEXTS_INLINE {
        return Ok(judge(test, possible, work));
    }
    let (test, possible) = (Arc::clone(test), Arc::clone(possible));
    let done = tokio::task::spawn_blocking(move || judge(&test, &possible, work)).await;
    done.map_err(|_| Response::no("The search failed.").word("SERVERBUG"))
}
