//! How much an account may keep (RFC 9208), and how much it does. What is used is counted by a trigger of the database
//! with the counters of the mailboxes, so that it is always true.

use crate::error::{Error, Result};
use crate::ids::AccountId;
use crate::sending::DailyLimits;
use crate::sql::{self, Row};
use crate::store::Store;
use crate::writer::Tx;
use rusqlite::Connection;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Limits that hold; `None`: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Octets of all messages together.
    pub octets: Option<u64>,
    pub messages: Option<u64>,
}

/// What an account has of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// What is configured for all.
    #[default]
    AsConfigured,
    Unlimited,
    At(u64),
}

/// The limits of one account, as they were set for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Octets of all messages together.
    pub octets: Limit,
    pub messages: Limit,
}

impl Limits {
    /// The columns `quota_octets, quota_messages` from `at` on.
    pub(crate) fn read(row: &Row, at: usize) -> Result<Self> {
        Ok(Self { octets: Limit::read(row.try_get(at)?), messages: Limit::read(row.try_get(at + 1)?) })
    }

    /// What holds for an account with these.
    pub(crate) fn applied(self, configured: Quota) -> Quota {
        Quota { octets: self.octets.or(configured.octets), messages: self.messages.or(configured.messages) }
    }
}

/// What mailboxes hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub octets: u64,
    pub messages: u64,
}

/// An account's limits and what it uses of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    pub limits: Limits,
    /// The limits that hold.
    pub quota: Quota,
    pub used: Usage,
}

/// Whether a quota may keep a message out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Space {
    /// There must be room for it.
    #[default]
    Needed,
    /// It is filed in any case: a notice about what its owner sent.
    Granted,
}

impl Limit {
    /// -1 stands for no limit, and nothing for what is configured.
    pub(crate) fn read(column: Option<i64>) -> Self {
        match column {
            None => Self::AsConfigured,
            Some(limit) => u64::try_from(limit).map_or(Self::Unlimited, Self::At),
        }
    }

    pub(crate) fn column(self) -> Option<i64> {
        match self {
            Self::AsConfigured => None,
            Self::Unlimited => Some(-1),
            Self::At(limit) => Some(i64::try_from(limit).unwrap_or(i64::MAX)),
        }
    }

    pub(crate) fn or(self, configured: Option<u64>) -> Option<u64> {
        match self {
            Self::AsConfigured => configured,
            Self::Unlimited => None,
            Self::At(limit) => Some(limit),
        }
    }
}

impl Usage {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            octets: self.octets.saturating_add(other.octets),
            messages: self.messages.saturating_add(other.messages),
        }
    }
}

impl Quota {
    /// Whether so much fits.
    pub fn allows(&self, usage: Usage) -> bool {
        self.octets.is_none_or(|limit| usage.octets <= limit)
            && self.messages.is_none_or(|limit| usage.messages <= limit)
    }
}

impl Allowance {
    /// From four columns: the limits for octets and messages, and what is used of each.
    pub(crate) fn read(row: &Row, at: usize, configured: Quota) -> Result<Self> {
        let limits = Limits::read(row, at)?;
        let used = Usage {
            octets: row.try_get::<i64>(at + 2)?.unsigned_abs(),
            messages: row.try_get::<i64>(at + 3)?.unsigned_abs(),
        };
        Ok(Self { limits, quota: limits.applied(configured), used })
    }

    /// Whether so much more fits.
    pub fn has_room_for(&self, more: Usage) -> bool {
        self.quota.allows(self.used.plus(more))
    }

    /// The same when so much is gone.
    #[must_use]
    pub fn without(self, gone: Usage) -> Self {
        let used = Usage {
            octets: self.used.octets.saturating_sub(gone.octets),
            messages: self.used.messages.saturating_sub(gone.messages),
        };
        Self { used, ..self }
    }

    /// Whether so much would fit if nothing else were there.
    pub fn could_hold(&self, more: Usage) -> bool {
        self.quota.allows(more)
    }
}

/// What is configured for accounts that have no limits of their own: how much they may keep, and send in a day.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    quota: Mutex<Quota>,
    sending: Mutex<DailyLimits>,
}

impl Configured {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { quota: Mutex::new(quota), sending: Mutex::default() }
    }

    pub(crate) fn get(&self) -> Quota {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, quota: Quota) {
        *self.quota.lock().unwrap_or_else(PoisonError::into_inner) = quota;
    }

    pub(crate) fn sending(&self) -> DailyLimits {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_sending(&self, limits: DailyLimits) {
        *self.sending.lock().unwrap_or_else(PoisonError::into_inner) = limits;
    }
}

