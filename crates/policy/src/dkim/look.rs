//! What the DNS shows of our keys, and what comes of it: keys that are shown come to sign, keys that are contradicted cease to.

use super::KEY_TIME_MAX;
use super::change::{KeyChange, What};
use super::keyring::{Haste, Keyring, blocking, seconds};
use super::keys::{DnsRecord, Key, KeyError};
use super::published::{Published, published};
use super::ring::{Entry, Ring, Stage, Witness};
use world::{DnsName, Kind, Proof, Security};

impl Keyring {
    /// Asks the DNS for the records of the keys that are to come, and goes on with what it shows.
    pub(super) async fn look(&self, ring: Ring, haste: Haste) -> Result<Vec<KeyChange>, KeyError> {
        let (keyring, read) = (self.clone(), ring.clone());
        let records = blocking(move || {
            let of_use = read
                .entries
                .iter()
                .filter(|one| matches!(one.stage, Stage::Waiting | Stage::Seen | Stage::Signing));
            let mut records = Vec::new();
            for entry in of_use {
                let key = Key::open(&keyring.dir, &read.domain, &entry.selector, entry.kind)?;
                records.push((entry.selector.clone(), key.record(&read.domain)));
            }
            Ok(records)
        })
        .await?;
        let mut shown = Vec::with_capacity(records.len());
        for (selector, record) in records {
            let mut found = published(self.world.dns.as_ref(), &record).await;
            let is_contradicted = matches!(found, Published::Wrong(_));
            if is_contradicted && ring.has_shown(&selector) && self.is_forged(&record).await {
                found =
                    Published::Unknown("what stands there has no DNSSEC signature that is right".to_owned());
            }
            shown.push((selector, found));
        }
        let keyring = self.clone();
        blocking(move || keyring.go_on(ring, shown, haste)).await
    }

    fn go_on(
        &self,
        mut ring: Ring,
        shown: Vec<(String, Published)>,
        haste: Haste,
    ) -> Result<Vec<KeyChange>, KeyError> {
        let (now, old) = (self.now(), ring.clone());
        let mut told = Vec::new();
        for (selector, published) in shown {
            let Some(at) = ring.entries.iter().position(|entry| entry.selector == selector) else { continue };
            match published {
                _ if ring.entries[at].stage == Stage::Signing => {
                    told.extend(self.is_held_against(&mut ring.entries[at], published));
                }
                Published::Unknown(why) => told.push((selector, What::Unanswered(why))),
                Published::Right => told.extend(self.is_shown(&mut ring, at, haste)?),
                Published::Absent(why) | Published::Wrong(why) => {
                    if ring.entries[at].stage == Stage::Seen {
                        (ring.entries[at].stage, ring.entries[at].since) = (Stage::Waiting, now);
                    }
                    told.push((selector, What::Missing(why)));
                }
            }
        }
        if ring != old {
            self.keep(&mut ring)?;
        }
        self.told(&ring, told)
    }

    /// What the DNS shows of a key that signs. Nothing is as good as no signature, and right as soon as somebody publishes the
    /// record: the server's look at itself tells of that. Another record makes signatures wrong: after a restore of another
    /// time, say, or with a key that was made anew. One answer may be wrong as well, or forged, and without signatures mail
    /// is refused where DMARC asks for it: a key whose record was there once signs on until that has lasted.
    fn is_held_against(&self, entry: &mut Entry, published: Published) -> Option<(String, What)> {
        let now = self.now();
        let selector = entry.selector.clone();
        match (published, entry.witness) {
            (Published::Unknown(_), _) | (Published::Absent(_), Witness::None | Witness::Shown) => None,
            (Published::Absent(_), Witness::Doubted(_)) => {
                entry.witness = Witness::Shown;
                None
            }
            (Published::Right, witness) => {
                entry.witness = Witness::Shown;
                matches!(witness, Witness::Doubted(_)).then_some((selector, What::Confirmed))
            }
            (Published::Wrong(why), Witness::Shown) => {
                entry.witness = Witness::Doubted(now);
                Some((selector, What::Doubted(why)))
            }
            (Published::Wrong(_), Witness::Doubted(since)) if now.saturating_sub(since) < self.doubt() => {
                None
            }
            (Published::Wrong(why), Witness::None | Witness::Doubted(_)) => {
                (entry.stage, entry.since) = (Stage::Waiting, now);
                entry.witness = Witness::Doubted(now);
                Some((selector, What::Contradicted(why)))
            }
        }
    }

    /// How long the DNS must show another record until a key signs no more, in seconds: for more than one look.
    fn doubt(&self) -> i64 {
        seconds(self.rotation.settle.max(self.rotation.look))
    }

    /// Whether what stands in the place of a record ought to be signed (RFC 4035 §5) and is not.
    async fn is_forged(&self, record: &DnsRecord) -> bool {
        let Ok(name) = DnsName::parse(&record.name) else { return false };
        let asked = tokio::time::timeout(KEY_TIME_MAX, self.world.dns.ask(&name, Kind::Txt, Proof::Wanted));
        matches!(asked.await, Ok(reply) if reply.security == Security::Bogus)
    }

    /// The DNS shows the record of the key at this place.
    fn is_shown(&self, ring: &mut Ring, at: usize, haste: Haste) -> Result<Vec<(String, What)>, KeyError> {
        let (now, mut told) = (self.now(), Vec::new());
        let Entry { selector, kind, stage, since, .. } = ring.entries[at].clone();
        ring.entries[at].witness = Witness::Shown;
        if stage == Stage::Waiting {
            (ring.entries[at].stage, ring.entries[at].since) = (Stage::Seen, now);
            told.push((selector.clone(), What::Seen));
        }
        let seen = if stage == Stage::Seen { now.saturating_sub(since) } else { 0 };
        if haste == Haste::Settled && seen < seconds(self.rotation.settle) {
            return Ok(told);
        }
        let signing =
            ring.entries.iter_mut().filter(|entry| entry.kind == kind && entry.stage == Stage::Signing);
        for old in signing {
            (old.stage, old.since) = (Stage::Retiring, now);
            told.push((old.selector.clone(), What::Retiring));
        }
        // What waits and may never be shown is needed no more.
        for old in ring.entries.iter_mut().filter(|entry| entry.kind == kind && entry.is_contradicted()) {
            (old.stage, old.since) = (Stage::Retired, now);
            let before = self.record(&ring.domain, &old.selector)?;
            told.push((old.selector.clone(), What::Retired(before)));
        }
        (ring.entries[at].stage, ring.entries[at].since) = (Stage::Signing, now);
        told.push((selector, What::Signs));
        Ok(told)
    }
}
