//! Finds the messages that fit, reading no more of each than it takes: first what a session knows of all of them, then what
//! their rows say, then their key fields, their headers, their bodies. Whoever is decided is not read further.

use super::{Depth, Haystack, Known, Test};
use crate::picture::Shared;
use crate::progress::Progress;
use crate::refusal;
use crate::view::{Target, View};
use imap_proto::Response;
use imap_proto::command::Key;
use mail::mime::KeyFields;
use std::collections::HashMap;
use std::sync::Arc;
use storage::{EmailId, MailboxId, Row, Store, Uid, UidSet, Unix};
use tokio::task::JoinHandle;

/// Most messages of one read of rows and key fields.
const PAGE: usize = storage::PAGE_MAX;
/// Most messages of one read with their octets.
const PAGE_DEEP: usize = 200;

/// A mailbox that is searched.
pub(crate) struct Place<'a> {
    pub(crate) store: &'a Store,
    pub(crate) mailbox: MailboxId,
    pub(crate) view: &'a View,
    pub(crate) shared: &'a Shared,
    /// What `$` stands for.
    pub(crate) saved: &'a UidSet,
    /// What OLDER and YOUNGER count from.
    pub(crate) now: Unix,
    /// Who waits for it is told how far it is.
    pub(crate) progress: Option<&'a Progress>,
}

impl Place<'_> {
    /// Those of `targets` that fit, in the order of the mailbox.
    pub(crate) async fn find_among(
        &self,
        key: &Key,
        targets: impl Iterator<Item = Target> + Send,
    ) -> Result<Vec<Target>, Response> {
        let test = Test::new(key, self.view, &self.shared.look(), self.saved, self.now);
        let test = Arc::new(test);
        let (mut found, mut open) = (Vec::new(), Vec::new());
        if test.needs_reading() {
            open.extend(targets);
        } else {
            let picture = self.shared.look();
            let mut walk = picture.walk();
            for target in targets {
                let Some(mark) = walk.mark(target.uid) else { continue };
                match test.judge(&Known::from_mark(target, mark)) {
                    Some(true) => found.push(target),
                    Some(false) => {}
                    None => open.push(target),
                }
            }
        }
        let judged = self.judge_indexed(&test, open).await?;
        found.extend(judged.found);
        open = judged.open;
        if let Some(progress) = self.progress {
            progress.aim(open.len());
        }
        for depth in test.depths() {
            if open.is_empty() {
                break;
            }
            let judged = self.judge(&test, depth, &open).await?;
            open = judged.open;
            found.extend(judged.found);
        }
        found.sort_unstable_by_key(|target| target.number);
        Ok(found)
    }

    /// Judges messages page by page; nothing is held in the store meanwhile.
    async fn judge(&self, test: &Arc<Test>, depth: Depth, open: &[Target]) -> Result<Judged, Response> {
        let test = Arc::clone(test);
        let pages = Pages { store: self.store, mailbox: self.mailbox, depth };
        let mut judged = Judged::default();
        pages
            .each(
                open,
                move |target, row| test.look(depth, target, row),
                |(target, verdict)| {
                    judged.note(target, verdict);
                    if let (Some(_), Some(progress)) = (verdict, self.progress) {
                        progress.step(1);
                    }
                },
            )
            .await?;
        Ok(judged)
    }
}

#[derive(Default)]
pub(super) struct Judged {
    pub(super) found: Vec<Target>,
    pub(super) open: Vec<Target>,
}

impl Judged {
    pub(super) fn note(&mut self, target: Target, verdict: Option<bool>) {
        match verdict {
            Some(true) => self.found.push(target),
            Some(false) => {}
            None => self.open.push(target),
        }
    }
}

/// What one look at a message came to, and the key fields that its body should have and has not.
pub(super) struct Seen<T> {
    pub(super) what: T,
    pub(super) keys: Option<KeyFields>,
}

impl Test {
    /// Whether what a session knows of messages decides none of them.
    fn needs_reading(&self) -> bool {
        let is_told = |test: &Self| {
            !matches!(test, Self::And(_) | Self::Or(_) | Self::Not(_) | Self::Row(_) | Self::Text(_))
        };
        !self.any(&is_told)
    }

