//! Rows of the store page by page, the next one on its way while the one before is sent.

use crate::view::{Target, uids};
use std::ops::Range;
use storage::{Columns, MailboxId, Result, Row, Store};
use tokio::task::JoinHandle;

/// Most messages of one read from the store, where only small things are asked for.
const PAGE: usize = 1000;
/// The same where octets of the messages are read.
const PAGE_OF_BODIES: usize = 200;

/// The rows of some messages. At most two pages are in memory at a time, and nothing is held in the store while a slow
/// client reads.
pub(super) struct Pages<'t> {
    store: Store,
    mailbox: MailboxId,
    columns: Columns,
    targets: &'t [Target],
    /// Targets of the read that is under way, and of all that follow.
    rest: Range<usize>,
    under_way: Option<Reading>,
}

/// A read of the store. It ends with the one who waits for it.
struct Reading(JoinHandle<Result<Vec<Row>>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'t> Pages<'t> {
    pub(super) fn new(store: &Store, mailbox: MailboxId, columns: Columns, targets: &'t [Target]) -> Self {
        let store = store.clone();
        let mut pages = Self { store, mailbox, columns, targets, rest: 0..targets.len(), under_way: None };
        pages.read_on();
        pages
    }

    /// Begins to read what comes next.
    fn read_on(&mut self) {
        let page = self.page();
        // Only the page is named, so that the cost of a page does not grow with the mailbox.
        let some = &self.targets[page];
        if some.is_empty() {
            self.under_way = None;
            return;
        }
        let (store, mailbox, columns, uids) = (self.store.clone(), self.mailbox, self.columns, uids(some));
        let read = async move { store.fetch(mailbox, &uids, columns, PAGE).await };
        self.under_way = Some(Reading(tokio::spawn(read)));
    }

    /// The next rows, ascending; `None` at the end. Messages that are gone are missing; a page may be empty.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Row>>> {
        let mut reading = self.under_way.take()?;
        let rows = match (&mut reading.0).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Some(Err(error)),
            // The runtime is ending.
            Err(_) => return None,
        };
        self.rest.start = self.after(rows.last());
        self.read_on();
        Some(Ok(rows))
    }

    /// The targets of one read.
    fn page(&self) -> Range<usize> {
        let most = if self.columns.contains(Columns::MESSAGE) { PAGE_OF_BODIES } else { PAGE };
        self.rest.start..self.rest.end.min(self.rest.start + most)
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
