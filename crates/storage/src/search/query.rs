//! What is asked of the indexes: which messages may have a text, and their texts.

use super::{Indexes, Reader, lock};
use crate::body;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::sql;
use crate::store::Store;
use crate::uidset::UidSet;
use mail::mime::SearchText;
use rusqlite::{Connection, OptionalExtension, Rows};

/// Shorter texts, in characters, have no trigram, and so any message may have them.
pub const TERM_MIN: usize = 3;
/// Most trigrams of one term that are asked for; what they find is checked in any case.
const TRIGRAMS_MAX: usize = 24;
/// Most texts of one page, and octets after which it ends.
const PAGE: i64 = 1000;
const PAGE_OCTETS: usize = 4 * 1024 * 1024;
/// Largest text in octets that the index holds; messages with more have to be read.
const TEXT_MAX: usize = 4 * 1024 * 1024;
/// Smaller texts are not packed: to unpack them would cost more than to read them.
const PACK_MIN: usize = 4 * 1024;

/// Which messages of a mailbox may have texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    /// Messages with a UID up to this are in the index; all others may have any text.
    pub upto: Uid,
    /// For each term the messages that may have it; `None`: any.
    pub sets: Vec<Option<UidSet>>,
    /// Messages that have to be read, since the index cannot hold their text.
    pub unread: UidSet,
}

/// What the index of an account holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStatus {
    /// Messages that are in the index, and that there are.
    pub indexed: u64,
    pub messages: u64,
    /// Octets on disk.
    pub octets: u64,
}

/// Octets of a text, packed where that saves enough.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) size: usize,
    pub(super) packed: bool,
    pub(super) octets: Vec<u8>,
}

impl Stored {
    /// `None`: it is larger than the index holds.
    pub(super) fn pack(text: &SearchText) -> Result<Option<Self>> {
        if text.whole().len() > TEXT_MAX {
            return Ok(None);
        }
        let octets = text.encode();
        let packed = if octets.len() < PACK_MIN { None } else { body::pack(&octets)? };
        Ok(Some(Self { size: octets.len(), packed: packed.is_some(), octets: packed.unwrap_or(octets) }))
    }
}

/// Has a text looked at as it is stored. `None`: it is damaged, and the message has to be read.
fn open<T>(octets: &[u8], packed: bool, size: usize, look: impl FnOnce(&SearchText<&str>) -> T) -> Option<T> {
    if !packed {
        return SearchText::decode(octets).as_ref().map(look);
    }
    // A little more than the text: the lengths in front of it.
    let octets = body::unpack(octets, size.min(2 * TEXT_MAX) as u64).ok()?;
    SearchText::decode(&octets).as_ref().map(look)
}

impl Store {
    /// Which messages of the mailbox may have texts, that are folded as `mail::casemap` does it. `None`: there is no index, and
    /// every message has to be read.
    pub async fn search_candidates(&self, mailbox: MailboxId, terms: &[String]) -> Option<Candidates> {
        let terms = terms.to_vec();
        self.ask_index(mailbox, move |reader| candidates(reader, mailbox, &terms)).await
    }

    /// Has texts of messages of the mailbox looked at that are in the index, ascending by UID and where blocking is allowed; others
    /// are passed over. One page: go on with `uids.after(last)`. `None`: there is no index.
    pub async fn search_texts<T, L>(
        &self,
        mailbox: MailboxId,
        uids: &UidSet,
        look: L,
    ) -> Option<Vec<(Uid, T)>>
    where
        T: Send + 'static,
        L: FnMut(Uid, &SearchText<&str>) -> T + Send + 'static,
    {
        let uids = uids.to_json();
        self.ask_index(mailbox, move |reader| texts(reader, mailbox, &uids, look)).await
    }

