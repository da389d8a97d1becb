//! Messages that come in, however they come: by SMTP, by APPEND, or made by us. Many are stored with the same few
//! statements, each over a set, so that the cost of a commit and of a statement is shared by all who wait.

use crate::body::{Hash, PLACE_FILE, PLACE_PLAIN, PLACE_ZSTD, Prepared, Stored};
use crate::error::{Error, Result};
use crate::flags::{Flags, Keywords};
use crate::ids::{AccountId, JobId, MailboxId, ModSeq, Uid, Unix};
use crate::keyword::{self, Unknown};
use crate::queue_row;
use crate::writer::Tx;
use mail::{Blob, Envelope};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::HashMap;
use std::io::Read;

/// Octets after which the rows so far are written, within the same transaction: SQLite takes no value of a gigabyte.
const ARENA_MAX: usize = 16 * 1024 * 1024;

/// A body, the mailboxes that get it, and the jobs that carry it further.
pub(crate) struct Package {
    pub(crate) body: Prepared,
    pub(crate) filings: Vec<Filing>,
    pub(crate) jobs: Vec<NewJob>,
}

pub(crate) struct Filing {
    pub(crate) target: Target,
    pub(crate) prefix: Vec<u8>,
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<String>,
    pub(crate) received: Unix,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// APPEND: the append limit of the account holds.
    Mailbox(MailboxId),
    /// Delivery: account, name of the mailbox, special use; whichever is there, else INBOX.
    Account(String, Option<String>, Option<&'static str>),
}

pub(crate) struct NewJob {
    pub(crate) mail_id: String,
    pub(crate) envelope: Envelope,
    pub(crate) prefix: Vec<u8>,
    pub(crate) arrived: Unix,
    pub(crate) due: Unix,
}

/// What one acceptance came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// As the filings.
    pub filed: Vec<Filed>,
    /// As the jobs.
    pub jobs: Vec<JobId>,
}

/// A message in its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filed {
    pub account: AccountId,
    pub mailbox: MailboxId,
    pub uidvalidity: u32,
    pub uid: Uid,
    pub modseq: ModSeq,
}

impl Package {
    /// About how much goes into the database.
    pub(crate) fn octets(&self) -> u64 {
        let filings: usize = self.filings.iter().map(|filing| filing.prefix.len() + 200).sum();
        let jobs: usize =
            self.jobs.iter().map(|job| job.prefix.len() + 200 * job.envelope.recipients.len()).sum();
        self.body.octets() + (filings + jobs) as u64
    }
}

/// A mailbox that gets something, and its account, as the transaction has them.
#[derive(Clone)]
struct Place {
    account: AccountId,
    append_limit: Option<u64>,
    mailbox: MailboxId,
    kind: i64,
    name: String,
    uidvalidity: u32,
}

/// What a mailbox gains.
#[derive(Default, Clone, Copy)]
struct Gain {
    uidnext: i64,
    messages: i64,
    unseen: i64,
    deleted: i64,
    size: u64,
}

/// Rows in the making, as JSON, and the octets they refer to.
#[derive(Default)]
struct Rows {
    bodies: Vec<Value>,
    octets: Vec<Value>,
    contents: Vec<Value>,
    messages: Vec<Value>,
    mailboxes: Vec<Value>,
    accounts: Vec<Value>,
    jobs: Vec<Value>,
    recipients: Vec<Value>,
    arena: Vec<u8>,
}

impl Rows {
    /// Puts octets into the arena; returns where, as SQL's `substr` counts.
    fn put(&mut self, octets: &[u8]) -> (usize, usize) {
        let at = self.arena.len() + 1;
        self.arena.extend_from_slice(octets);
        (at, octets.len())
    }

    fn put_blob(&mut self, blob: &Blob) -> Result<(usize, usize)> {
        let at = self.arena.len() + 1;
        match blob.as_memory() {
            Some(octets) => self.arena.extend_from_slice(octets),
            None => {
                blob.reader().read_to_end(&mut self.arena)?;
            }
        }
        Ok((at, self.arena.len() + 1 - at))
    }
}

