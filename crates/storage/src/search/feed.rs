//! Feeds the indexes in the background: what is new comes in, what was expunged goes, as the store's own tables tell. It
//! never holds anything that the writer needs, and rests longer than it works.

mod followed;
mod texts;

use super::database::{Database, NewText, Reached};
use super::{Indexes, lock};
use crate::blocking::Readers;
use crate::body::Folder;
use crate::error::{Error, Result, Trouble};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::sql;
use crate::uidset::UidSet;
use crate::vanished;
use crate::wake::{Changed, Wake};
use followed::Followed;
use serde_json::json;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use texts::{Raw, read};
use tokio::sync::watch;

/// Most messages, and octets of messages, of one step.
const STEP_MESSAGES: i64 = 200;
const STEP_OCTETS: u64 = 4 * 1024 * 1024;
/// Most messages or texts that one step takes out.
const STEP_GONE: i64 = 2000;
/// For so many times the time of a step there is no other.
const REST: u32 = 2;
/// The same while others write.
const REST_BEHIND_WRITERS: u32 = 4;
/// Longest rest between two steps.
const REST_MAX: Duration = Duration::from_secs(2);
/// While there are more commits than this in [`LOOK`] the steps wait until the rush is over,
const RUSH: u64 = 20;
const LOOK: Duration = Duration::from_millis(100);
/// but no longer than this.
const LAG_MAX: Duration = Duration::from_secs(20);

/// What the task needs.
pub(crate) struct Feeder {
    pub(crate) indexes: Weak<Indexes>,
    pub(crate) wake: Weak<Wake>,
    pub(crate) readers: Readers,
    pub(crate) bodies: Arc<Folder>,
    pub(crate) commits: Arc<AtomicU64>,
    /// How many commits there were when it was last looked.
    pub(crate) seen: AtomicU64,
}

/// Whether an account is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Done,
    More,
}

/// The index that is open to be written to.
type Writing = Option<(AccountId, Database)>;

/// What goes from step to step.
#[derive(Default)]
struct Progress {
    writing: Writing,
    followed: Followed,
}

/// A mailbox as the store has it.
struct Mailbox {
    id: MailboxId,
    now: Reached,
}

impl Feeder {
    /// Runs until the store is closed. At first it looks at every account once.
    pub(crate) async fn run(self, mut changed: watch::Receiver<Changed>) {
        let mut due = self.everybody().await;
        let mut progress = Progress::default();
        loop {
            if due.is_empty() {
                close(&mut progress.writing).await;
                if *changed.borrow() == Changed::Closed || changed.changed().await.is_err() {
                    return;
                }
            }
            let Some(delay) = self.indexes.upgrade().map(|indexes| indexes.config.delay) else { break };
            if is_over(&mut changed, delay).await {
                break;
            }
            let since = Instant::now();
            self.take_changed(&mut due);
            while let Some(account) = due.pop_front() {
                if self.closed_before_calm(&mut changed, since).await {
                    close(&mut progress.writing).await;
                    return;
                }
                let (begun, commits) = (Instant::now(), self.commits.load(Ordering::Relaxed));
                let Some(indexes) = self.indexes.upgrade() else { break };
                let outcome = self.step(&indexes, account, &mut progress).await;
                drop(indexes);
                match outcome {
                    Ok(Step::Done) => {}
                    Ok(Step::More) => due.push_back(account),
                    Err(error) => self.failed(account, &error, &mut progress.writing).await,
                }
                let busy = self.commits.load(Ordering::Relaxed) > commits + 1;
                let rest = begun.elapsed() * if busy { REST_BEHIND_WRITERS } else { REST };
                if is_over(&mut changed, rest.min(REST_MAX)).await {
                    close(&mut progress.writing).await;
                    return;
                }
                self.take_changed(&mut due);
            }
        }
        close(&mut progress.writing).await;
    }

    /// Waits while messages come in fast, so that they find the whole machine. Returns whether the store is closed meanwhile.
    async fn closed_before_calm(&self, changed: &mut watch::Receiver<Changed>, since: Instant) -> bool {
        let mut commits = self.commits.load(Ordering::Relaxed);
        // Nobody waits where nothing is written.
        if self.seen.swap(commits, Ordering::Relaxed) == commits {
            return false;
        }
        while since.elapsed() < LAG_MAX {
            if is_over(changed, LOOK).await {
                return true;
            }
            let before = std::mem::replace(&mut commits, self.commits.load(Ordering::Relaxed));
            if commits - before <= RUSH {
                break;
            }
        }
        self.seen.store(commits, Ordering::Relaxed);
        false
    }

    async fn everybody(&self) -> VecDeque<AccountId> {
        let mut accounts: Vec<i64> = sql::query_scalar("SELECT id FROM account ORDER BY id")
            .fetch_all(&self.readers)
            .await
            .unwrap_or_default();
        // Those whose accounts are gone go as well.
        if let Some(indexes) = self.indexes.upgrade()
            && let Ok(indexed) = indexes.files.accounts()
        {
            accounts.extend(indexed.map(|account| account.0));
        }
        accounts.sort_unstable();
        accounts.dedup();
        accounts.into_iter().map(AccountId).collect()
    }

