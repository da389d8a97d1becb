//! Keys come and go: a new one is made, its record shown and waited for; signing moves over when the DNS really has it;
//! the old one stays published for a time and is then retired (RFC 6376 §3.1, §3.6.1).
//!
//! Whoever calls sees to it that one call runs at a time for each directory.

use super::change::{KeyChange, What};
use super::keys::{DnsRecord, Key, KeyError, KeyKind};
use super::ring::{Entry, Ring, Stage, revoked};
use super::sign::{Selectors, Signer};
use mail::Domain;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use world::{Clock, World};

/// When keys change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Age at which a key is replaced; `None`: only when somebody asks for it.
    pub every: Option<Duration>,
    /// How long the record of a key stays needed after it has signed for the last time.
    pub keep: Duration,
    /// How long the DNS must show a new record before it is used: other name servers may be slower than ours.
    pub settle: Duration,
    /// Time between two looks at the DNS.
    pub look: Duration,
}

impl Default for Rotation {
    fn default() -> Self {
        let hour = Duration::from_secs(3600);
        Self { every: None, keep: 14 * 24 * hour, settle: hour, look: hour / 4 }
    }
}

/// The signing keys of all domains.
#[derive(Clone)]
pub struct Keyring {
    pub dir: PathBuf,
    pub domains: Vec<Domain>,
    pub selectors: Selectors,
    pub rotation: Rotation,
    pub world: World,
}

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    pub domain: Domain,
    pub selector: String,
    pub kind: KeyKind,
    pub stage: Stage,
    /// When it came into this stage, in seconds since 1970.
    pub since: i64,
    /// What has to stand in the DNS; of a retired key what may stand there instead of nothing. `None` if the key is still
    /// to be made.
    pub record: Option<DnsRecord>,
}

/// Whether a rotation waits until a new record has been seen for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Haste {
    /// As [`Rotation::settle`] says.
    Settled,
    /// At the first look that shows it.
    AtOnce,
}

/// The signer of [`Signer::open`].
pub(super) fn open(
    dir: &Path,
    domains: &[Domain],
    selectors: &Selectors,
    clock: Arc<dyn Clock>,
) -> Result<Signer, KeyError> {
    let mut all = BTreeMap::new();
    for domain in domains.iter().filter(|domain| domain.literal().is_none()) {
        let mut ring = Ring::load(dir, domain, selectors, clock.unix())?;
        // A key that signs must be there before the file says that it does: one that is named and not there is a lost one.
        let mut keys = ring.materialize(dir)?;
        ring.save(dir)?;
        let signs = |key: &Key| {
            ring.entries.iter().any(|one| one.selector == key.selector && one.stage == Stage::Signing)
        };
        keys.retain(signs);
        keys.sort_by_key(|key| key.kind() != KeyKind::Rsa);
        all.insert(domain.clone(), keys);
    }
    Ok(Signer::new(all, clock))
}

/// The records of the keys that are in `dir`; `None` in the place of a key that was not made yet. Makes nothing. Blocks
/// on the disk.
pub fn records(
    dir: &Path,
    domains: &[Domain],
    selectors: &Selectors,
) -> Result<Vec<(Domain, Option<DnsRecord>)>, KeyError> {
    let all = list(dir, domains, selectors, 0)?;
    let published = all.into_iter().filter(|key| key.stage.is_published());
    Ok(published.map(|key| (key.domain, key.record)).collect())
}

fn list(dir: &Path, domains: &[Domain], selectors: &Selectors, now: i64) -> Result<Vec<KeyInfo>, KeyError> {
    let mut found = Vec::new();
    for domain in domains.iter().filter(|domain| domain.literal().is_none()) {
        for entry in Ring::load(dir, domain, selectors, now)?.entries {
            let record = match entry.stage {
                Stage::Retired => Some(revoked(domain, &entry)),
                _ => Key::read(dir, domain, &entry.selector)?.map(|key| key.record(domain)),
            };
            let Entry { selector, kind, stage, since, .. } = entry;
            found.push(KeyInfo { domain: domain.clone(), selector, kind, stage, since, record });
        }
    }
    Ok(found)
}