impl Store {
    /// From now on these limits hold for accounts that have none of their own.
    pub fn set_configured_quota(&self, quota: Quota) {
        self.configured_quota().set(quota);
    }

    /// Whether one of these accounts is known to have no limits. `false`: that has to be looked up ([`Store::allowances`]).
    pub fn has_unlimited(&self, names: &[String]) -> bool {
        self.known().has_unlimited(names, self.configured_quota().get())
    }

    /// The limits of accounts by name, and what they use; names that are no accounts are missing.
    pub async fn allowances(&self, names: &[String]) -> Result<HashMap<String, Allowance>> {
        let sql = "SELECT name, quota_octets, quota_messages, used_octets, used_messages FROM account \
                   WHERE name IN (SELECT value FROM json_each(?1))";
        let rows = sql::query(sql).bind(json!(names).to_string()).fetch_all(self.readers()).await?;
        let configured = self.configured_quota().get();
        rows.iter().map(|row| Ok((row.try_get(0)?, Allowance::read(row, 1, configured)?))).collect()
    }

    /// The limits of one account, and what it uses.
    pub async fn allowance(&self, account: AccountId) -> Result<Allowance> {
        let configured = self.configured_quota().get();
        self.readers().read(move |connection| allowance(connection, account, configured)).await
    }

    /// Sets the limits of an account. What is there already stays, even if it is more.
    pub async fn set_limits(&self, name: &str, limits: Limits) -> Result<()> {
        let name = name.to_owned();
        self.write(0, move |tx| {
            Box::pin(async move {
                let sql = "UPDATE account SET quota_octets = ?2, quota_messages = ?3 WHERE name = ?1";
                let query = sql::query(sql).bind(name.clone());
                let query = query.bind(limits.octets.column()).bind(limits.messages.column());
                match query.execute(&mut tx.connection).await?.rows_affected() {
                    0 => Err(Error::NoSuchAccount(name)),
                    _ => {
                        tx.effects.accounts = true;
                        Ok(())
                    }
                }
            })
        })
        .await
    }
}

fn allowance(connection: &Connection, account: AccountId, configured: Quota) -> Result<Allowance> {
    let sql = "SELECT quota_octets, quota_messages, used_octets, used_messages FROM account WHERE id = ?1";
    let rows = sql::query(sql).bind(account.0).rows(connection)?;
    Allowance::read(rows.first().ok_or_else(|| Error::NoSuchAccount(account.to_string()))?, 0, configured)
}

/// Refuses what is more than the account may keep. To be asked in the transaction that adds it.
pub(crate) async fn check(tx: &mut Tx, account: AccountId, more: Usage) -> Result<()> {
    let allowance = allowance(&tx.connection, account, tx.quota)?;
    if allowance.has_room_for(more) {
        return Ok(());
    }
    let sql = "SELECT name FROM account WHERE id = ?1";
    let name = sql::query_scalar(sql).bind(account.0).fetch_one(&mut tx.connection).await?;
    Err(Error::OverQuota(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_to_the_last_octet() {
        let quota = Quota { octets: Some(10), messages: Some(2) };
        for (octets, messages, want) in
            [(0, 0, true), (10, 2, true), (11, 1, false), (1, 3, false), (u64::MAX, u64::MAX, false)]
        {
            assert_eq!(quota.allows(Usage { octets, messages }), want, "{octets} {messages}");
        }
        assert!(Quota::default().allows(Usage { octets: u64::MAX, messages: u64::MAX }));
        let allowance = Allowance { quota, used: Usage { octets: 8, messages: 1 }, ..Allowance::default() };
        assert!(allowance.has_room_for(Usage { octets: 2, messages: 1 }));
        assert!(!allowance.has_room_for(Usage { octets: 3, messages: 1 }));
        assert!(
            allowance
                .without(Usage { octets: 1, messages: 0 })
                .has_room_for(Usage { octets: 3, messages: 1 })
        );
        assert_eq!(allowance.without(Usage { octets: 9, messages: 9 }).used, Usage::default());
        assert!(allowance.could_hold(Usage { octets: 3, messages: 1 }));
    }

    #[test]
    fn own_limits_come_before_configured_ones() {
        for (limit, column) in
            [(Limit::AsConfigured, None), (Limit::Unlimited, Some(-1)), (Limit::At(5), Some(5))]
        {
            assert_eq!(limit.column(), column);
            assert_eq!(Limit::read(column), limit);
        }
        assert_eq!(Limit::AsConfigured.or(Some(3)), Some(3));
        assert_eq!(Limit::Unlimited.or(Some(3)), None);
        assert_eq!(Limit::At(0).or(None), Some(0));
    }
}
