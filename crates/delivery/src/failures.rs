//! Messages for whose author nobody vouched, waiting to be told to the author's domain (RFC 9991). Few of them: who sends
//! forged mail by the thousand must not make a flood of reports, so what is like another is told once an hour.

use crate::owed::Sending;
use policy::report::FailedMessage;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Reports in an hour.
const HOURLY_MAX: usize = 100;
/// Reports in an hour that tell of one domain.
const HOURLY_DOMAIN_MAX: usize = 10;
const HOUR: i64 = 3600;

/// Cloning is cheap.
#[derive(Clone, Default)]
pub(crate) struct Failures {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    on: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// What came in this hour.
#[derive(Default)]
struct Waiting {
    hour: i64,
    /// Who failed in which way.
    seen: HashSet<(IpAddr, String, Vec<&'static str>)>,
    of_domain: HashMap<String, usize>,
    reports: Vec<FailedMessage>,
}

impl Failures {
    pub(crate) fn set(&self, sending: Sending) {
        self.inner.on.store(sending == Sending::On, Ordering::Relaxed);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.inner.on.load(Ordering::Relaxed)
    }

    /// Takes a message in, if it is not like another of this hour and there is room.
    pub(crate) fn add(&self, failed: FailedMessage, now: i64) {
        let mut waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let hour = now.div_euclid(HOUR);
        if waiting.hour != hour {
            let reports = std::mem::take(&mut waiting.reports);
            *waiting = Waiting { hour, reports, ..Waiting::default() };
        }
        let told = waiting.of_domain.get(failed.at.as_str()).copied().unwrap_or(0);
        let is_full = waiting.seen.len() >= HOURLY_MAX || waiting.reports.len() >= HOURLY_MAX;
        if is_full || told >= HOURLY_DOMAIN_MAX {
            return;
        }
        if waiting.seen.insert((failed.source, failed.author.to_string(), failed.failed.clone())) {
            waiting.of_domain.insert(failed.at.to_string(), told + 1);
            waiting.reports.push(failed);
        }
    }

    /// What is to be told now.
    pub(crate) fn take(&self) -> Vec<FailedMessage> {
        std::mem::take(&mut self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner).reports)
    }
}
