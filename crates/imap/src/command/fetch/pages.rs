//! Rows of the store page by page.

use crate::view::{Target, uids};
use std::ops::Range;
use storage::{Columns, MailboxId, Result, Row, Store};

/// Most messages of one read from the store, where only small things are asked for.
const PAGE: usize = 1000;
/// The same where octets of the messages are read.
const PAGE_OF_BODIES: usize = 200;

/// The rows of some messages. Nothing is held in the store while a slow client reads.
pub(super) struct Pages<'t> {
    store: Store,
    mailbox: MailboxId,
    columns: Columns,
    targets: &'t [Target],
    /// Targets that were not read yet.
    rest: Range<usize>,
}

impl<'t> Pages<'t> {
    pub(super) fn new(store: &Store, mailbox: MailboxId, columns: Columns, targets: &'t [Target]) -> Self {
        Self { store: store.clone(), mailbox, columns, targets, rest: 0..targets.len() }
    }

    /// The next rows, ascending; `None` at the end. Messages that are gone are missing; a page may be empty.
    pub(super) async fn next(&mut self) -> Option<Result<Vec<Row>>> {
        // Only the page is named, so that the cost of a page does not grow with the mailbox.
        let page = &self.targets[self.page()];
        if page.is_empty() {
            return None;
        }
        let rows = self.store.fetch(self.mailbox, &uids(page), self.columns, PAGE).await;
        if let Ok(rows) = &rows {
            self.rest.start = self.after(rows.last());
        }
        Some(rows)
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
