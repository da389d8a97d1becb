//! Counts how connections to other servers fared, for those who want to hear of it (RFC 8460 §4).

use crate::owed::Sending;
use crate::tls_report::Reporter;
use mail::Domain;
use policy::report::compose::to_text;
use policy::tlsrpt::{Applied, Failure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use storage::TlsSeen;

/// Kinds of outcomes that are counted in memory until they go to the database; more are not counted.
const KINDS_MAX: usize = 10_000;
const DAY: i64 = 24 * 3600;

/// Counts. Cloning is cheap.
#[derive(Clone, Default)]
pub struct TlsCounters {
    inner: Arc<Counting>,
}

#[derive(Default)]
struct Counting {
    on: AtomicBool,
    reporter: Mutex<Option<Reporter>>,
    kinds: Mutex<HashMap<Kind, u64>>,
}

#[derive(PartialEq, Eq, Hash)]
struct Kind {
    day: i64,
    domain: Domain,
    applied: Arc<Applied>,
    failure: Option<Failure>,
}

impl TlsCounters {
    /// Whether connections are counted, and who tells of them.
    pub fn set(&self, sending: Sending, reporter: Reporter) {
        self.inner.on.store(sending == Sending::On, Ordering::Relaxed);
        *self.inner.reporter.lock().unwrap_or_else(PoisonError::into_inner) = Some(reporter);
    }

    pub(crate) fn reporter(&self) -> Option<Reporter> {
        self.inner.reporter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts a connection for mail to a domain; without `failure` it was as the policy wants it. `now` in seconds since 1970.
    pub(crate) fn count(&self, domain: &Domain, applied: &Arc<Applied>, failure: Option<Failure>, now: i64) {
        if !self.inner.on.load(Ordering::Relaxed) {
            return;
        }
        let day = now.div_euclid(DAY);
        let kind = Kind { day, domain: domain.clone(), applied: applied.clone(), failure };
        let mut kinds = self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() < KINDS_MAX || kinds.contains_key(&kind) {
            let count = kinds.entry(kind).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// All counts so far, as rows; they begin anew.
    pub(crate) fn take(&self) -> Vec<TlsSeen> {
        let kinds = std::mem::take(&mut *self.inner.kinds.lock().unwrap_or_else(PoisonError::into_inner));
        let row = |(kind, count): (Kind, u64)| TlsSeen {
            day: kind.day,
            domain: kind.domain.to_string(),
            policy: to_text(kind.applied.as_ref()),
            detail: kind.failure.map_or_else(String::new, |failure| to_text(&failure)),
            count,
        };
        kinds.into_iter().map(row).collect()
    }
}
