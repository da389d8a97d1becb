//! How long mail has been put off: an endless failure of the DNS delays a message, but does not lose it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Most senders that are remembered. The one that was put off first is forgotten for a new one.
const SENDERS_MAX: usize = 10_000;
/// After this many seconds without a new try a sender is forgotten.
const FORGOTTEN_AFTER: i64 = 7 * 24 * 3600;

#[derive(Clone, Copy)]
struct Wait {
    since: i64,
    last: i64,
}

/// When senders were put off first. In memory: a restart begins anew, which costs them one more round.
#[derive(Default)]
pub(crate) struct Patience {
    waits: Mutex<HashMap<String, Wait>>,
}

impl Patience {
    /// Notes that a sender is put off at `now` (unix seconds), and says for how many seconds it has been.
    pub(crate) fn put_off(&self, sender: &str, now: i64) -> i64 {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(wait) = waits.get_mut(sender)
            && now.saturating_sub(wait.last) < FORGOTTEN_AFTER
        {
            wait.last = now;
            return now.saturating_sub(wait.since).max(0);
        }
        if waits.len() >= SENDERS_MAX
            && let Some(oldest) = waits.iter().min_by_key(|(_, wait)| wait.since).map(|(key, _)| key.clone())
        {
            waits.remove(&oldest);
        }
        waits.insert(sender.to_owned(), Wait { since: now, last: now });
        0
    }

    /// The sender was let in; its next trouble begins anew.
    pub(crate) fn forget(&self, sender: &str) {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).remove(sender);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_the_first_time() {
        let patience = Patience::default();
        assert_eq!(patience.put_off("a", 100), 0);
        assert_eq!(patience.put_off("a", 160), 60);
        assert_eq!(patience.put_off("b", 160), 0);
        assert_eq!(patience.put_off("a", 90), 0);
        patience.forget("a");
        assert_eq!(patience.put_off("a", 200), 0);
        assert_eq!(patience.put_off("a", 200 + FORGOTTEN_AFTER), 0);
    }

    #[test]
    fn remembers_only_so_many() {
        let patience = Patience::default();
        for n in 0..=i64::try_from(SENDERS_MAX).unwrap() {
            patience.put_off(&n.to_string(), n);
        }
        assert_eq!(patience.waits.lock().unwrap().len(), SENDERS_MAX);
        assert_eq!(patience.put_off("1", 20_000), 19_999);
        assert_eq!(patience.put_off("0", 20_000), 0);
    }
}
