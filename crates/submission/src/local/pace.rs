//! How often each user of the machine has sent lately.

use super::LocalUser;
use mail::{Reply, Status};
use policy::{Meter, Rate};
use std::sync::{Arc, Mutex, PoisonError};

/// Most users that are told apart.
const USERS_MAX: usize = 10_000;

/// The counts. Clones are one.
#[derive(Clone)]
pub struct Pace(Arc<Mutex<Meter>>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Meter::with_room(USERS_MAX))))
    }
}

impl Pace {
    /// Counts one more message, or says when there may be one.
    pub(super) fn pass(&self, rate: Option<Rate>, user: &LocalUser, now: i64) -> Result<(), Reply> {
        let Some(rate) = rate else { return Ok(()) };
        let mut meter = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(wait) = meter.ask(rate, &user.uid, now) {
            let text = format!(
                "The user {} sends too often (more than {rate}); try again in {} seconds",
                user.name,
                wait.as_secs() + 1
            );
            return Err(Reply::new(451, Status::transient(7, 1), text));
        }
        meter.count(rate, &user.uid, now);
        Ok(())
    }
}