    pub(super) fn look(&self, depth: Depth, target: Target, row: &mut Row) -> Seen<(Target, Option<bool>)> {
        let mut keys = None;
        let text = match depth {
            Depth::Row => None,
            Depth::Keys => Haystack::of_keys(row),
            Depth::Header | Depth::Body => {
                let lacks = row.key_fields.is_none();
                let read = Haystack::read(row, depth);
                read.map(|(text, found)| {
                    keys = lacks.then_some(found);
                    text
                })
            }
        };
        let Row { flags, keywords, modseq, .. } = *row;
        let known =
            Known { target, flags, keywords, modseq, row: Some(row), text: text.as_ref(), possible: None };
        Seen { what: (target, self.judge(&known)), keys }
    }
}

/// Reads rows page by page and has each looked at where blocking is allowed.
pub(super) struct Pages<'a> {
    pub(super) store: &'a Store,
    pub(super) mailbox: MailboxId,
    pub(super) depth: Depth,
}

impl Pages<'_> {
    /// Messages that are gone are passed over.
    pub(super) async fn each<T, L>(
        &self,
        targets: &[Target],
        look: L,
        mut take: impl FnMut(T),
    ) -> Result<(), Response>
    where
        T: Send + 'static,
        L: Fn(Target, &mut Row) -> Seen<T> + Send + Sync + 'static,
    {
        let look = Arc::new(look);
        let mut under_way: Option<JoinHandle<LookedAt<T>>> = None;
        let page = if self.depth > Depth::Keys { PAGE_DEEP } else { PAGE };
        for targets in targets.chunks(page) {
            let known: HashMap<Uid, Target> = targets.iter().map(|target| (target.uid, *target)).collect();
            let mut rest: UidSet = targets.iter().map(|target| target.uid).collect();
            while !rest.is_empty() {
                let rows = self.store.fetch(self.mailbox, &rest, self.depth.columns(), page).await;
                let rows = rows.map_err(|error| refusal::response(&error))?;
                let Some(last) = rows.last().map(|row| row.uid) else { break };
                rest = rest.after(last);
                let rows: Vec<(Target, Row)> = rows
                    .into_iter()
                    .filter_map(|row| known.get(&row.uid).map(|target| (*target, row)))
                    .collect();
                // The page before was looked at while this one was read.
                self.end(under_way.take(), &mut take).await?;
                if self.depth == Depth::Row {
                    // Numbers are compared faster than another thread is asked to.
                    self.take(look_at(&*look, rows), &mut take).await;
                    continue;
                }
                let look = Arc::clone(&look);
                // Decoding is work for the processor, and files may have to be read.
                under_way = Some(tokio::task::spawn_blocking(move || look_at(&*look, rows)));
            }
        }
        self.end(under_way, &mut take).await
    }

    async fn end<T>(
        &self,
        work: Option<JoinHandle<LookedAt<T>>>,
        take: &mut impl FnMut(T),
    ) -> Result<(), Response> {
        let Some(work) = work else { return Ok(()) };
        let done = work.await.map_err(|_| Response::no("The search failed.").word("SERVERBUG"))?;
        self.take(done, take).await;
        Ok(())
    }

    async fn take<T>(&self, (seen, keys): LookedAt<T>, take: &mut impl FnMut(T)) {
        seen.into_iter().for_each(take);
        self.keep(keys).await;
    }

    /// Stores key fields that were missing, so that the next one need not look for them.
    async fn keep(&self, keys: Vec<(EmailId, Vec<u8>)>) {
        if !keys.is_empty()
            && let Err(error) = self.store.add_key_fields(keys).await
        {
            tracing::warn!(%error, "storing key fields failed");
        }
    }
}

/// What was seen, and key fields that are to be stored.
type LookedAt<T> = (Vec<T>, Vec<(EmailId, Vec<u8>)>);

fn look_at<T>(look: &impl Fn(Target, &mut Row) -> Seen<T>, page: Vec<(Target, Row)>) -> LookedAt<T> {
    let mut keep = Vec::new();
    let seen = page.into_iter().map(|(target, mut row)| {
        let seen = look(target, &mut row);
        keep.extend(seen.keys.map(|keys| (row.email, keys.encode())));
        seen.what
    });
    let seen = seen.collect();
    (seen, keep)
}
