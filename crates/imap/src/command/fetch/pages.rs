//! Rows of the store page by page. While one page is told, the next ones are read.

use crate::view::{Target, uids};
use std::collections::VecDeque;
use std::ops::Range;
use storage::{Columns, Error, MailboxId, Result, Row, Store};
use tokio::task::JoinHandle;

/// Messages of the first page, so that the first line comes soon.
const PAGE_FIRST: usize = 50;
/// Most messages of one read from the store, where only small things are asked for.
const PAGE: usize = 1000;
/// The same where octets of the messages are read.
const PAGE_OF_BODIES: usize = 200;
/// Pages that are read while one is told.
const AHEAD: usize = 2;
/// Each page has so many times the messages of the one before.
const GROWTH: usize = 2;

/// The rows of some messages. Nothing is held in the store while a slow client reads, and in memory one page and those ahead.
pub(super) struct Pages<'t> {
    store: Store,
    mailbox: MailboxId,
    columns: Columns,
    targets: &'t [Target],
    /// Targets that nobody was sent for yet begin here.
    next: usize,
    /// Messages of the next page.
    size: usize,
    /// Those that are being read, with their targets.
    ahead: VecDeque<(Range<usize>, Reading)>,
}

/// Rows on their way. Whoever does not want them any more has them read no further.
struct Reading(JoinHandle<Result<Vec<Row>>>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'t> Pages<'t> {
    pub(super) fn new(store: &Store, mailbox: MailboxId, columns: Columns, targets: &'t [Target]) -> Self {
        let ahead = VecDeque::with_capacity(AHEAD + 1);
        Self { store: store.clone(), mailbox, columns, targets, next: 0, size: PAGE_FIRST, ahead }
    }

    /// The next rows, ascending, and the messages among which they are; `None` at the end. Messages that are gone are missing; a
    /// page may be empty.
    pub(super) async fn next(&mut self) -> Option<Result<(Vec<Row>, &'t [Target])>> {
        self.send_out();
        let (page, mut reading) = self.ahead.pop_front()?;
        let rows = match (&mut reading.0).await {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => return Some(Err(error)),
            Err(error) => return Some(Err(Error::Trouble(storage::Trouble::Bug(error.to_string())))),
        };
        let rest = self.after(&page, rows.last())..page.end;
        if !rest.is_empty() {
            let reading = self.read(rest.clone());
            self.ahead.push_front((rest, reading));
        }
        self.send_out();
        Some(Ok((rows, &self.targets[page])))
    }

    /// Has the next pages read.
    fn send_out(&mut self) {
        while self.ahead.len() < AHEAD && self.next < self.targets.len() {
            let page = self.next..self.targets.len().min(self.next + self.size);
            self.next = page.end;
            self.size = (self.size * GROWTH).min(self.most());
            let reading = self.read(page.clone());
            self.ahead.push_back((page, reading));
        }
    }

    /// Only the page is named, so that its cost does not grow with the mailbox.
    fn read(&self, page: Range<usize>) -> Reading {
        let (store, mailbox, columns) = (self.store.clone(), self.mailbox, self.columns);
        let uids = uids(&self.targets[page]);
        Reading(tokio::spawn(async move { store.fetch(mailbox, &uids, columns, PAGE).await }))
    }

    fn most(&self) -> usize {
        if self.columns.contains(Columns::MESSAGE) { PAGE_OF_BODIES } else { PAGE }
    }

    /// Where to go on in a page: the store ends one early when it is large.
    fn after(&self, page: &Range<usize>, last: Option<&Row>) -> usize {
        match last {
            None => page.end,
            // A page that was not cut short may lack its last messages, which are gone: they are asked for once more.
            Some(last) => {
                page.start + self.targets[page.clone()].partition_point(|target| target.uid <= last.uid)
            }
        }
    }
}
