//! What each message asks of accounts: whether they are there, and whether they have limits. Kept in memory until an account changes,
//! so that a message for somebody whose mail comes all the time asks the database nothing.

use crate::quota::{Limits, Quota};
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most accounts that are kept; then it begins anew. Who is no account is not kept: strangers could fill it.
const ACCOUNTS_MAX: usize = 10_000;

/// Accounts by name.
#[derive(Default)]
pub(crate) struct Known {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Grows with each change of accounts: what was read before is not kept after.
    generation: u64,
    accounts: HashMap<String, Limits>,
    /// The oldest, if it was asked for.
    first: Option<String>,
}

/// Until when an answer of the database may be kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Known {
    /// To be taken before the database is read.
    pub(crate) fn generation(&self) -> Generation {
        Generation(self.lock().generation)
    }

    /// Those of `names` that are accounts, if that is known of all.
    pub(crate) fn all_of(&self, names: &[String]) -> Option<HashSet<String>> {
        let inner = self.lock();
        names.iter().all(|name| inner.accounts.contains_key(name)).then(|| names.iter().cloned().collect())
    }

    /// Whether one of them is known to have no limit.
    pub(crate) fn has_unlimited(&self, names: &[String], configured: Quota) -> bool {
        let inner = self.lock();
        let mut limits = names.iter().filter_map(|name| inner.accounts.get(name));
        limits.any(|limits| limits.applied(configured) == Quota::default())
    }

    pub(crate) fn first(&self) -> Option<String> {
        self.lock().first.clone()
    }

    pub(crate) fn keep(&self, read: Generation, found: impl IntoIterator<Item = (String, Limits)>) {
        let mut inner = self.lock();
        if Generation(inner.generation) != read {
            return;
        }
        for (name, limits) in found {
            if inner.accounts.len() >= ACCOUNTS_MAX {
                inner.accounts.clear();
            }
            inner.accounts.insert(name, limits);
        }
    }

    pub(crate) fn keep_first(&self, read: Generation, name: &str) {
        let mut inner = self.lock();
        if Generation(inner.generation) == read {
            inner.first = Some(name.to_owned());
        }
    }

    /// An account has come, has gone, or has other limits.
    pub(crate) fn forget(&self) {
        let mut inner = self.lock();
        *inner = Inner { generation: inner.generation + 1, ..Inner::default() };
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::Limit;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept() {
        let known = Known::default();
        let read = known.generation();
        known.keep(read, [("a".to_owned(), Limits::default())]);
        assert!(known.all_of(&names(&["a"])).is_some());
        assert!(known.all_of(&names(&["a", "b"])).is_none(), "b has to be looked up");
        known.forget();
        assert!(known.all_of(&names(&["a"])).is_none());
        known.keep(read, [("a".to_owned(), Limits::default())]);
        known.keep_first(read, "a");
        assert!(known.all_of(&names(&["a"])).is_none() && known.first().is_none());
    }

    #[test]
    fn only_who_has_no_limit_at_all_is_unlimited() {
        let known = Known::default();
        let tight = Limits { octets: Limit::At(5), messages: Limit::AsConfigured };
        let free = Limits { octets: Limit::Unlimited, messages: Limit::Unlimited };
        let all = [("usual", Limits::default()), ("tight", tight), ("free", free)];
        known.keep(known.generation(), all.map(|(name, limits)| (name.to_owned(), limits)));
        let configured = Quota { octets: Some(1), messages: None };
        for (asked, at, want) in [
            (&["usual"][..], Quota::default(), true),
            (&["usual"], configured, false),
            (&["tight"], Quota::default(), false),
            (&["tight", "free"], configured, true),
            (&["stranger"], Quota::default(), false),
        ] {
            assert_eq!(known.has_unlimited(&names(asked), at), want, "{asked:?}");
        }
    }

    #[test]
    fn there_is_an_end_to_what_is_kept() {
        let known = Known::default();
        let many = (0..ACCOUNTS_MAX + 5).map(|n| (n.to_string(), Limits::default()));
        known.keep(known.generation(), many);
        assert_eq!(known.lock().accounts.len(), 5);
    }
}
