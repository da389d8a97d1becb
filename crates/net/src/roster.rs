//! Who is connected at the moment, for those who look after the server.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A connection that came in and lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As in the log.
    pub id: String,
    /// The door by which it came: `smtp`, `submission`, `imap`.
    pub door: &'static str,
    pub peer: IpAddr,
    /// In seconds since 1970.
    pub since: i64,
    /// The version of TLS that protects it.
    pub tls: Option<&'static str>,
    /// Who has logged in.
    pub account: Option<String>,
}

/// All of them. As many as the limit of connections allows.
#[derive(Debug, Default)]
pub(crate) struct Roster(Mutex<HashMap<String, Session>>);

impl Roster {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, session: Session) {
        self.lock().insert(session.id.clone(), session);
    }

    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.lock().get_mut(id) {
            change(session);
        }
    }

    pub(crate) fn leave(&self, id: &str) {
        self.lock().remove(id);
    }

    /// The oldest first.
    pub(crate) fn all(&self) -> Vec<Session> {
        let mut all: Vec<Session> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        all
    }
}