    /// Asks the index where blocking is allowed. `None`: there is none.
    async fn ask_index<T, F>(&self, mailbox: MailboxId, question: F) -> Option<T>
    where
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
        T: Send + 'static,
    {
        let (account, reader) = self.reader_of(mailbox).await?;
        let held = reader.lock_owned().await;
        let asked = tokio::task::spawn_blocking(move || question(&held)).await;
        match asked.unwrap_or_else(|error| Err(Error::bug(format!("asking the index: {error}")))) {
            Ok(answer) => Some(answer),
            Err(error) => {
                self.indexes().is_damaged(account, &error);
                None
            }
        }
    }

    /// Has the index of an account made anew, in the background; also of a small account, that has none by itself.
    pub async fn rebuild_index(&self, account: AccountId) -> Result<()> {
        if !self.indexes().config.index {
            return Err(Error::NotAllowed("the configuration says storage { search { index #false } }"));
        }
        self.indexes().make_anew(account);
        Ok(())
    }

    pub async fn index_status(&self, account: AccountId) -> Result<IndexStatus> {
        let sql = "SELECT coalesce(sum(messages), 0) FROM mailbox WHERE account = ?1";
        let messages: i64 = sql::query_scalar(sql).bind(account.0).fetch_one(self.readers()).await?;
        let mut status = IndexStatus { messages: messages.unsigned_abs(), ..IndexStatus::default() };
        let indexes = self.indexes();
        if let Some(reader) = indexes.reader(account).await {
            let held = reader.lock_owned().await;
            let count = move || held.query_row("SELECT count(*) FROM place", [], |row| row.get::<_, i64>(0));
            let counted = tokio::task::spawn_blocking(count).await;
            match counted.map_err(|error| Error::bug(format!("asking the index: {error}")))? {
                Ok(indexed) => {
                    status.indexed = i64::unsigned_abs(indexed).min(status.messages);
                    status.octets = indexes.files.size(account);
                }
                Err(error) => indexes.is_damaged(account, &error.into()),
            }
        }
        Ok(status)
    }

    async fn reader_of(&self, mailbox: MailboxId) -> Option<(AccountId, Reader)> {
        let account = self.account_of(mailbox).await?;
        Some((account, self.indexes().reader(account).await?))
    }

    async fn account_of(&self, mailbox: MailboxId) -> Option<AccountId> {
        let indexes = self.indexes();
        if let Some(account) = lock(&indexes.accounts).get(&mailbox) {
            return Some(*account);
        }
        let sql = "SELECT account FROM mailbox WHERE id = ?1";
        let found: Option<Option<i64>> =
            sql::query_scalar(sql).bind(mailbox.0).fetch_optional(self.readers()).await.ok()?;
        let account = AccountId(found??);
        indexes.remember(mailbox, account);
        Some(account)
    }
}

impl Indexes {
    fn remember(&self, mailbox: MailboxId, account: AccountId) {
        let mut known = lock(&self.accounts);
        if known.len() >= super::KNOWN_MAX {
            known.clear();
        }
        known.insert(mailbox, account);
    }
}

fn candidates(reader: &Connection, mailbox: MailboxId, terms: &[String]) -> Result<Candidates> {
    const UPTO: &str = "SELECT uid FROM mailbox WHERE id = ?1";
    const UNREAD: &str = "SELECT p.uid FROM doc d CROSS JOIN place p \
        WHERE d.octets IS NULL AND p.content = d.id AND p.mailbox = ?1";
    const TERM: &str = "SELECT p.uid FROM trigrams t CROSS JOIN place p \
        WHERE t.trigrams MATCH ?2 AND p.content = t.rowid AND p.mailbox = ?1";
    // All answers are of one moment.
    let view = reader.unchecked_transaction()?;
    let upto = view.prepare_cached(UPTO)?.query_row([mailbox.0], |row| row.get(0)).optional()?;
    let unread = uids(&mut view.prepare_cached(UNREAD)?.query([mailbox.0])?)?;
    let mut sets = Vec::with_capacity(terms.len());
    for term in terms {
        sets.push(match trigrams(term) {
            None => None,
            Some(question) => Some(uids(&mut view.prepare_cached(TERM)?.query((mailbox.0, question))?)?),
        });
    }
    Ok(Candidates { upto: upto.unwrap_or(0), sets, unread })
}

