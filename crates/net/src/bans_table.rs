//! What is known of offenders, in tables of bounded size. Pure: the time comes in, what follows comes out.

use crate::bans::{Ban, BanOptions, Entrance, Offence};
use config::Network;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// Most addresses and networks that are remembered; when it is full, those with the least against them are forgotten.
const MARKS_MAX: usize = 65_536;
/// Most addresses that are remembered for a right login.
const PROVEN_MAX: usize = 65_536;
/// Most bans by hand.
const BY_HAND_MAX: usize = 1000;
/// How long a right login speaks for its address, in seconds: 30 days.
const PROVEN_TIME: u64 = 30 * 24 * 3600;
/// A right login that renews one of less than so long ago is not worth writing down: a day, in seconds.
const PROVEN_AFRESH: u64 = 24 * 3600;
/// Doublings of the time of a ban; by then it is the longest in any case.
const DOUBLINGS_MAX: u32 = 20;
/// Networks of which everybody shares a part: a NAT stands for many, and nobody strange comes from there.
const OURS: [&str; 9] = [
    "127.0.0.0/8",
    "::1",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// Whom a mark is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Whose {
    Address(IpAddr),
    Network(IpAddr),
    /// An address that guessed passwords: only the doors with logins are closed to it.
    Guesser(IpAddr),
    /// A network of such.
    Guessers(IpAddr),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Offences of an address; bans of the addresses of a network.
    offences: u32,
    /// How often it was banned.
    bans: u32,
    /// When the last offence was, or the last ban ended.
    last: u64,
    pub(crate) until: u64,
    pub(crate) why: String,
    #[serde(skip)]
    refused: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct ByHand {
    network: Network,
    until: Option<u64>,
    refused: u64,
}

/// What is kept over a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Kept {
    marks: Vec<(Whose, Mark)>,
    by_hand: Vec<(String, Option<u64>)>,
    /// Missing in what earlier versions kept.
    #[serde(default)]
    proven: Vec<(IpAddr, u64)>,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) options: BanOptions,
    pub(crate) marks: HashMap<Whose, Mark>,
    /// Addresses from which somebody logged in, and when.
    pub(crate) proven: HashMap<IpAddr, u64>,
    pub(crate) by_hand: Vec<ByHand>,
    pub(crate) refused: u64,
    pub(crate) has_changed: bool,
}

impl Table {
    /// Counts an offence; the bans that follow.
    pub(crate) fn offend(&mut self, from: IpAddr, offence: Offence, now: u64) -> Vec<(Whose, Mark)> {
        let options = self.options.clone();
        if !options.automatic || self.is_safe(from) || self.is_proven(from, now) {
            return Vec::new();
        }
        self.has_changed = true;
        let (address, network) = match offence {
            Offence::Guess => (Whose::Guesser(source_of(from)), Whose::Guessers(network_of(from))),
            Offence::Abuse => (Whose::Address(source_of(from)), Whose::Network(network_of(from))),
        };
        if !self.count(address, offence.weight(), options.offences, offence.word(), now) {
            return Vec::new();
        }
        let mut banned = vec![address];
        if self.count(network, 1, options.addresses, "many banned addresses", now) {
            banned.push(network);
        }
        banned.into_iter().filter_map(|whose| Some((whose, self.marks.get(&whose)?.clone()))).collect()
    }

    /// Adds to a mark; whether that is a ban now.
    fn count(&mut self, whose: Whose, weight: u32, limit: u32, why: &str, now: u64) -> bool {
        if self.marks.len() >= MARKS_MAX && !self.marks.contains_key(&whose) {
            self.make_room(now);
        }
        let options = &self.options;
        let mark = self.marks.entry(whose).or_default();
        mark.decay(options, now);
        if mark.until > now {
            return false;
        }
        mark.offences = mark.offences.saturating_add(weight);
        mark.last = now;
        if mark.offences < limit {
            return false;
        }
        let until = now.saturating_add(ban_time(options, mark.bans));
        *mark = Mark {
            offences: 0,
            bans: mark.bans.saturating_add(1).min(DOUBLINGS_MAX),
            last: until,
            until,
            why: why.to_owned(),
            refused: 0,
        };
        true
    }