/// Stores each group whole or not at all; a refusal of one does not touch the others. `Err` is trouble for all.
pub(crate) async fn store(tx: &mut Tx, groups: &[&[Package]]) -> Result<Vec<Result<Vec<Accepted>>>> {
    let places = find_places(tx, groups).await?;
    let mut checked = check(tx, groups, &places);
    let keywords = find_keywords(tx, groups, &places, &mut checked).await?;
    let hashes = groups.iter().flat_map(|group| group.iter()).map(|package| package.body.hash);
    let (mut bodies, mut last) = find_bodies(tx, hashes).await?;
    let mut state = State { tx, places: &places, keywords, gains: HashMap::new(), modseqs: HashMap::new() };
    state.begin().await?;
    let mut rows = Rows::default();
    let mut outcomes = Vec::with_capacity(groups.len());
    for (group, checked) in groups.iter().zip(checked) {
        if let Err(refusal) = checked {
            outcomes.push(Err(refusal));
            continue;
        }
        let mut accepted = Vec::with_capacity(group.len());
        for package in *group {
            let body = body_row(state.tx, &mut rows, package, &mut bodies, &mut last)?;
            let filed = state.file(&mut rows, package, body, &mut last)?;
            let jobs =
                package.jobs.iter().map(|job| queue(&mut rows, package, job, body, &mut last)).collect();
            accepted.push(Accepted { filed, jobs });
            if rows.arena.len() > ARENA_MAX {
                write(state.tx, std::mem::take(&mut rows), &last).await?;
            }
        }
        outcomes.push(Ok(accepted));
    }
    state.finish(&mut rows);
    write(tx, rows, &last).await?;
    Ok(outcomes)
}

/// The highest numbers given out so far.
struct Last {
    body: i64,
    content: i64,
    job: i64,
    recipient: i64,
}

/// One question for all mailboxes that are meant. What is not there is missing from the answer.
async fn find_places(tx: &mut Tx, groups: &[&[Package]]) -> Result<HashMap<Target, Place>> {
    const SQL: &str = "
        SELECT 0, t.key, a.id, a.append_limit, m.id, m.kind, m.name, m.uidvalidity
        FROM json_each(?1) t
        JOIN account a ON a.name = t.value ->> 0
        JOIN mailbox m ON m.id = coalesce(
            (SELECT id FROM mailbox WHERE account = a.id AND name = t.value ->> 1 AND kind = 0),
            (SELECT id FROM mailbox WHERE account = a.id AND special_use = t.value ->> 2 AND kind = 0),
            (SELECT id FROM mailbox WHERE account = a.id AND name = 'INBOX'))
        UNION ALL
        SELECT 1, t.key, a.id, a.append_limit, m.id, m.kind, m.name, m.uidvalidity
        FROM json_each(?2) t
        JOIN mailbox m ON m.id = t.value
        JOIN account a ON a.id = m.account";
    let mut targets: Vec<&Target> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for filing in groups.iter().flat_map(|group| group.iter()).flat_map(|package| &package.filings) {
        if seen.insert(&filing.target) {
            targets.push(&filing.target);
        }
    }
    if targets.is_empty() {
        return Ok(HashMap::new());
    }
    let (mut names, mut name_targets, mut ids, mut id_targets) = (vec![], vec![], vec![], vec![]);
    for target in targets {
        match target {
            Target::Account(account, folder, special) => {
                names.push(json!([account, folder, special]));
                name_targets.push(target);
            }
            Target::Mailbox(id) => {
                ids.push(id.0);
                id_targets.push(target);
            }
        }
    }
    let rows = sqlx::query(SQL)
        .bind(Value::Array(names).to_string())
        .bind(json!(ids).to_string())
        .fetch_all(&mut tx.connection)
        .await?;
    let mut places = HashMap::with_capacity(rows.len());
    for row in rows {
        let list = if row.try_get::<i64, _>(0)? == 0 { &name_targets } else { &id_targets };
        let key = usize::try_from(row.try_get::<i64, _>(1)?).unwrap_or(usize::MAX);
        let Some(target) = list.get(key) else { continue };
        let place = Place {
            account: AccountId(row.try_get(2)?),
            append_limit: row.try_get::<Option<i64>, _>(3)?.map(i64::unsigned_abs),
            mailbox: MailboxId(row.try_get(4)?),
            kind: row.try_get(5)?,
            name: row.try_get(6)?,
            uidvalidity: u32::try_from(row.try_get::<i64, _>(7)?).unwrap_or(u32::MAX),
        };
        places.insert((*target).clone(), place);
    }
    Ok(places)
}

