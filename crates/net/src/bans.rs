//! Who is not let in at all for a while: addresses that guessed passwords or abused the protocols, and networks of such.
//!
//! The judgement is made once, when an offence is told; a new connection costs two look-ups before its first octet.

use crate::bans_table::{Kept, Table, shown, source_of};
use config::Network;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::info;
use world::Clock;

/// Checked options of the node `bans`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanOptions {
    pub automatic: bool,
    /// Never banned, neither by us nor by hand.
    pub never: Vec<Network>,
    /// Whether addresses of this machine and of private networks may be banned.
    pub private: bool,
    /// Offences of one address (of a /64 of IPv6) that ban it.
    pub offences: u32,
    /// Bans of its addresses that ban a network (a /24 of IPv4, a /48 of IPv6).
    pub addresses: u32,
    /// The first ban; each further one takes twice as long.
    pub time: Duration,
    pub max_time: Duration,
    /// Time without offences that forgives one of them, and after a ban one ban.
    pub forget: Duration,
}

impl Default for BanOptions {
    fn default() -> Self {
        Self {
            automatic: true,
            never: Vec::new(),
            private: false,
            offences: 30,
            addresses: 5,
            time: Duration::from_secs(15 * 60),
            max_time: Duration::from_secs(7 * 24 * 3600),
            forget: Duration::from_secs(3600),
        }
    }
}

/// What somebody did. Each weighs as many offences as it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// A wrong password. Counts apart: servers of large providers can be made to guess by anybody who is their customer,
    /// and their mail is not to stay away for that.
    Guess,
    /// A connection that was ended because of its errors.
    Abuse,
}

/// What is behind a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Nothing that a password opens.
    Public,
    /// Accounts: who guessed passwords stays outside.
    Logins,
}

impl Offence {
    pub(crate) fn weight(self) -> u32 {
        match self {
            Self::Guess => 1,
            Self::Abuse => 5,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Guess => "password guessing",
            Self::Abuse => "protocol abuse",
        }
    }
}

/// A ban, for whoever runs the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ban {
    /// An address, or a network as `192.0.2.0/24`.
    pub network: String,
    pub why: String,
    /// When it ends, in seconds since 1970; never, if not given.
    pub until: Option<u64>,
    /// Connections that were refused since the server started.
    pub refused: u64,
}

/// The bans of all listeners. Clones are one.
#[derive(Clone)]
pub struct Bans {
    table: Arc<Mutex<Table>>,
    clock: Arc<dyn Clock>,
}

impl Bans {
    pub fn new(options: BanOptions, clock: Arc<dyn Clock>) -> Self {
        Self { table: Arc::new(Mutex::new(Table { options, ..Table::default() })), clock }
    }

    /// Other options from now on; who is banned stays so.
    pub fn set(&self, options: BanOptions) {
        self.lock().options = options;
    }

    /// Somebody did something. Logs a ban that follows, once.
    pub fn report(&self, from: IpAddr, offence: Offence) {
        let now = self.now();
        for (whose, mark) in self.lock().offend(from, offence, now) {
            let seconds = mark.until.saturating_sub(now);
            info!(network = shown(&whose), why = mark.why, seconds, "banned");
        }
    }

    /// Somebody logged in from there: for a month what others guess at the same address does not ban it.
    pub fn vouch(&self, from: IpAddr) {
        let now = self.now();
        self.lock().vouch(source_of(from), now);
    }

    /// Whether a connection from there is refused, which is counted.
    pub fn refuses(&self, from: IpAddr, entrance: Entrance) -> bool {
        let now = self.now();
        self.lock().refuses(from, entrance, now)
    }

    /// Connections that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.lock().refused
    }

    /// All bans, in the order of their end; those without an end last.
    pub fn list(&self) -> Vec<Ban> {
        let now = self.now();
        self.lock().list(now)
    }

    /// Bans a network by hand, for a time or until it is lifted.
    ///
    /// # Errors
    /// A sentence: it is never to be banned, or there are too many.
    pub fn add(&self, network: Network, time: Option<Duration>) -> Result<(), String> {
        let now = self.now();
        self.lock().add(network, time, now)
    }

    /// Lifts a ban, and forgets what led to it; whether there was one.
    pub fn lift(&self, network: Network) -> bool {
        self.lock().lift(network)
    }

    /// What is to be kept over a restart, if anything has changed since this was asked last.
    pub fn changes(&self) -> Option<Vec<u8>> {
        let now = self.now();
        let mut table = self.lock();
        if !std::mem::take(&mut table.has_changed) {
            return None;
        }
        serde_json::to_vec(&table.kept(now)).ok()
    }

    /// Takes up what an earlier process kept.
    ///
    /// # Errors
    /// It cannot be read; nobody is banned then.
    pub fn restore(&self, octets: &[u8]) -> Result<(), String> {
        let kept: Kept = serde_json::from_slice(octets).map_err(|error| error.to_string())?;
        self.lock().restore(kept);
        Ok(())
    }

    fn now(&self) -> u64 {
        u64::try_from(self.clock.unix()).unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Bans {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bans").field("marks", &self.lock().marks.len()).finish_non_exhaustive()
    }
}
