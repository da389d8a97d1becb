//! Where messages are to go: which mailboxes are meant, and whether they may take them. All is read and checked before
//! anything is written.

use crate::error::{Error, Result};
use crate::flags::Keywords;
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::keyword::{self, Unknown};
use crate::package::{Filing, Package, Target};
use crate::quota::{Allowance, Quota, Space, Usage};
use crate::sending::Ledger;
use crate::special;
use crate::sql::{self, Row};
use crate::writer::Tx;
use std::collections::{HashMap, HashSet, VecDeque};

/// A mailbox that gets something, and its account, as the transaction has them.
pub(crate) struct Place {
    pub(crate) account: AccountId,
    account_name: String,
    append_limit: Option<u64>,
    allowance: Allowance,
    pub(crate) mailbox: MailboxId,
    kind: i64,
    name: String,
    pub(crate) uidvalidity: u32,
    /// Next UID.
    pub(crate) uidnext: i64,
    /// Of the account.
    pub(crate) modseq: ModSeq,
}

/// What is asked of a mailbox and its account.
macro_rules! columns {
    ($from:literal) => {
        concat!(
            "SELECT a.id, a.append_limit, m.id, m.kind, m.name, m.uidvalidity, m.uidnext, a.modseq, a.name, ",
            "a.quota_octets, a.quota_messages, a.used_octets, a.used_messages ",
            $from
        )
    };
}

const BY_NAME: &str = columns!(
    "FROM account a JOIN mailbox m ON m.id = coalesce(
        (SELECT id FROM mailbox WHERE account = a.id AND name = ?2 AND kind = 0),
        (SELECT id FROM mailbox WHERE account = a.id AND special_use = ?3 AND kind = 0),
        (SELECT id FROM mailbox WHERE account = a.id AND name = 'INBOX'))
    WHERE a.name = ?1"
);
const BY_NUMBER: &str = columns!("FROM mailbox m JOIN account a ON a.id = m.account WHERE m.id = ?1");

/// All mailboxes that are meant. What is not there is missing from the answer.
pub(crate) async fn find(tx: &mut Tx, groups: &[&[Package]]) -> Result<HashMap<Target, Place>> {
    special::provide(tx, groups).await?;
    let mut places = HashMap::new();
    let mut asked: HashSet<&Target> = HashSet::new();
    for filing in groups.iter().flat_map(|group| group.iter()).flat_map(|package| &package.filings) {
        if !asked.insert(&filing.target) {
            continue;
        }
        let query = match &filing.target {
            Target::Account(account, folder, special) => {
                sql::query(BY_NAME).bind(account.as_str()).bind(folder.as_deref()).bind(*special)
            }
            Target::Mailbox(id) => sql::query(BY_NUMBER).bind(id.0),
        };
        if let Some(row) = query.rows(&tx.connection)?.first() {
            places.insert(filing.target.clone(), read(row, tx.quota)?);
        }
    }
    Ok(places)
}

fn read(row: &Row, configured: Quota) -> Result<Place> {
    Ok(Place {
        account: AccountId(row.try_get(0)?),
        append_limit: row.try_get::<Option<i64>>(1)?.map(i64::unsigned_abs),
        mailbox: MailboxId(row.try_get(2)?),
        kind: row.try_get(3)?,
        name: row.try_get(4)?,
        uidvalidity: u32::try_from(row.try_get::<i64>(5)?).unwrap_or(u32::MAX),
        uidnext: row.try_get(6)?,
        modseq: row.try_get::<i64>(7)?.unsigned_abs(),
        account_name: row.try_get(8)?,
        allowance: Allowance::read(row, 9, configured)?,
    })
}