/// Refuses what cannot be stored, before anything is written.
fn check(tx: &mut Tx, groups: &[&[Package]], places: &HashMap<Target, Place>) -> Vec<Result<()>> {
    let mut outcomes = Vec::with_capacity(groups.len());
    for group in groups {
        let jobs: u64 = group.iter().map(|package| package.jobs.len() as u64).sum();
        let filings = group.iter().flat_map(|package| package.filings.iter().map(move |f| (package, f)));
        let mut outcome = Ok(());
        for (package, filing) in filings {
            if let Err(refusal) = check_filing(package, filing, places) {
                outcome = Err(refusal);
                break;
            }
        }
        if outcome.is_ok() && jobs > 0 {
            if tx.queued + jobs > tx.queue_max {
                outcome = Err(Error::QueueFull { limit: tx.queue_max });
            } else {
                tx.queued += jobs;
                tx.effects.rings.queue = true;
            }
        }
        outcomes.push(outcome);
    }
    outcomes
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

/// The bits of all filings, in order. A refusal is noted for its group.
async fn find_keywords(
    tx: &mut Tx,
    groups: &[&[Package]],
    places: &HashMap<Target, Place>,
    checked: &mut [Result<()>],
) -> Result<std::vec::IntoIter<Keywords>> {
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
    for (outcome, number) in found.iter().zip(&of_group) {
        if let (Err(refusal), Ok(())) = (outcome, &checked[*number]) {
            checked[*number] = Err(refusal.clone());
        }
    }
    let keep = found.into_iter().zip(of_group).filter(|(_, number)| checked[*number].is_ok());
    Ok(keep.filter_map(|(outcome, _)| outcome.ok()).collect::<Vec<_>>().into_iter())
}

/// The bodies that are there already, and the numbers to go on from.
async fn find_bodies(tx: &mut Tx, hashes: impl Iterator<Item = Hash>) -> Result<(HashMap<Hash, i64>, Last)> {
    const SQL: &str = "
        SELECT '', id, hash FROM body WHERE hash IN (SELECT unhex(value) FROM json_each(?1))
        UNION ALL SELECT name, last, NULL FROM sequence";
    let list: Vec<String> = hashes.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()).collect();
    let rows = sqlx::query(SQL).bind(json!(list).to_string()).fetch_all(&mut tx.connection).await?;
    let mut bodies = HashMap::new();
    let mut last = Last { body: 0, content: 0, job: 0, recipient: 0 };
    for row in rows {
        let number: i64 = row.try_get(1)?;
        match row.try_get::<&str, _>(0)? {
            "" => {
                let hash = Hash::try_from(row.try_get::<&[u8], _>(2)?);
                bodies.insert(hash.map_err(|_| Error::corrupt("a hash of another length"))?, number);
            }
            "body" => last.body = number,
            "content" => last.content = number,
            "job" => last.job = number,
            "recipient" => last.recipient = number,
            _ => {}
        }
    }
    Ok((bodies, last))
}

/// The number of the package's body; its rows are made if it is new.
fn body_row(
    tx: &mut Tx,
    rows: &mut Rows,
    package: &Package,
    bodies: &mut HashMap<Hash, i64>,
    last: &mut Last,
) -> Result<i64> {
    let body = &package.body;
    if let Some(id) = bodies.get(&body.hash) {
        return Ok(*id);
    }
    last.body += 1;
    let id = last.body;
    bodies.insert(body.hash, id);
    let (place, file) = match &body.stored {
        Stored::Plain(blob) => {
            let (at, len) = rows.put_blob(blob)?;
            rows.octets.push(json!([id, at, len]));
            (PLACE_PLAIN, None)
        }
        Stored::Zstd(octets) => {
            let (at, len) = rows.put(octets);
            rows.octets.push(json!([id, at, len]));
            (PLACE_ZSTD, None)
        }
        Stored::File(guard) => {
            tx.effects.keep.push(guard.clone());
            (PLACE_FILE, Some(guard.name.as_str()))
        }
    };
    let hash = blake3::Hash::from_bytes(body.hash).to_hex();
    let envelope = rows.put(&body.shape.envelope);
    let structure = rows.put(&body.shape.bodystructure);
    let parts = rows.put(&body.shape.parts);
    rows.bodies.push(json!([
        id,
        hash.as_str(),
        body.size,
        place,
        file,
        envelope.0,
        envelope.1,
        structure.0,
        structure.1,
        parts.0,
        parts.1
    ]));
    Ok(id)
}

