//! What the search index decides: first which messages cannot have a text, from its trigrams; then, for those that may,
//! their texts. Messages that are not in the index stay open, and are read.

use super::find::Judged;
use super::{Depth, Known, Place, Test, TextTest};
use crate::refusal;
use crate::search::text::Haystack;
use crate::view::Target;
use imap_proto::Response;
use mail::mime::SearchText;
use std::collections::HashMap;
use std::sync::Arc;
use storage::{Columns, Mark, Row, TERM_MIN, Uid, UidSet};

/// Fewer messages are read: that is as fast.
const MESSAGES_MIN: usize = 16;
/// Most different texts of one search that the index is asked about.
const TERMS_MAX: usize = 256;
/// Messages that are looked at together.
const PAGE: usize = storage::PAGE_MAX;

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
        let mut may: Vec<(Target, Mark)> = Vec::new();
        {
            let picture = self.shared.look();
            let mut walk = picture.walk();
            let mut needed: Vec<_> = possible.needed(test).into_iter().map(UidSet::walk).collect();
            for target in open {
                if needed.iter_mut().any(|set| !set.has(target.uid)) && possible.knows(target.uid) {
                    continue;
                }
                let Some(mark) = walk.mark(target.uid) else { continue };
                let known = Known { possible: Some(&possible), ..Known::from_mark(target, mark) };
                match test.judge(&known) {
                    None if possible.knows(target.uid) => may.push((target, *mark)),
                    verdict => judged.note(target, verdict),
                }
            }
        }
        let needs_rows = test.any(&|test| matches!(test, Test::Row(_)));
        for page in may.chunks(PAGE) {
            let rows = if needs_rows { self.rows(page).await? } else { HashMap::new() };
            self.judge_texts(test, &possible, page, rows, &mut judged).await;
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

    async fn rows(&self, page: &[(Target, Mark)]) -> Result<HashMap<Uid, Row>, Response> {
        let mut rest: UidSet = page.iter().map(|(target, _)| target.uid).collect();
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
        page: &[(Target, Mark)],
        mut rows: HashMap<Uid, Row>,
        judged: &mut Judged,
    ) {
        let mut open: HashMap<Uid, Looked> = HashMap::with_capacity(page.len());
        for (target, mark) in page {
            let looked = Looked { target: *target, mark: *mark, row: rows.remove(&target.uid) };
            match looked.judge(test, possible, None) {
                None => drop(open.insert(target.uid, looked)),
                verdict => judged.note(*target, verdict),
            }
        }
        let targets: Vec<Target> =
            page.iter().map(|(target, _)| *target).filter(|target| open.contains_key(&target.uid)).collect();
        let mut rest: UidSet = targets.iter().map(|target| target.uid).collect();
        let (open, mut verdicts) = (Arc::new(open), HashMap::with_capacity(targets.len()));
        while !rest.is_empty() {
            let (test, possible, open) = (Arc::clone(test), Arc::clone(possible), Arc::clone(&open));
            let look = move |uid, text: &SearchText<&str>| {
                open.get(&uid)?.judge(&test, &possible, Some(&Haystack::Indexed(*text)))
            };
            let Some(seen) = self.store.search_texts(self.mailbox, &rest, look).await else { break };
            let Some((last, _)) = seen.last() else { break };
            rest = rest.after(*last);
            verdicts.extend(seen);
        }
        for target in targets {
            // Texts that are not there stay open: the index was made anew meanwhile, or the messages are gone.
            judged.note(target, verdicts.get(&target.uid).copied().flatten());
        }
    }
}

/// A message that is looked at.
struct Looked {
    target: Target,
    mark: Mark,
    row: Option<Row>,
}

impl Looked {
    fn judge(&self, test: &Test, possible: &Possible, text: Option<&Haystack<'_>>) -> Option<bool> {
        let known = Known::from_mark(self.target, &self.mark);
        test.judge(&Known { row: self.row.as_ref(), text, possible: Some(possible), ..known })
    }
}
