//! When reports that could not be handed over are tried again, and who has them already.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wait after the first failure, in seconds; each wait is twice the one before (RFC 8460 §5.5).
const WAIT_FIRST: i64 = 15 * 60;
const WAIT_MAX: i64 = 4 * 3600;
/// Most reports that are remembered. Of others the next start remembers nothing either.
const REPORTS_MAX: usize = 10_000;

/// A report: the day that it is about, in days since 1970, and the domain.
pub(crate) type Key = (i64, String);

#[derive(Default)]
struct Pending {
    /// Seconds since 1970.
    next: i64,
    wait: i64,
    /// Readers who have it.
    served: Vec<String>,
}

/// Reports that wait.
#[derive(Default)]
pub(crate) struct Retries(Mutex<HashMap<Key, Pending>>);

impl Retries {
    /// Whether a report is to be tried at `now`.
    pub(crate) fn is_due(&self, report: &Key, now: i64) -> bool {
        // A clock that was set back makes nobody wait for longer than the longest wait.
        self.all().get(report).is_none_or(|pending| now >= pending.next || now < pending.next - WAIT_MAX)
    }

    pub(crate) fn has_served(&self, report: &Key, reader: &str) -> bool {
        self.all().get(report).is_some_and(|pending| pending.served.iter().any(|one| one == reader))
    }

    /// A reader has the report, and gets no second one, which might be counted twice.
    pub(crate) fn serve(&self, report: &Key, reader: &str) {
        let mut all = self.all();
        if all.len() < REPORTS_MAX || all.contains_key(report) {
            all.entry(report.clone()).or_default().served.push(reader.to_owned());
        }
    }

    /// Somebody has not got it yet.
    pub(crate) fn put_off(&self, report: &Key, now: i64) {
        let mut all = self.all();
        if all.len() < REPORTS_MAX || all.contains_key(report) {
            let pending = all.entry(report.clone()).or_default();
            pending.wait = (pending.wait * 2).clamp(WAIT_FIRST, WAIT_MAX);
            pending.next = now + pending.wait;
        }
    }

    /// It is done, or given up.
    pub(crate) fn forget(&self, report: &Key) {
        self.all().remove(report);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Key, Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_nobody_is_served_twice() {
        let (retries, report) = (Retries::default(), (1, "a.ex".to_owned()));
        let mut now = 1_000_000;
        assert!(retries.is_due(&report, now));
        retries.serve(&report, "b@b.ex");
        let mut waits = Vec::new();
        for _ in 0..6 {
            retries.put_off(&report, now);
            let wait = (0..).step_by(60).find(|wait| retries.is_due(&report, now + wait)).unwrap();
            waits.push(wait / 60);
            now += wait;
        }
        assert_eq!(waits, [15, 30, 60, 120, 240, 240]);
        assert!(retries.has_served(&report, "b@b.ex") && !retries.has_served(&report, "c@c.ex"));
        assert!(retries.is_due(&report, 0), "the clock was set back");
        retries.forget(&report);
        assert!(!retries.has_served(&report, "b@b.ex") && retries.is_due(&report, now));
    }
}