/// Where the set stands while it is laid out.
struct State<'t> {
    tx: &'t mut Tx,
    places: &'t HashMap<Target, Place>,
    /// Of the filings that are stored, in order.
    keywords: std::vec::IntoIter<Keywords>,
    gains: HashMap<MailboxId, Gain>,
    /// One mod-sequence per account for the whole set.
    modseqs: HashMap<AccountId, ModSeq>,
}

impl State<'_> {
    /// Reads where the mailboxes and accounts stand.
    async fn begin(&mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let ids: Vec<i64> = self.places.values().map(|place| place.mailbox.0).collect();
        let sql = "SELECT m.id, m.uidnext, a.id, a.modseq FROM json_each(?1) t \
                   JOIN mailbox m ON m.id = t.value JOIN account a ON a.id = m.account";
        let rows: Vec<(i64, i64, i64, i64)> =
            sqlx::query_as(sql).bind(json!(ids).to_string()).fetch_all(&mut self.tx.connection).await?;
        for (mailbox, uidnext, account, modseq) in rows {
            self.gains.insert(MailboxId(mailbox), Gain { uidnext, ..Gain::default() });
            self.modseqs.insert(AccountId(account), modseq.unsigned_abs() + 1);
        }
        Ok(())
    }

    /// Makes the rows of one package in its mailboxes.
    fn file(&mut self, rows: &mut Rows, package: &Package, body: i64, last: &mut Last) -> Result<Vec<Filed>> {
        let mut filed = Vec::with_capacity(package.filings.len());
        for filing in &package.filings {
            let lost = || Error::bug("a mailbox that was there is gone");
            let place = self.places.get(&filing.target).ok_or_else(lost)?;
            let gain = self.gains.get_mut(&place.mailbox).ok_or_else(lost)?;
            let modseq = *self.modseqs.get(&place.account).ok_or_else(lost)?;
            let keywords = self.keywords.next().ok_or_else(lost)?;
            let uid = Uid::try_from(gain.uidnext).map_err(|_| Error::TooMany {
                what: "messages in one mailbox",
                limit: u64::from(Uid::MAX),
            })?;
            let size = package.body.size + filing.prefix.len() as u64;
            last.content += 1;
            let (at, len) = rows.put(&filing.prefix);
            rows.contents.push(json!([last.content, body, at, len]));
            rows.messages.push(json!([
                place.mailbox.0,
                uid,
                modseq,
                filing.flags.bits(),
                keywords.bits().cast_signed(),
                filing.received,
                self.tx.now,
                size,
                last.content
            ]));
            gain.uidnext += 1;
            gain.messages += 1;
            gain.unseen += i64::from(!filing.flags.contains(Flags::SEEN));
            gain.deleted += i64::from(filing.flags.contains(Flags::DELETED));
            gain.size += size;
            let uidvalidity = place.uidvalidity;
            filed.push(Filed { account: place.account, mailbox: place.mailbox, uidvalidity, uid, modseq });
        }
        Ok(filed)
    }

    /// What mailboxes and accounts come to.
    fn finish(self, rows: &mut Rows) {
        let account_of: HashMap<MailboxId, AccountId> =
            self.places.values().map(|place| (place.mailbox, place.account)).collect();
        let mut touched = HashMap::new();
        for (mailbox, gain) in self.gains.iter().filter(|(_, gain)| gain.messages > 0) {
            let Some(account) = account_of.get(mailbox) else { continue };
            let modseq = self.modseqs.get(account).copied().unwrap_or_default();
            touched.insert(*account, modseq);
            rows.mailboxes.push(json!([
                mailbox.0,
                gain.uidnext,
                modseq,
                gain.messages,
                gain.unseen,
                gain.deleted,
                gain.size
            ]));
        }
        for (account, modseq) in touched {
            rows.accounts.push(json!([account.0, modseq]));
            self.tx.effects.ring(account, modseq);
        }
    }
}