    /// Forgets what has nothing against it any more, and if that is nothing, a quarter of all: the least.
    fn make_room(&mut self, now: u64) {
        let options = self.options.clone();
        self.marks.retain(|_, mark| {
            mark.decay(&options, now);
            mark.until > now || mark.offences > 0 || mark.bans > 0
        });
        if self.marks.len() < MARKS_MAX {
            return;
        }
        let mut order: Vec<_> =
            self.marks.iter().map(|(whose, mark)| ((mark.until, mark.bans, mark.offences), *whose)).collect();
        let quarter = order.len() / 4;
        order.select_nth_unstable(quarter);
        for (_, whose) in order.into_iter().take(quarter) {
            self.marks.remove(&whose);
        }
    }

    pub(crate) fn vouch(&mut self, source: IpAddr, now: u64) {
        if self.proven.len() >= PROVEN_MAX && !self.proven.contains_key(&source) {
            self.proven.retain(|_, last| now.abs_diff(*last) < PROVEN_TIME);
            if self.proven.len() >= PROVEN_MAX {
                return;
            }
        }
        let before = self.proven.insert(source, now);
        self.has_changed |= before.is_none_or(|last| now.abs_diff(last) >= PROVEN_AFRESH);
    }

    fn is_proven(&self, from: IpAddr, now: u64) -> bool {
        // A clock that ran ahead and was put right speaks for nobody longer than one that went right.
        self.proven.get(&source_of(from)).is_some_and(|last| now.abs_diff(*last) < PROVEN_TIME)
    }

    fn is_safe(&self, ip: IpAddr) -> bool {
        let ours = || OURS.iter().filter_map(|text| Network::parse(text).ok());
        self.options.never.iter().any(|network| network.contains(ip))
            || !self.options.private && ours().any(|network| network.contains(ip))
    }

    pub(crate) fn refuses(&mut self, from: IpAddr, entrance: Entrance, now: u64) -> bool {
        if self.marks.is_empty() && self.by_hand.is_empty() {
            return false;
        }
        // What neighbours do is not held against somebody who is known here.
        let (is_known, has_logins) = (self.is_proven(from, now), entrance == Entrance::Logins);
        let (source, network) = (source_of(from), network_of(from));
        let place = [
            Some(Whose::Address(source)),
            (!is_known).then_some(Whose::Network(network)),
            has_logins.then_some(Whose::Guesser(source)),
            (has_logins && !is_known).then_some(Whose::Guessers(network)),
        ];
        let (marks, options) = (&mut self.marks, &self.options);
        let mut holds = |whose: &Whose| {
            let Some(mark) = marks.get_mut(whose) else { return false };
            mark.heed(options, now);
            mark.until > now
        };
        let place = place.into_iter().flatten().find(&mut holds);
        let by_hand = self
            .by_hand
            .iter()
            .position(|ban| ban.until.is_none_or(|until| until > now) && ban.network.contains(from));
        if place.is_none() && by_hand.is_none() || self.options.never.iter().any(|never| never.contains(from))
        {
            return false;
        }
        if let Some(mark) = place.and_then(|whose| self.marks.get_mut(&whose)) {
            mark.refused += 1;
        }
        if let Some(ban) = by_hand.and_then(|at| self.by_hand.get_mut(at)) {
            ban.refused += 1;
        }
        self.refused += 1;
        true
    }

    pub(crate) fn list(&mut self, now: u64) -> Vec<Ban> {
        self.heed(now);
        let by_hand =
            self.by_hand.iter().filter(|ban| ban.until.is_none_or(|until| until > now)).map(|ban| {
                let network = ban.network.to_string();
                Ban { network, why: "by hand".to_owned(), until: ban.until, refused: ban.refused }
            });
        let marks = self.marks.iter().filter(|(_, mark)| mark.until > now).map(|(whose, mark)| Ban {
            network: shown(whose),
            why: mark.why.clone(),
            until: Some(mark.until),
            refused: mark.refused,
        });
        let mut list: Vec<Ban> = by_hand.chain(marks).collect();
        list.sort_by_key(|ban| (ban.until.unwrap_or(u64::MAX), ban.network.clone()));
        list
    }

    pub(crate) fn add(&mut self, network: Network, time: Option<Duration>, now: u64) -> Result<(), String> {
        if network.is_everything() {
            return Err("that would shut out everybody".to_owned());
        }
        self.by_hand.retain(|ban| ban.until.is_none_or(|until| until > now) && ban.network != network);
        if self.by_hand.len() >= BY_HAND_MAX {
            return Err(format!("there are {BY_HAND_MAX} bans by hand; lift one"));
        }
        let until = time.map(|time| now.saturating_add(time.as_secs()));
        self.by_hand.push(ByHand { network, until, refused: 0 });
        self.has_changed = true;
        Ok(())
    }