    fn take_changed(&self, due: &mut VecDeque<AccountId>) {
        let Some(wake) = self.wake.upgrade() else { return };
        let known: HashSet<AccountId> = due.iter().copied().collect();
        due.extend(wake.take_changed().into_iter().filter(|account| !known.contains(account)));
    }

    async fn failed(&self, account: AccountId, error: &Error, writing: &mut Writing) {
        close(writing).await;
        let Some(indexes) = self.indexes.upgrade() else { return };
        match error {
            Error::Trouble(Trouble::Closed) => {}
            Error::Trouble(Trouble::Corrupt(_) | Trouble::Bug(_)) => indexes.is_damaged(account, error),
            _ => {
                tracing::warn!(%account, %error, "the search index could not be fed; it will be tried again");
                indexes.change_later(account);
            }
        }
    }

    /// One piece of work for one account.
    async fn step(&self, indexes: &Indexes, account: AccountId, progress: &mut Progress) -> Result<Step> {
        let Progress { writing, followed } = progress;
        let anew = lock(&indexes.anew).contains(&account);
        let Some((mailboxes, messages)) = self.mailboxes(account).await? else {
            close(writing).await;
            indexes.forget(account);
            indexes.files.remove(account)?;
            lock(&indexes.anew).remove(&account);
            return Ok(Step::Done);
        };
        if anew {
            close(writing).await;
            indexes.forget(account);
            indexes.files.remove(account)?;
            open(indexes, account, writing).await?;
            lock(&indexes.anew).remove(&account);
            // Somebody may have opened the old one meanwhile.
            indexes.forget(account);
        } else if !indexes.files.exists(account) {
            if messages < indexes.config.messages_min {
                return Ok(Step::Done);
            }
        } else if self.has_everything(account, &mailboxes, followed).await? {
            followed.note(account, &mailboxes);
            return Ok(Step::Done);
        }
        followed.forget(account);
        let database = open(indexes, account, writing).await?;
        let reached = database.reached().await?;
        let there: HashSet<MailboxId> = mailboxes.iter().map(|mailbox| mailbox.id).collect();
        for mailbox in reached.keys().filter(|mailbox| !there.contains(mailbox)) {
            if take_out(database, *mailbox, &UidSet::all()).await? == Step::More {
                return Ok(Step::More);
            }
            database.drop_mailbox(*mailbox).await?;
        }
        for mailbox in &mailboxes {
            let before = reached.get(&mailbox.id).copied().unwrap_or_default();
            if before.modseq == mailbox.now.modseq && before.uid >= mailbox.now.uid {
                continue;
            }
            let gone = self.vanished(mailbox.id, before).await?;
            if take_out(database, mailbox.id, &gone).await? == Step::More
                || self.bring_in(indexes, database, mailbox, before).await? == Step::More
            {
                return Ok(Step::More);
            }
        }
        if database.drop_loose(STEP_GONE).await? {
            return Ok(Step::More);
        }
        followed.note(account, &mailboxes);
        Ok(Step::Done)
    }

    /// The account's mailboxes, and how many messages are in them; `None` if there is no such account.
    async fn mailboxes(&self, account: AccountId) -> Result<Option<(Vec<Mailbox>, u64)>> {
        let sql = "SELECT b.id, b.uidnext - 1, b.modseq, b.messages FROM account a \
                   LEFT JOIN mailbox b ON b.account = a.id WHERE a.id = ?1";
        let rows = sql::query(sql).bind(account.0).fetch_all(&self.readers).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let (mut mailboxes, mut messages) = (Vec::new(), 0);
        for row in rows {
            let Some(id) = row.try_get::<Option<i64>>(0)? else { continue };
            let uid = Uid::try_from(row.try_get::<i64>(1)?).unwrap_or(0);
            let modseq = row.try_get::<i64>(2)?.unsigned_abs();
            messages += row.try_get::<i64>(3)?.unsigned_abs();
            mailboxes.push(Mailbox { id: MailboxId(id), now: Reached { uid, modseq } });
        }
        Ok(Some((mailboxes, messages)))
    }

    /// What is gone of a mailbox, if any of it was brought in.
    async fn vanished(&self, mailbox: MailboxId, before: Reached) -> Result<UidSet> {
        if before.uid == 0 {
            return Ok(UidSet::new());
        }
        let gone = self.readers.read(move |connection| {
            let view = connection.unchecked_transaction()?;
            vanished::since(&view, mailbox, before.modseq)
        });
        match gone.await {
            // It goes with what is there in the next step.
            Err(Error::NoSuchMailbox(_)) => Ok(UidSet::new()),
            gone => gone,
        }
    }

