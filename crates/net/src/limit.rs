//! How many connections may live at once: in all, from one address, from one network.

use crate::bans::{Bans, Entrance};
use crate::roster::{Roster, Session};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How long output may wait for a peer that takes none of it, if nothing else is configured.
pub const WRITE_STALL: Duration = Duration::from_secs(60);

/// Checked options of the node `limits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. The tables of addresses and networks are bounded by it too.
    pub connections: usize,
    /// Connections from one address.
    pub per_address: usize,
    /// Connections from one network: a /24 of IPv4, a /64 of IPv6.
    pub per_network: usize,
    pub loopback: Loopback,
    /// How long output may wait for a peer that takes none of it.
    pub write_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            per_address: 100,
            per_network: 400,
            loopback: Loopback::Counted,
            write_stall: WRITE_STALL,
        }
    }
}

/// Whether connections from this very machine are counted by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loopback {
    Counted,
    /// 127.0.0.0/8 and ::1 are bounded only by the number in all.
    Exempt,
}

/// Why there is no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many connections as there may be in all.
    Full,
    Address,
    Network,
    /// It, or its network, is not let in for a while.
    Banned,
}

impl Refusal {
    /// For the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "too many connections in all",
            Self::Address => "too many connections from this address",
            Self::Network => "too many connections from this network",
            Self::Banned => "banned",
        }
    }
}

/// Counts the living connections; one for all listeners.
#[derive(Debug)]
pub struct Gate {
    counts: Mutex<Counts>,
    live: watch::Sender<usize>,
    roster: Roster,
    bans: Option<Bans>,
}

#[derive(Debug)]
struct Counts {
    limits: Limits,
    in_all: usize,
    addresses: HashMap<IpAddr, usize>,
    networks: HashMap<IpAddr, usize>,
}

/// The right to be connected; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    entrance: Entrance,
    /// The address that was counted, if it was.
    counted: Option<IpAddr>,
    /// Under which id it stands in the roster.
    id: Option<String>,
}

impl Gate {
    pub fn new(limits: Limits) -> Arc<Self> {
        Self::build(limits, None)
    }

    /// The same, where some are not let in at all.
    pub fn guarded(limits: Limits, bans: Bans) -> Arc<Self> {
        Self::build(limits, Some(bans))
    }

    fn build(limits: Limits, bans: Option<Bans>) -> Arc<Self> {
        let counts = Counts { limits, in_all: 0, addresses: HashMap::new(), networks: HashMap::new() };
        Arc::new(Self {
            counts: Mutex::new(counts),
            live: watch::Sender::new(0),
            roster: Roster::default(),
            bans,
        })
    }