    pub(crate) fn lift(&mut self, network: Network) -> bool {
        let before = (self.by_hand.len(), self.marks.len());
        self.by_hand.retain(|ban| ban.network != network);
        // What it holds; of a single address of IPv6 its /64.
        let text = network.to_string();
        let source = text.strip_suffix("/128").and_then(|ip| ip.parse().ok()).map(source_of);
        let is_meant = |whose: &Whose| {
            let is_source = |ip| [Whose::Address(ip), Whose::Guesser(ip)].contains(whose);
            network.contains(whose.ip()) || source.is_some_and(is_source)
        };
        self.marks.retain(|whose, _| !is_meant(whose));
        self.has_changed = true;
        before != (self.by_hand.len(), self.marks.len())
    }

    pub(crate) fn kept(&mut self, now: u64) -> Kept {
        self.heed(now);
        let marks = self.marks.iter().filter(|(_, mark)| mark.until > now || mark.bans > 0);
        let by_hand = self.by_hand.iter().filter(|ban| ban.until.is_none_or(|until| until > now));
        Kept {
            marks: marks.map(|(whose, mark)| (*whose, mark.clone())).collect(),
            by_hand: by_hand.map(|ban| (ban.network.to_string(), ban.until)).collect(),
            proven: self.proven.iter().map(|(ip, last)| (*ip, *last)).collect(),
        }
    }

    fn heed(&mut self, now: u64) {
        self.marks.values_mut().for_each(|mark| mark.heed(&self.options, now));
    }

    pub(crate) fn restore(&mut self, kept: Kept) {
        self.marks = kept.marks.into_iter().take(MARKS_MAX).collect();
        self.proven = kept.proven.into_iter().take(PROVEN_MAX).collect();
        let by_hand = kept.by_hand.into_iter().take(BY_HAND_MAX);
        self.by_hand = by_hand
            .filter_map(|(text, until)| {
                Some(ByHand { network: Network::parse(&text).ok()?, until, refused: 0 })
            })
            .collect();
    }
}

/// Seconds of a ban after so many before it.
fn ban_time(options: &BanOptions, before: u32) -> u64 {
    options.time.saturating_mul(1 << before.min(DOUBLINGS_MAX)).min(options.max_time).as_secs()
}

impl Mark {
    /// Believes no time that cannot be: where the clock ran ahead and was put right, a ban that was made meanwhile lasts, from
    /// the moment at which that is seen, as long as it was to last.
    fn heed(&mut self, options: &BanOptions, now: u64) {
        let longest = ban_time(options, self.bans.saturating_sub(1));
        self.until = self.until.min(now.saturating_add(longest));
        self.last = self.last.min(self.until.max(now));
    }

    /// Forgives what time forgives.
    fn decay(&mut self, options: &BanOptions, now: u64) {
        self.heed(options, now);
        let step = options.forget.as_secs().max(1);
        let quiet = now.saturating_sub(self.last) / step;
        if quiet == 0 {
            return;
        }
        let forgiven = u32::try_from(quiet).unwrap_or(u32::MAX);
        let beyond = forgiven.saturating_sub(self.offences);
        self.offences = self.offences.saturating_sub(forgiven);
        self.bans = self.bans.saturating_sub(beyond);
        self.last = self.last.saturating_add(quiet.saturating_mul(step));
    }
}

impl Whose {
    fn ip(&self) -> IpAddr {
        match self {
            Self::Address(ip) | Self::Network(ip) | Self::Guesser(ip) | Self::Guessers(ip) => *ip,
        }
    }
}

pub(crate) fn shown(whose: &Whose) -> String {
    let bits = match whose {
        Whose::Address(IpAddr::V4(_)) | Whose::Guesser(IpAddr::V4(_)) => 32,
        Whose::Address(IpAddr::V6(_)) | Whose::Guesser(IpAddr::V6(_)) => 64,
        Whose::Network(IpAddr::V4(_)) | Whose::Guessers(IpAddr::V4(_)) => 24,
        Whose::Network(IpAddr::V6(_)) | Whose::Guessers(IpAddr::V6(_)) => 48,
    };
    format!("{}/{bits}", whose.ip())
}

/// An address, or the /64 of IPv6, in which one machine can take any address it likes.
pub(crate) fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// The network around it: a /24, or a /48 of IPv6.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !0xff).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

#[cfg(test)]
#[path = "bans_tests.rs"]
mod tests;