/// Makes the rows of one job.
fn queue(rows: &mut Rows, package: &Package, job: &NewJob, body: i64, last: &mut Last) -> JobId {
    last.job += 1;
    let id = JobId(last.job);
    let prefix = rows.put(&job.prefix);
    let size = package.body.size + job.prefix.len() as u64;
    rows.jobs.push(queue_row::job(id, job, size, prefix, body));
    for recipient in &job.envelope.recipients {
        last.recipient += 1;
        rows.recipients.push(queue_row::recipient(last.recipient, id, recipient, job.due));
    }
    id
}

async fn write(tx: &mut Tx, mut rows: Rows, last: &Last) -> Result<()> {
    // No octets at all would be bound as NULL, and with it every empty prefix.
    if rows.arena.is_empty() {
        rows.arena.push(0);
    }
    // Each statement names ?1, or ?1 and ?2: sqlx numbers the parameters of a statement without gaps.
    const SQL: &str = "
        UPDATE sequence SET last = j.value ->> 1
            FROM json_each(?1, '$.sequences') j WHERE sequence.name = j.value ->> 0;
        INSERT INTO body (id, hash, size, place, file, envelope, bodystructure, parts)
            SELECT value ->> 0, unhex(value ->> 1), value ->> 2, value ->> 3, value ->> 4,
                substr(?2, value ->> 5, value ->> 6), substr(?2, value ->> 7, value ->> 8),
                substr(?2, value ->> 9, value ->> 10)
            FROM json_each(?1, '$.bodies');
        INSERT INTO body_octets (body, octets)
            SELECT value ->> 0, substr(?2, value ->> 1, value ->> 2) FROM json_each(?1, '$.octets');
        INSERT INTO content (id, body, prefix)
            SELECT value ->> 0, value ->> 1, substr(?2, value ->> 2, value ->> 3) FROM json_each(?1, '$.contents');
        INSERT INTO message (mailbox, uid, modseq, flags, keywords, received, saved, size, content)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8
            FROM json_each(?1, '$.messages');
        UPDATE mailbox SET uidnext = j.value ->> 1, modseq = j.value ->> 2,
                messages = messages + (j.value ->> 3), unseen = unseen + (j.value ->> 4),
                deleted = deleted + (j.value ->> 5), size = size + (j.value ->> 6)
            FROM json_each(?1, '$.mailboxes') j WHERE mailbox.id = j.value ->> 0;
        UPDATE account SET modseq = j.value ->> 1
            FROM json_each(?1, '$.accounts') j WHERE account.id = j.value ->> 0;
        INSERT INTO job (id, mail_id, sender, body_type, utf8, ret, envid, require_tls, arrived, size, prefix, body)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                value ->> 7, value ->> 8, value ->> 9, substr(?2, value ->> 10, value ->> 11), value ->> 12
            FROM json_each(?1, '$.jobs');
        INSERT INTO job_recipient (id, job, address, domain, notify, orcpt_kind, orcpt, state, due, lease,
                lease_until, attempts)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, 0,
                value ->> 7, 0, 0, 0
            FROM json_each(?1, '$.recipients');";
    let sequences = json!([
        ["body", last.body],
        ["content", last.content],
        ["job", last.job],
        ["recipient", last.recipient]
    ]);
    let lists = json!({
        "sequences": sequences,
        "bodies": rows.bodies,
        "octets": rows.octets,
        "contents": rows.contents,
        "messages": rows.messages,
        "mailboxes": rows.mailboxes,
        "accounts": rows.accounts,
        "jobs": rows.jobs,
        "recipients": rows.recipients,
    })
    .to_string();
    sqlx::query(SQL).bind(lists).bind(rows.arena).execute(&mut tx.connection).await?;
    Ok(())
}