impl Keyring {
    /// All keys. Makes nothing. Blocks on the disk.
    pub fn list(&self) -> Result<Vec<KeyInfo>, KeyError> {
        list(&self.dir, &self.domains, &self.selectors, self.now())
    }

    /// Who signs, with the keys as they are now; makes what is missing. Blocks on the disk.
    pub fn signer(&self) -> Result<Signer, KeyError> {
        open(&self.dir, &self.domains, &self.selectors, self.world.clock.clone())
    }

    /// Makes a key of each kind for the next rotation, where there is none. Blocks on the disk.
    pub fn prepare(&self, domain: &Domain) -> Result<Vec<KeyChange>, KeyError> {
        let mut ring = self.load(domain)?;
        let made = self.add_missing(&mut ring, Stage::Prepared)?;
        self.keep(&mut ring)?;
        self.told(&ring, made.into_iter().map(|selector| (selector, What::Made(Stage::Prepared))).collect())
    }

    /// Has new keys sign as soon as the DNS shows their records; makes them where there are none. Says what it has come
    /// to at once.
    pub async fn rotate(&self, domain: &Domain, haste: Haste) -> Result<Vec<KeyChange>, KeyError> {
        let (keyring, domain) = (self.clone(), domain.clone());
        let begun = move || {
            let mut ring = keyring.load(&domain)?;
            let now = keyring.now();
            for entry in ring.entries.iter_mut().filter(|entry| entry.stage == Stage::Prepared) {
                (entry.stage, entry.since) = (Stage::Waiting, now);
            }
            let made = keyring.add_missing(&mut ring, Stage::Waiting)?;
            keyring.keep(&mut ring)?;
            let told = made.into_iter().map(|selector| (selector, What::Made(Stage::Waiting))).collect();
            Ok((keyring.told(&ring, told)?, ring))
        };
        let (mut changes, ring) = blocking(begun).await?;
        let made: Vec<String> = changes.iter().map(|change| change.selector.clone()).collect();
        let more = self.look(ring, haste).await?;
        // That the record of a key is not there which was made a moment ago is no news.
        let is_news = |change: &KeyChange| {
            !(matches!(change.what, What::Missing(_)) && made.contains(&change.selector))
        };
        changes.extend(more.into_iter().filter(is_news));
        Ok(changes)
    }

    /// Retires a key that does not sign, at once and for good. Blocks on the disk.
    pub fn retire(&self, domain: &Domain, selector: &str) -> Result<Vec<KeyChange>, KeyError> {
        let mut ring = self.load(domain)?;
        let now = self.now();
        let entry = ring.entries.iter_mut().find(|entry| entry.selector == selector);
        let entry = entry.ok_or_else(|| {
            KeyError::Refused(format!("{domain} has no key {selector}; `maddy dkim list` shows its keys"))
        })?;
        match entry.stage {
            Stage::Signing => Err(KeyError::Refused(format!(
                "{selector} signs for {domain}: `maddy dkim rotate {domain}` first has another key sign"
            ))),
            Stage::Retired => Err(KeyError::Refused(format!("{selector} is retired already"))),
            _ => {
                (entry.stage, entry.since) = (Stage::Retired, now);
                let before = self.record(domain, selector)?;
                self.keep(&mut ring)?;
                self.told(&ring, vec![(selector.to_owned(), What::Retired(before))])
            }
        }
    }

    /// One look at all domains: what is due by age is begun, what the DNS shows is used, what has been kept long enough is
    /// retired. Trouble with one domain does not keep the others from theirs.
    pub async fn tend(&self) -> Vec<Result<Vec<KeyChange>, KeyError>> {
        let mut out = Vec::new();
        for domain in self.domains.iter().filter(|domain| domain.literal().is_none()) {
            out.push(self.tend_one(domain).await);
        }
        out
    }

    async fn tend_one(&self, domain: &Domain) -> Result<Vec<KeyChange>, KeyError> {
        let (keyring, domain) = (self.clone(), domain.clone());
        let begun = move || {
            let mut ring = keyring.load(&domain)?;
            let old = ring.clone();
            let told = keyring.age(&mut ring)?;
            if ring != old || ring.has_mourned {
                keyring.keep(&mut ring)?;
            }
            Ok((keyring.told(&ring, told)?, ring))
        };
        let (mut changes, ring) = blocking(begun).await?;
        changes.extend(self.look(ring, Haste::Settled).await?);
        Ok(changes)
    }

