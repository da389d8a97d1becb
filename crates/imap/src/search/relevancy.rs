//! How well messages fit what need only fit nearly (RFC 6203 §4): told by RETURN (RELEVANCY), and sorted by.

use super::find::{Pages, Seen};
use super::text::Haystack;
use super::{Depth, Place, Test, TextTest};
use crate::view::Target;
use imap_proto::Response;
use imap_proto::command::Key;
use mail::mime::SearchText;
use std::collections::HashMap;
use std::sync::Arc;
use storage::{Uid, UidSet};

/// What a message counts for that fits exactly.
const MOST: u8 = 100;

impl Place<'_> {
    /// A score from 1 to 100 for each of `found`, in their order.
    pub(crate) async fn relevancy(&self, key: &Key, found: &[Target]) -> Result<Vec<u8>, Response> {
        let test = Test::new(key, self.view, &self.shared.look(), self.saved, self.now);
        let mut scores = HashMap::with_capacity(found.len());
        if let Some(depth) = test.near_depth() {
            self.score(&Arc::new(test), depth, found, &mut scores).await?;
        }
        Ok(found.iter().map(|target| scores.get(&target.uid).copied().unwrap_or(MOST)).collect())
    }

    /// Reads no more of each than its score takes, and from the index what it has.
    async fn score(
        &self,
        test: &Arc<Test>,
        depth: Depth,
        found: &[Target],
        scores: &mut HashMap<Uid, u8>,
    ) -> Result<(), Response> {
        if depth > Depth::Keys {
            self.score_indexed(test, found, scores).await?;
        }
        for depth in [depth, depth.max(Depth::Header)] {
            let rest: Vec<Target> =
                found.iter().filter(|target| !scores.contains_key(&target.uid)).copied().collect();
            if rest.is_empty() {
                break;
            }
            let test = Arc::clone(test);
            let look = move |target: Target, row: &mut storage::Row| {
                let score = match depth {
                    Depth::Row | Depth::Keys => Haystack::of_keys(row).map(|text| test.score(&text)),
                    Depth::Header | Depth::Body => {
                        Haystack::read(row, depth).map(|(text, _)| test.score(&text))
                    }
                };
                Seen { what: (target.uid, score), keys: None }
            };
            let pages = Pages { store: self.store, mailbox: self.mailbox, depth };
            let take = |(uid, score): (Uid, Option<Option<u8>>)| {
                if let Some(score) = score {
                    scores.insert(uid, score.unwrap_or(MOST));
                }
            };
            pages.each(&rest, look, take).await?;
        }
        Ok(())
    }

    async fn score_indexed(
        &self,
        test: &Arc<Test>,
        found: &[Target],
        scores: &mut HashMap<Uid, u8>,
    ) -> Result<(), Response> {
        let mut rest: UidSet = found.iter().map(|target| target.uid).collect();
        while !rest.is_empty() {
            let test = Arc::clone(test);
            let score =
                move |_, text: &SearchText<&str>| test.score(&Haystack::Indexed(*text)).unwrap_or(MOST);
            let Some(seen) = self.store.search_texts(self.mailbox, &rest, score).await else { break };
            let Some((last, _)) = seen.last() else { break };
            rest = rest.after(*last);
            scores.extend(seen);
        }
        Ok(())
    }
}

impl Test {
    /// How far messages must be read for their score; `None`: nothing in the test need only fit nearly.
    fn near_depth(&self) -> Option<Depth> {
        let deepest = |tests: &[Self]| tests.iter().filter_map(Self::near_depth).max();
        match self {
            Self::And(tests) | Self::Or(tests) => deepest(tests),
            Self::Text(near @ TextTest::Near(..)) => Some(near.depth()),
            _ => None,
        }
    }

    /// How well a message fits that does, from 1 to 100: the mean of what must fit, the best of what may. `None`: nothing
    /// in the test says so.
    pub(super) fn score(&self, text: &Haystack<'_>) -> Option<u8> {
        let each = |tests: &[Self]| tests.iter().filter_map(|test| test.score(text)).collect::<Vec<u8>>();
        match self {
            Self::And(tests) => {
                let scores = each(tests);
                let sum: usize = scores.iter().copied().map(usize::from).sum();
                sum.checked_div(scores.len()).and_then(|mean| u8::try_from(mean).ok())
            }
            Self::Or(tests) => each(tests).into_iter().max(),
            Self::Text(TextTest::Near(within, wanted)) => text.score(within, wanted).flatten(),
            _ => None,
        }
    }
}