fn uids(rows: &mut Rows<'_>) -> Result<UidSet> {
    let mut uids: Vec<Uid> = Vec::new();
    while let Some(row) = rows.next()? {
        uids.push(row.get(0)?);
    }
    Ok(uids.into_iter().collect())
}

/// Trigrams of the term, as a question to FTS5; `None` if it has none.
fn trigrams(term: &str) -> Option<String> {
    let chars: Vec<char> = term.chars().collect();
    let count = (chars.len() + 1).checked_sub(TERM_MIN).filter(|count| *count > 0)?;
    // Of a long term some, from all over it.
    let step = count.div_ceil(TRIGRAMS_MAX);
    let mut question = String::new();
    for three in chars.windows(TERM_MIN).step_by(step) {
        if !question.is_empty() {
            question.push_str(" AND ");
        }
        question.push('"');
        for c in three {
            question.push(*c);
            if *c == '"' {
                question.push('"');
            }
        }
        question.push('"');
    }
    Some(question)
}

fn texts<T>(
    reader: &Connection,
    mailbox: MailboxId,
    uids: &str,
    mut look: impl FnMut(Uid, &SearchText<&str>) -> T,
) -> Result<Vec<(Uid, T)>> {
    const SQL: &str = "
        SELECT p.uid, d.size, d.packed, d.octets FROM json_each(?2) r CROSS JOIN place p CROSS JOIN doc d
            WHERE p.mailbox = ?1 AND p.uid BETWEEN r.value ->> 0 AND r.value ->> 1
                AND d.id = p.content AND d.octets IS NOT NULL LIMIT ?3 + 0";
    let mut statement = reader.prepare_cached(SQL)?;
    let mut rows = statement.query((mailbox.0, uids, PAGE))?;
    let mut seen = Vec::new();
    let mut octets = 0;
    while octets < PAGE_OCTETS
        && let Some(row) = rows.next()?
    {
        let uid = row.get(0)?;
        let size: i64 = row.get(1)?;
        let stored = row.get_ref(3)?.as_blob()?;
        octets += stored.len();
        let size = usize::try_from(size).unwrap_or(0);
        seen.extend(open(stored, row.get(2)?, size, |text| look(uid, text)).map(|found| (uid, found)));
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions() {
        for (term, want) in [
            ("", None),
            ("ab", None),
            ("üß", None),
            ("abc", Some("\"abc\"")),
            ("a\"bc", Some("\"a\"\"b\" AND \"\"\"bc\"")),
            ("üßé1", Some("\"üßé\" AND \"ßé1\"")),
        ] {
            assert_eq!(trigrams(term).as_deref(), want, "{term}");
        }
        for len in [26, 27, 50, 1000] {
            let parts = trigrams(&"x".repeat(len)).unwrap().split(" AND ").count();
            assert!((12..=TRIGRAMS_MAX).contains(&parts), "{len}: {parts}");
        }
    }

    #[test]
    fn texts_come_back() {
        let octets = format!("A: b\r\n\r\n{}", "text ".repeat(9000)).into_bytes();
        let message = mail::Message::new(mail::Blob::from_bytes(octets));
        let parts = mail::mime::analyse(&mut message.reader()).unwrap().parts;
        let text = SearchText::read(&message, &parts, mail::mime::Extent::Whole).unwrap();
        let stored = Stored::pack(&text).unwrap().unwrap();
        assert!(stored.packed && stored.octets.len() < 1000);
        let again = |octets: &[u8]| open(octets, true, stored.size, |found| *found == text.view());
        assert_eq!((again(&stored.octets), again(&stored.octets[1..])), (Some(true), None));
    }
}
