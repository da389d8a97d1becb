//! What each sender sends within a day, and to whom for the first time: a stolen password is good for so much and no more.
//!
//! It is counted by the transaction that takes the message, so that neither a restart nor a crash makes it less. Days are
//! those of UTC. Who was written to before is remembered as a hash, for a bounded number of addresses of each sender.

use crate::error::{Error, Result};
use crate::ids::Unix;
use crate::package::Package;
use crate::quota::Limit;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Most addresses that are remembered of one sender; those written to longest ago go first.
pub const KNOWN_MAX: i64 = 20_000;
/// How many more go at once, so that not each message is one of housekeeping.
const KNOWN_SLACK: i64 = 1000;
/// When an address was last written to is noted no more exactly than this, in days.
const USED_WITHIN: i64 = 7;
/// Days after which a sender that sends nothing and has no limits of its own is forgotten.
const IDLE_DAYS: i64 = 400;
/// Most senders that one listing has.
pub const SENDERS_SHOWN_MAX: i64 = 10_000;
const DAY: i64 = 24 * 3600;

/// What may be sent in a day; `None`: there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DailyLimits {
    pub messages: Option<u64>,
    /// Recipients to whom the sender never wrote before.
    pub new_recipients: Option<u64>,
}

/// Limits that were set for one sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnLimits {
    pub messages: Limit,
    pub new_recipients: Limit,
}

/// What a message counts for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// It is one more of this sender's, for these recipients (keys of addresses).
    Sent { sender: String, recipients: Vec<String> },
    /// It tells of a limit that was reached: at most one such message a day is taken.
    Notice { sender: String },
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    Messages,
    NewRecipients,
}

/// A limit that a message would have gone beyond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub sender: String,
    pub counted: Counted,
    pub limit: u64,
    /// When the day is over.
    pub until: Unix,
}

/// How a sender stands today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub sender: String,
    pub own: OwnLimits,
    /// The limits that hold.
    pub limits: DailyLimits,
    pub messages: u64,
    pub new_recipients: u64,
    /// Addresses that are remembered.
    pub known: u64,
    /// When the day is over.
    pub until: Unix,
    /// Its owner was told today that a limit was reached.
    pub is_told: bool,
}

/// A row of `sender`.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    own: OwnLimits,
    day: i64,
    messages: i64,
    new_recipients: i64,
    told: i64,
    known: i64,
}

const COLUMNS: &str =
    "s.name, s.limit_messages, s.limit_new, s.day, s.messages, s.new_recipients, s.told, s.known";

impl Account {
    /// From the columns behind the name; the counts of another day are none.
    fn read(row: &Row, today: i64) -> Result<Self> {
        let own = OwnLimits {
            messages: Limit::read(row.try_get(1)?),
            new_recipients: Limit::read(row.try_get(2)?),
        };
        let day: i64 = row.try_get(3)?;
        let (messages, new_recipients) =
            if day == today { (row.try_get(4)?, row.try_get(5)?) } else { (0, 0) };
        let (told, known) = (row.try_get(6)?, row.try_get(7)?);
        Ok(Self { own, day: today, messages, new_recipients, told, known })
    }

    fn limits(&self, configured: DailyLimits) -> DailyLimits {
        DailyLimits {
            messages: self.own.messages.or(configured.messages),
            new_recipients: self.own.new_recipients.or(configured.new_recipients),
        }
    }

    fn standing(self, sender: String, configured: DailyLimits, today: i64) -> Standing {
        Standing {
            sender,
            own: self.own,
            limits: self.limits(configured),
            messages: self.messages.unsigned_abs(),
            new_recipients: self.new_recipients.unsigned_abs(),
            known: self.known.unsigned_abs(),
            until: (today + 1) * DAY,
            is_told: self.told == today,
        }
    }
}

/// The day of a time.
fn day(now: Unix) -> i64 {
    now.div_euclid(DAY)
}