    /// Other limits from now on; nobody who is in is sent away.
    pub fn set(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Asks for entry.
    pub fn admit(self: &Arc<Self>, ip: IpAddr, entrance: Entrance) -> Result<Permit, Refusal> {
        self.is_welcome(ip, entrance)?;
        let mut counts = self.lock();
        counts.has_room()?;
        let counted = counts.enter(ip.to_canonical())?;
        counts.in_all += 1;
        self.live.send_replace(counts.in_all);
        Ok(Permit { gate: self.clone(), entrance, counted, id: None })
    }

    /// Asks for entry for somebody whom a proxy will name: counted in all only, until [`Permit::count_as`].
    pub(crate) fn admit_unknown(self: &Arc<Self>, entrance: Entrance) -> Result<Permit, Refusal> {
        let mut counts = self.lock();
        counts.has_room()?;
        counts.in_all += 1;
        self.live.send_replace(counts.in_all);
        Ok(Permit { gate: self.clone(), entrance, counted: None, id: None })
    }

    fn is_welcome(&self, ip: IpAddr, entrance: Entrance) -> Result<(), Refusal> {
        let is_banned = self.bans.as_ref().is_some_and(|bans| bans.refuses(ip, entrance));
        if is_banned { Err(Refusal::Banned) } else { Ok(()) }
    }

    /// Who is not let in, if somebody keeps that.
    pub fn bans(&self) -> Option<&Bans> {
        self.bans.as_ref()
    }

    pub(crate) fn write_stall(&self) -> Duration {
        self.lock().limits.write_stall
    }

    /// Connections that are alive.
    pub fn live(&self) -> usize {
        self.lock().in_all
    }

    /// Who is connected, the oldest first.
    pub fn sessions(&self) -> Vec<Session> {
        self.roster.all()
    }

    /// Ends when no connection is alive. There is no time limit here: the caller has one.
    pub async fn drained(&self) {
        // The sender is `self`, so the channel cannot close meanwhile.
        let _ = self.live.subscribe().wait_for(|live| *live == 0).await;
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn has_room(&self) -> Result<(), Refusal> {
        if self.in_all < self.limits.connections { Ok(()) } else { Err(Refusal::Full) }
    }

    /// Counts one more from there; `None` if such are not counted.
    fn enter(&mut self, ip: IpAddr) -> Result<Option<IpAddr>, Refusal> {
        let limits = self.limits;
        if limits.loopback == Loopback::Exempt && ip.is_loopback() {
            return Ok(None);
        }
        if self.addresses.get(&ip).is_some_and(|n| *n >= limits.per_address) {
            return Err(Refusal::Address);
        }
        if self.networks.get(&network_of(ip)).is_some_and(|n| *n >= limits.per_network) {
            return Err(Refusal::Network);
        }
        *self.addresses.entry(ip).or_default() += 1;
        *self.networks.entry(network_of(ip)).or_default() += 1;
        Ok(Some(ip))
    }

    fn leave(&mut self, counted: Option<IpAddr>) {
        if let Some(ip) = counted {
            take_one(&mut self.addresses, ip);
            take_one(&mut self.networks, network_of(ip));
        }
    }
}

impl Permit {
    /// From now on it is known whose connection it is.
    pub(crate) fn present(&mut self, session: Session) {
        self.id = Some(session.id.clone());
        self.gate.roster.enter(session);
    }

    /// Something has become known of it.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Session)) {
        if let Some(id) = &self.id {
            self.gate.roster.change(id, change);
        }
    }

    /// A public door led to one with logins.
    pub(crate) fn goes_to_logins(&mut self, ip: IpAddr) -> Result<(), Refusal> {
        self.entrance = Entrance::Logins;
        self.gate.is_welcome(ip, self.entrance)
    }

    /// From now on the connection counts as one from there. On an error it counts as before, and should end.
    pub(crate) fn count_as(&mut self, ip: IpAddr) -> Result<(), Refusal> {
        self.gate.is_welcome(ip, self.entrance)?;
        let mut counts = self.gate.lock();
        let counted = counts.enter(ip.to_canonical())?;
        counts.leave(std::mem::replace(&mut self.counted, counted));
        drop(counts);
        self.note(|session| session.peer = ip.to_canonical());
        Ok(())
    }
}

impl Permit {
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            self.gate.roster.leave(id);
        }
        let mut counts = self.gate.lock();
        counts.in_all -= 1;
        counts.leave(self.counted);
        self.gate.live.send_replace(counts.in_all);
    }
}

fn take_one<K: Eq + Hash>(table: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = table.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            table.remove(&key);
        }
    }
}

/// The first address of the /24 or /64 that holds this one.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_holds_and_permits_come_back() {
        use Refusal::{Address, Full, Network};
        let limits = Limits {
            connections: 6,
            per_address: 2,
            per_network: 3,
            loopback: Loopback::Exempt,
            ..Limits::default()
        };
        let gate = Gate::new(limits);
        let mut held = Vec::new();
        for (ip, want) in [
            ("192.0.2.1", Ok(())),
            ("::ffff:192.0.2.1", Ok(())),
            ("192.0.2.1", Err(Address)),
            ("192.0.2.2", Ok(())),
            ("192.0.2.3", Err(Network)),
            ("127.0.0.1", Ok(())),
            ("127.0.0.1", Ok(())),
            ("127.0.0.1", Ok(())),
            ("2001:db8::1", Err(Full)),
        ] {
            let got = gate.admit(ip.parse().unwrap(), Entrance::Logins).map(|permit| held.push(permit));
            assert_eq!(got, want, "{ip}");
        }
        assert_eq!(gate.live(), 6);
        held.clear();
        assert_eq!(gate.live(), 0);
        assert!(gate.lock().addresses.is_empty() && gate.lock().networks.is_empty());
        for (ip, want) in [
            ("2001:db8::1", Ok(())),
            ("2001:db8::2", Ok(())),
            ("2001:db8::3", Ok(())),
            ("2001:db8::4", Err(Network)),
            ("2001:db8:0:1::4", Ok(())),
        ] {
            let got = gate.admit(ip.parse().unwrap(), Entrance::Logins).map(|permit| held.push(permit));
            assert_eq!(got, want, "{ip}");
        }
        gate.set(Limits { connections: 1, ..limits });
        assert_eq!(gate.admit("198.51.100.1".parse().unwrap(), Entrance::Logins).unwrap_err(), Full);
    }

    #[tokio::test]
    async fn drained_waits_for_the_last() {
        let gate = Gate::new(Limits::default());
        gate.drained().await;
        let permit = gate.admit("192.0.2.1".parse().unwrap(), Entrance::Logins).unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.drained().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(permit);
        waiting.await.unwrap();
    }
}