/// What is known of each group before anything is written: a refusal, or the keywords of its filings in order. And what
/// those that are taken come to for their senders.
pub(crate) async fn check(
    tx: &mut Tx,
    groups: &[&[Package]],
    places: &HashMap<Target, Place>,
) -> Result<(Vec<Result<VecDeque<Keywords>>>, Ledger)> {
    let mut checked: Vec<Result<VecDeque<Keywords>>> = Vec::with_capacity(groups.len());
    for group in groups {
        let mut filings = group.iter().flat_map(|package| package.filings.iter().map(move |f| (package, f)));
        let outcome = filings.try_for_each(|(package, filing)| check_filing(package, filing, places));
        checked.push(outcome.map(|()| VecDeque::new()));
    }
    find_keywords(tx, groups, places, &mut checked).await?;
    let mut ledger = Ledger::load(tx, groups).await?;
    let mut taken = HashMap::new();
    for (group, outcome) in groups.iter().zip(&mut checked).filter(|(_, outcome)| outcome.is_ok()) {
        let room = check_quota(group, places, &mut taken).and_then(|()| ledger.allows(group));
        match room.and_then(|()| check_queue(tx, group)) {
            Ok(()) => ledger.book(group),
            Err(refusal) => *outcome = Err(refusal),
        }
    }
    Ok((checked, ledger))
}

/// Takes the group's places in the queue.
fn check_queue(tx: &mut Tx, group: &[Package]) -> Result<()> {
    let jobs: u64 = group.iter().map(|package| package.jobs.len() as u64).sum();
    if jobs == 0 {
        return Ok(());
    }
    if tx.queued + jobs > tx.queue_max {
        return Err(Error::QueueFull { limit: tx.queue_max });
    }
    tx.queued += jobs;
    tx.effects.rings.queue = true;
    Ok(())
}

/// Takes the group's room in its accounts; `taken` is what those before it took.
fn check_quota(
    group: &[Package],
    places: &HashMap<Target, Place>,
    taken: &mut HashMap<AccountId, Usage>,
) -> Result<()> {
    let mut with = taken.clone();
    let mut limited: HashMap<AccountId, &Place> = HashMap::new();
    for package in group {
        for filing in &package.filings {
            let Some(place) = places.get(&filing.target) else { continue };
            let octets = package.body.size + filing.prefix.len() as u64;
            let sum = with.entry(place.account).or_default();
            *sum = sum.plus(Usage { octets, messages: 1 });
            if filing.space == Space::Needed && place.allowance.quota != Quota::default() {
                limited.insert(place.account, place);
            }
        }
    }
    for (account, place) in limited {
        let more = with.get(&account).copied().unwrap_or_default();
        if !place.allowance.has_room_for(more) {
            return Err(Error::OverQuota(place.account_name.clone()));
        }
    }
    *taken = with;
    Ok(())
}

fn check_filing(package: &Package, filing: &Filing, places: &HashMap<Target, Place>) -> Result<()> {
    let Some(place) = places.get(&filing.target) else {
        return Err(match &filing.target {
            Target::Account(name, ..) => Error::NoSuchAccount(name.clone()),
            Target::Mailbox(id) => Error::NoSuchMailbox(id.to_string()),
        });
    };
    if place.kind != 0 {
        return Err(Error::NotSelectable(place.name.clone()));
    }
    let size = package.body.size + filing.prefix.len() as u64;
    match (&filing.target, place.append_limit) {
        (Target::Mailbox(_), Some(limit)) if size > limit => Err(Error::TooLarge { limit }),
        _ => Ok(()),
    }
}

/// The bits of all filings; a refusal is noted for its group.
async fn find_keywords(
    tx: &mut Tx,
    groups: &[&[Package]],
    places: &HashMap<Target, Place>,
    checked: &mut [Result<VecDeque<Keywords>>],
) -> Result<()> {
    let mut wanted = Vec::new();
    let mut of_group = Vec::new();
    for (number, group) in groups.iter().enumerate().filter(|(number, _)| checked[*number].is_ok()) {
        for filing in group.iter().flat_map(|package| &package.filings) {
            let Some(place) = places.get(&filing.target) else { continue };
            wanted.push((place.mailbox, filing.keywords.as_slice()));
            of_group.push(number);
        }
    }
    let found = keyword::resolve(tx, &wanted, Unknown::Make).await?;
    for (outcome, number) in found.into_iter().zip(of_group) {
        match (&mut checked[number], outcome) {
            (Ok(keywords), Ok(bits)) => keywords.push_back(bits),
            (Ok(_), Err(refusal)) => checked[number] = Err(refusal),
            (Err(_), _) => {}
        }
    }
    Ok(())
}