/// What is kept of an address.
fn digest(key: &str) -> i64 {
    let hash = blake3::hash(key.as_bytes());
    hash.as_bytes().first_chunk().map_or(0, |octets| i64::from_le_bytes(*octets))
}

/// The counts of all senders that a set of messages counts for, while the set is laid out.
#[derive(Default)]
pub(crate) struct Ledger {
    today: i64,
    configured: DailyLimits,
    senders: BTreeMap<String, Account>,
    /// Addresses that are remembered, among those asked for, and when each was last written to.
    known: HashMap<(String, i64), i64>,
    changed: HashSet<String>,
    written_to: Vec<(String, i64)>,
}

impl Ledger {
    /// Reads what the charges of these groups need: one question, and none where there are no charges.
    pub(crate) async fn load(tx: &mut Tx, groups: &[&[Package]]) -> Result<Self> {
        let mut ledger = Self { today: day(tx.now), configured: tx.sending, ..Self::default() };
        let mut wanted: Vec<Value> = Vec::new();
        for charge in charges(groups) {
            match charge {
                Charge::Sent { sender, recipients } => {
                    wanted.extend(recipients.iter().map(|key| json!([sender, digest(key)])));
                }
                Charge::Notice { sender } => wanted.push(json!([sender, null])),
            }
        }
        if wanted.is_empty() {
            return Ok(ledger);
        }
        let sql = format!(
            "SELECT {COLUMNS}, k.recipient, k.used FROM json_each(?1) t CROSS JOIN sender s ON s.name = t.value ->> 0 \
             LEFT JOIN known_recipient k ON k.sender = s.id AND k.recipient = t.value ->> 1"
        );
        let query = sql::query(sql).bind(Value::Array(wanted).to_string());
        for row in query.fetch_all(&mut tx.connection).await? {
            let name: String = row.try_get(0)?;
            if let Some(recipient) = row.try_get::<Option<i64>>(8)? {
                ledger.known.insert((name.clone(), recipient), row.try_get(9)?);
            }
            let account = Account::read(&row, ledger.today)?;
            ledger.senders.entry(name).or_insert(account);
        }
        Ok(ledger)
    }

    /// Whether a group may be sent, with those before it.
    pub(crate) fn allows(&self, group: &[Package]) -> Result<()> {
        for charge in group.iter().filter_map(|package| package.charge.as_ref()) {
            let (sender, recipients) = match charge {
                Charge::Sent { sender, recipients } => (sender, recipients),
                Charge::Notice { sender } if self.account(sender).told == self.today => {
                    return Err(Error::ToldBefore);
                }
                Charge::Notice { .. } => continue,
            };
            let account = self.account(sender);
            let limits = account.limits(self.configured);
            let fresh = self.fresh(sender, recipients).len() as u64;
            let exceeded = |counted, limit| {
                let until = (self.today + 1) * DAY;
                Err(Error::SendingLimit(Exceeded { sender: sender.clone(), counted, limit, until }))
            };
            if let Some(limit) = limits.messages
                && account.messages.unsigned_abs() >= limit
            {
                return exceeded(Counted::Messages, limit);
            }
            if let Some(limit) = limits.new_recipients
                && fresh > 0
                && account.new_recipients.unsigned_abs() + fresh > limit
            {
                return exceeded(Counted::NewRecipients, limit);
            }
        }
        Ok(())
    }

    /// Counts a group that is taken.
    pub(crate) fn book(&mut self, group: &[Package]) {
        for charge in group.iter().filter_map(|package| package.charge.as_ref()) {
            let (Charge::Sent { sender, .. } | Charge::Notice { sender }) = charge;
            let mut account = self.account(sender);
            match charge {
                Charge::Notice { .. } => account.told = self.today,
                Charge::Sent { recipients, .. } => {
                    let fresh = self.fresh(sender, recipients);
                    account.messages += 1;
                    account.new_recipients += fresh.len() as i64;
                    account.known += fresh.len() as i64;
                    for key in recipients {
                        let at = (sender.clone(), digest(key));
                        let used = self.known.insert(at.clone(), self.today);
                        if used.is_none_or(|used| (self.today - used).abs() >= USED_WITHIN) {
                            self.written_to.push(at);
                        }
                    }
                }
            }
            self.senders.insert(sender.clone(), account);
            self.changed.insert(sender.clone());
        }
    }