    /// What time alone brings: keys that are old enough to be replaced, and to be retired.
    fn age(&self, ring: &mut Ring) -> Result<Vec<(String, What)>, KeyError> {
        let (now, mut told) = (self.now(), Vec::new());
        let is_older = |entry: &Entry, than: Duration| now.saturating_sub(entry.since) >= seconds(than);
        if let Some(every) = self.rotation.every {
            for kind in KeyKind::ALL {
                let is_due = |entry: &Entry| entry.stage == Stage::Signing && is_older(entry, every);
                let under_way = ring
                    .of_kind(kind)
                    .any(|one| matches!(one.stage, Stage::Waiting | Stage::Seen) && !one.is_contradicted());
                if under_way || !ring.of_kind(kind).any(is_due) {
                    continue;
                }
                let prepared =
                    ring.entries.iter_mut().find(|one| one.kind == kind && one.stage == Stage::Prepared);
                if let Some(entry) = prepared {
                    (entry.stage, entry.since) = (Stage::Waiting, now);
                    continue;
                }
                ring.add(kind, Stage::Waiting, &self.selectors, now)?;
                told.extend(
                    ring.entries.last().map(|one| (one.selector.clone(), What::Made(Stage::Waiting))),
                );
            }
        }
        for entry in ring.entries.iter_mut().filter(|entry| entry.stage == Stage::Retiring) {
            if is_older(entry, self.rotation.keep) {
                (entry.stage, entry.since) = (Stage::Retired, now);
                let before = self.record(&ring.domain, &entry.selector)?;
                told.push((entry.selector.clone(), What::Retired(before)));
            }
        }
        Ok(told)
    }

    /// One key of each kind that has none to come. Gives their selectors.
    fn add_missing(&self, ring: &mut Ring, stage: Stage) -> Result<Vec<String>, KeyError> {
        let mut made = Vec::new();
        for kind in KeyKind::ALL {
            if !ring.of_kind(kind).any(|entry| entry.stage.is_to_come() && !entry.is_contradicted()) {
                ring.add(kind, stage, &self.selectors, self.now())?;
                made.extend(ring.entries.last().map(|entry| entry.selector.clone()));
            }
        }
        Ok(made)
    }

    fn load(&self, domain: &Domain) -> Result<Ring, KeyError> {
        if !self.domains.contains(domain) {
            return Err(KeyError::Refused(format!("{domain} is not in `domains`, so nothing signs for it")));
        }
        Ring::load(&self.dir, domain, &self.selectors, self.now())
    }

    /// What has to stand in the DNS of a key that is there.
    pub(super) fn record(&self, domain: &Domain, selector: &str) -> Result<Option<DnsRecord>, KeyError> {
        Ok(Key::read(&self.dir, domain, selector)?.map(|key| key.record(domain)))
    }

    /// The file first, then the keys that it names.
    pub(super) fn keep(&self, ring: &mut Ring) -> Result<(), KeyError> {
        ring.save(&self.dir)?;
        ring.materialize(&self.dir).map(drop)
    }

    /// Changes with the records that they are about.
    pub(super) fn told(&self, ring: &Ring, told: Vec<(String, What)>) -> Result<Vec<KeyChange>, KeyError> {
        let mut changes = Vec::with_capacity(told.len());
        for (selector, what) in told {
            let Some(entry) = ring.entries.iter().find(|entry| entry.selector == selector) else { continue };
            let record = match entry.stage {
                Stage::Retired => revoked(&ring.domain, entry),
                _ => Key::open(&self.dir, &ring.domain, &selector, entry.kind)?.record(&ring.domain),
            };
            changes.push(KeyChange { domain: ring.domain.clone(), selector, what, record });
        }
        Ok(changes)
    }

    pub(super) fn now(&self) -> i64 {
        self.world.clock.unix()
    }
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Work that waits for the disk, or makes a key.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, KeyError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| KeyError::Generate)?
}
