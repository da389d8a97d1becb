//! Rows of the store page by page. While one page is told, the next is read.

use crate::view::{Target, uids};
use std::ops::Range;
use storage::{Columns, Error, MailboxId, Result, Row, Store};
use tokio::task::JoinHandle;

/// Messages of the first page, so that the first line comes soon.
const PAGE_FIRST: usize = 50;
/// Most messages of one read from the store, where only small things are asked for.
const PAGE: usize = 1000;
/// The same where octets of the messages are read.
const PAGE_OF_BODIES: usize = 200;
/// Each page has so many times the messages of the one before.
const GROWTH: usize = 2;

/// The rows of some messages. Nothing is held in the store while a slow client reads, and in memory two pages.
pub(super) struct Pages<'t> {
    store: Store,
    mailbox: MailboxId,
    columns: Columns,
    targets: &'t [Target],
    /// Targets that were not read yet.
    rest: Range<usize>,
    /// Messages of the next page.
    size: usize,
    ahead: Option<JoinHandle<Result<Vec<Row>>>>,
}

impl<'t> Pages<'t> {
    pub(super) fn new(store: &Store, mailbox: MailboxId, columns: Columns, targets: &'t [Target]) -> Self {
        let (rest, size) = (0..targets.len(), PAGE_FIRST);
        Self { store: store.clone(), mailbox, columns, targets, rest, size, ahead: None }
    }

    /// The next rows, ascending, and the messages among which they are; `None` at the end. Messages that are gone are missing; a
    /// page may be empty.
    pub(super) async fn next(&mut self) -> Option<Result<(Vec<Row>, &'t [Target])>> {
        let page = self.page();
        if page.is_empty() {
            return None;
        }
        let reading = self.ahead.take().unwrap_or_else(|| self.read());
        let rows = match reading.await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Some(Err(error)),
            Err(error) => return Some(Err(Error::Trouble(storage::Trouble::Bug(error.to_string())))),
        };
        self.rest.start = self.after(rows.last());
        self.size = (self.size * GROWTH).min(self.most());
        if !self.page().is_empty() {
            self.ahead = Some(self.read());
        }
        Some(Ok((rows, &self.targets[page])))
    }

    /// Only the page is named, so that its cost does not grow with the mailbox.
    fn read(&self) -> JoinHandle<Result<Vec<Row>>> {
        let (store, mailbox, columns) = (self.store.clone(), self.mailbox, self.columns);
        let uids = uids(&self.targets[self.page()]);
        tokio::spawn(async move { store.fetch(mailbox, &uids, columns, PAGE).await })
    }

    /// The targets of one read.
    fn page(&self) -> Range<usize> {
        self.rest.start..self.rest.end.min(self.rest.start + self.size)
    }

    fn most(&self) -> usize {
        if self.columns.contains(Columns::MESSAGE) { PAGE_OF_BODIES } else { PAGE }
    }

    /// Where to go on: the store ends a page early when it is large.
    fn after(&self, last: Option<&Row>) -> usize {
        let page = self.page();
        match last {
            None => page.end,
            // A page that was not cut short may lack its last messages, which are gone: they are asked for once more.
            Some(last) => page.start + self.targets[page].partition_point(|target| target.uid <= last.uid),
        }
    }
}