    fn account(&self, sender: &str) -> Account {
        self.senders.get(sender).copied().unwrap_or(Account {
            day: self.today,
            told: -1,
            ..Account::default()
        })
    }

    /// Those to whom the sender has never written.
    fn fresh(&self, sender: &str, recipients: &[String]) -> HashSet<i64> {
        let digests = recipients.iter().map(|key| digest(key));
        digests.filter(|at| !self.known.contains_key(&(sender.to_owned(), *at))).collect()
    }

    /// Writes what was counted.
    pub(crate) async fn write(mut self, tx: &mut Tx) -> Result<()> {
        if self.changed.is_empty() {
            return Ok(());
        }
        const SQL: &str = "
        INSERT INTO sender (name, day, messages, new_recipients, told, known)
            SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
            FROM json_each(?1, '$.senders') WHERE true
            ON CONFLICT (name) DO UPDATE SET day = excluded.day, messages = excluded.messages,
                new_recipients = excluded.new_recipients, told = excluded.told, known = excluded.known;
        INSERT INTO known_recipient (sender, recipient, used)
            SELECT s.id, t.value ->> 1, t.value ->> 2
            FROM json_each(?1, '$.known') t JOIN sender s ON s.name = t.value ->> 0 WHERE true
            ON CONFLICT (sender, recipient) DO UPDATE SET used = excluded.used;
        DELETE FROM sender WHERE day < ?1 ->> '$.idle' AND limit_messages IS NULL AND limit_new IS NULL;";
        let mut crowded = Vec::new();
        for name in &self.changed {
            let Some(account) = self.senders.get_mut(name) else { continue };
            if account.known > KNOWN_MAX {
                let gone = account.known - KNOWN_MAX + KNOWN_SLACK;
                account.known -= gone;
                crowded.push((name.clone(), gone));
            }
        }
        let changed = self.senders.iter().filter(|(name, _)| self.changed.contains(*name));
        let senders: Vec<Value> = changed
            .map(|(name, a)| json!([name, a.day, a.messages, a.new_recipients, a.told, a.known]))
            .collect();
        let known: Vec<Value> =
            self.written_to.iter().map(|(name, at)| json!([name, at, self.today])).collect();
        let lists = json!({ "senders": senders, "known": known, "idle": self.today - IDLE_DAYS }).to_string();
        sql::query(SQL).bind(lists).execute(&mut tx.connection).await?;
        for (sender, count) in crowded {
            forget_oldest(tx, sender, count).await?;
        }
        Ok(())
    }
}

async fn forget_oldest(tx: &mut Tx, sender: String, count: i64) -> Result<()> {
    let sql = "DELETE FROM known_recipient WHERE sender = (SELECT id FROM sender WHERE name = ?1) AND recipient IN \
               (SELECT recipient FROM known_recipient WHERE sender = (SELECT id FROM sender WHERE name = ?1) \
               ORDER BY used LIMIT ?2 + 0)";
    sql::query(sql).bind(sender).bind(count).execute(&mut tx.connection).await?;
    Ok(())
}

fn charges<'a>(groups: &'a [&[Package]]) -> impl Iterator<Item = &'a Charge> {
    groups.iter().flat_map(|group| group.iter()).filter_map(|package| package.charge.as_ref())
}

impl Store {
    /// From now on these limits hold for senders that have none of their own.
    pub fn set_configured_sending(&self, limits: DailyLimits) {
        self.configured_quota().set_sending(limits);
    }