    /// Brings in the next messages of a mailbox. Only when all are in is it noted that its other changes were followed.
    async fn bring_in(
        &self,
        indexes: &Indexes,
        database: &mut Database,
        mailbox: &Mailbox,
        before: Reached,
    ) -> Result<Step> {
        let sql =
            "SELECT uid, content FROM message WHERE mailbox = ?1 AND uid > ?2 ORDER BY uid LIMIT ?3 + 0";
        let rows: Vec<(i64, i64)> = sql::query_as(sql)
            .bind(mailbox.id.0)
            .bind(before.uid)
            .bind(STEP_MESSAGES)
            .fetch_all(&self.readers)
            .await?;
        let contents: Vec<i64> = rows.iter().map(|(_, content)| *content).collect();
        let missing = database.missing(&contents).await?;
        let (texts, left) = self.texts(&contents, &missing).await?;
        let mut places = Vec::with_capacity(rows.len());
        let whole = (rows.len() as i64) < STEP_MESSAGES && left.is_empty();
        for (uid, content) in rows {
            if left.contains(&content) {
                break;
            }
            places.push((Uid::try_from(uid).unwrap_or(Uid::MAX), content));
        }
        let last = places.last().map_or(before.uid, |(uid, _)| *uid);
        let reached = if whole {
            Reached { uid: mailbox.now.uid.max(last), modseq: mailbox.now.modseq }
        } else {
            // The first messages are as they were when the mailbox was looked at, or later.
            let modseq = if before.uid == 0 { mailbox.now.modseq } else { before.modseq };
            Reached { uid: last, modseq }
        };
        if let Some(newest) = contents.iter().max() {
            indexes.files.note_newest(*newest)?;
        }
        database.add(mailbox.id, texts, &places, reached).await?;
        Ok(if whole { Step::Done } else { Step::More })
    }

    /// The texts of the missing ones of `contents`, in their order, as many as fit into one step; and those for which there was no
    /// room.
    async fn texts(&self, contents: &[i64], missing: &HashSet<i64>) -> Result<(Vec<NewText>, HashSet<i64>)> {
        const SQL: &str = "
            SELECT c.id, c.prefix, b.parts, b.size, b.place, b.file, o.octets FROM json_each(?1) j
                CROSS JOIN content c ON c.id = j.value CROSS JOIN body b ON b.id = c.body
                LEFT JOIN body_octets o ON o.body = b.id";
        let mut left = missing.clone();
        if left.is_empty() {
            return Ok((Vec::new(), left));
        }
        let mut wanted: Vec<i64> = Vec::with_capacity(missing.len());
        for content in contents.iter().filter(|content| missing.contains(content)) {
            if !wanted.contains(content) {
                wanted.push(*content);
            }
        }
        let (bodies, wanted) = (Arc::clone(&self.bodies), json!(wanted).to_string());
        let messages = self.readers.read(move |connection| {
            let mut statement = connection.prepare_cached(SQL)?;
            let mut rows = statement.query([wanted])?;
            let (mut messages, mut octets): (Vec<Raw>, u64) = (Vec::new(), 0);
            while octets < STEP_OCTETS
                && let Some(row) = rows.next()?
            {
                let size = row.get::<_, i64>(3)?.unsigned_abs();
                octets += size;
                let (file, body) = (row.get_ref(5)?.as_str_or_null()?, row.get_ref(6)?.as_blob_or_null()?);
                let received = bodies.open(size, row.get(4)?, file, body);
                messages.push((row.get(0)?, row.get(1)?, row.get(2)?, received));
            }
            Ok((messages, octets))
        });
        let (messages, octets) = messages.await?;
        messages.iter().for_each(|(id, ..)| {
            left.remove(id);
        });
        if octets < STEP_OCTETS {
            // What was not there was expunged since.
            left.clear();
        }
        let texts = tokio::task::spawn_blocking(move || messages.into_iter().map(read).collect());
        let texts = texts.await.map_err(|error| Error::bug(format!("reading texts: {error}")))?;
        Ok((texts, left))
    }
}

async fn take_out(database: &mut Database, mailbox: MailboxId, uids: &UidSet) -> Result<Step> {
    if uids.is_empty() {
        return Ok(Step::Done);
    }
    let there = database.places(mailbox, &uids.to_json(), STEP_GONE).await?;
    if there.is_empty() {
        return Ok(Step::Done);
    }
    database.take_places(mailbox, &there).await?;
    Ok(if there.len() as i64 == STEP_GONE { Step::More } else { Step::Done })
}

async fn open<'a>(
    indexes: &Indexes,
    account: AccountId,
    writing: &'a mut Writing,
) -> Result<&'a mut Database> {
    let lost = !indexes.files.exists(account);
    if lost || writing.as_ref().is_some_and(|(open, _)| *open != account) {
        close(writing).await;
    }
    if lost {
        indexes.forget(account);
    }
    match writing {
        Some((_, database)) => Ok(database),
        None => {
            let path = indexes.files.make(account)?;
            Ok(&mut writing.insert((account, Database::open(&path).await?)).1)
        }
    }
}

async fn close(writing: &mut Writing) {
    if let Some((_, database)) = writing.take() {
        database.close().await;
    }
}

/// Waits. Returns whether the store is closed meanwhile.
async fn is_over(changed: &mut watch::Receiver<Changed>, time: Duration) -> bool {
    let closed = changed.wait_for(|changed| *changed == Changed::Closed);
    tokio::time::timeout(time, closed).await.is_ok()
}

#[cfg(test)]
mod tests;