    /// How a sender stands today; one that was never heard of has sent nothing.
    pub async fn sending(&self, sender: &str) -> Result<Standing> {
        let (today, configured) = (day(self.world().clock.unix()), self.configured_quota().sending());
        let sql = format!("SELECT {COLUMNS} FROM sender s WHERE s.name = ?1");
        let query = sql::query(sql).bind(sender.to_owned());
        let row = query.fetch_optional(self.readers()).await?;
        let account = row.map(|row| Account::read(&row, today)).transpose()?;
        let account = account.unwrap_or(Account { told: -1, ..Account::default() });
        Ok(account.standing(sender.to_owned(), configured, today))
    }

    /// All senders that are remembered, by name; the first [`SENDERS_SHOWN_MAX`].
    pub async fn sendings(&self) -> Result<Vec<Standing>> {
        let (today, configured) = (day(self.world().clock.unix()), self.configured_quota().sending());
        let sql = format!("SELECT {COLUMNS} FROM sender s ORDER BY s.name LIMIT ?1 + 0");
        let query = sql::query(sql).bind(SENDERS_SHOWN_MAX);
        let rows = query.fetch_all(self.readers()).await?;
        rows.iter()
            .map(|row| Ok(Account::read(row, today)?.standing(row.try_get(0)?, configured, today)))
            .collect()
    }

    /// To how many of these (keys of addresses) the sender has never written.
    pub async fn new_recipients(&self, sender: &str, recipients: &[String]) -> Result<u64> {
        let digests: HashSet<i64> = recipients.iter().map(|key| digest(key)).collect();
        // In this order, or the list is read once for each address that is remembered.
        let sql = "SELECT count(*) FROM json_each(?2) t CROSS JOIN sender s ON s.name = ?1 \
                   CROSS JOIN known_recipient k ON k.sender = s.id AND k.recipient = t.value";
        let query = sql::query_scalar(sql).bind(sender.to_owned()).bind(json!(digests).to_string());
        let known: i64 = query.fetch_one(self.readers()).await?;
        Ok((digests.len() as u64).saturating_sub(known.unsigned_abs()))
    }

    /// Limits of a sender's own, in place of those that it had.
    pub async fn set_sending_limits(&self, sender: &str, own: OwnLimits) -> Result<()> {
        let sender = sender.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "INSERT INTO sender (name, limit_messages, limit_new, day, messages, new_recipients, \
                           told, known) VALUES (?1, ?2, ?3, ?4, 0, 0, -1, 0) ON CONFLICT (name) DO UPDATE SET \
                           limit_messages = excluded.limit_messages, limit_new = excluded.limit_new";
                let query = sql::query(sql).bind(sender).bind(own.messages.column());
                let query = query.bind(own.new_recipients.column()).bind(day(tx.now));
                query.execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }

    /// What a sender has sent today counts no more, and its owner may be told anew.
    pub async fn reset_sending(&self, sender: &str) -> Result<()> {
        let sender = sender.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE sender SET messages = 0, new_recipients = 0, told = -1 WHERE name = ?1";
                sql::query(sql).bind(sender).execute(&mut tx.connection).await?;
                Ok(())
            })
        })
        .await
    }
}

/// A sender that is gone: whoever gets its name begins anew.
pub(crate) async fn forget(tx: &mut Tx, sender: &str) -> Result<()> {
    sql::query("DELETE FROM sender WHERE name = ?1")
        .bind(sender.to_owned())
        .execute(&mut tx.connection)
        .await?;
    Ok(())
}

/// A sender that has another name now.
pub(crate) async fn rename(tx: &mut Tx, sender: &str, to: &str) -> Result<()> {
    forget(tx, to).await?;
    let query = sql::query("UPDATE sender SET name = ?2 WHERE name = ?1");
    query.bind(sender.to_owned()).bind(to.to_owned()).execute(&mut tx.connection).await?;
    Ok(())
}
