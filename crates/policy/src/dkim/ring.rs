//! The keys of one domain, each in its stage of life, and the file beside them that remembers it.
//!
//! The file is written before a key is made and before one is removed, so that after a crash at any point the next look
//! finishes what was begun: a key that is named and not there is made, one that is retired and still there is removed.

use super::keys::{DnsRecord, Key, KeyError, KeyKind, read_file, record_name, write_new};
use super::sign::Selectors;
use mail::Domain;
use mail::date::day_of;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Most keys of a domain that are remembered; of those that are retired the oldest go first.
pub const KEYS_MAX: usize = 32;
const HEAD: &str = "# DKIM keys: selector, kind, stage, since when (seconds since 1970), what the DNS has shown of it. \
                    Written by the server.";

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Made, to be published; it is not used until somebody asks for a rotation.
    Prepared,
    /// Signs as soon as the DNS shows its record.
    Waiting,
    /// The DNS shows its record; it signs when that has lasted.
    Seen,
    /// Signs.
    Signing,
    /// Signs no more; its record must stay, for mail that is still on its way or waits to be read.
    Retiring,
    /// Its private half is gone, and its record may be taken out of the DNS or revoked.
    Retired,
}

impl Stage {
    const ALL: [Self; 6] =
        [Self::Prepared, Self::Waiting, Self::Seen, Self::Signing, Self::Retiring, Self::Retired];

    pub fn word(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Waiting => "waiting",
            Self::Seen => "seen",
            Self::Signing => "signing",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    /// Whether the record has to stand in the DNS.
    pub fn is_published(self) -> bool {
        self != Self::Retired
    }

    /// Whether it is to sign one day.
    pub(super) fn is_to_come(self) -> bool {
        matches!(self, Self::Prepared | Self::Waiting | Self::Seen)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the DNS has shown of a key so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Witness {
    /// Its record was never seen.
    None,
    /// Its record was seen.
    Shown,
    /// Its record was seen, and since then (in seconds since 1970) another one in its place.
    Doubted(i64),
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Shown => f.write_str(" shown"),
            Self::Doubted(since) => write!(f, " doubted={since}"),
        }
    }
}

impl Witness {
    fn read(word: &str) -> Option<Self> {
        match word.split_once('=') {
            None => (word == "shown").then_some(Self::Shown),
            Some(("doubted", since)) => since.parse().ok().map(Self::Doubted),
            Some(_) => None,
        }
    }
}

/// A key without its octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) selector: String,
    pub(super) kind: KeyKind,
    pub(super) stage: Stage,
    /// When it came into this stage, in seconds since 1970.
    pub(super) since: i64,
    pub(super) witness: Witness,
}

impl Entry {
    fn new(selector: String, kind: KeyKind, stage: Stage, since: i64) -> Self {
        Self { selector, kind, stage, since, witness: Witness::None }
    }

    /// Whether it waits because the DNS shows another key in its place.
    pub(super) fn is_contradicted(&self) -> bool {
        self.stage == Stage::Waiting && matches!(self.witness, Witness::Doubted(_))
    }
}

/// All keys of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ring {
    pub(super) domain: Domain,
    pub(super) entries: Vec<Entry>,
    /// Lost keys were given up, and the file does not say so yet.
    pub(super) has_mourned: bool,
}

impl Ring {
    /// What the file says, and the keys that the configuration names; nothing is written. Of keys that were never heard
    /// of the first of its kind signs at once, for there is nothing else to sign with.
    pub(super) fn load(
        dir: &Path,
        domain: &Domain,
        selectors: &Selectors,
        now: i64,
    ) -> Result<Self, KeyError> {
        let path = file_of(dir, domain);
        let entries = match read_file(&path) {
            Ok(text) => {
                read(&text).ok_or(KeyError::Content(path, "a line is not as the server writes it"))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(KeyError::File(path, error)),
        };
        let mut ring = Self { domain: domain.clone(), entries, has_mourned: false };
        ring.mourn(dir, selectors, now)?;
        for kind in KeyKind::ALL {
            let base = selectors.of(kind);
            if ring.of_kind(kind).all(|entry| !descends(&entry.selector, base)) {
                let has_signer =
                    ring.of_kind(kind).any(|entry| matches!(entry.stage, Stage::Signing | Stage::Waiting));
                let stage = if has_signer { Stage::Waiting } else { Stage::Signing };
                ring.entries.push(Entry::new(base.to_owned(), kind, stage, now));
            }
        }
        Ok(ring)
    }

    /// Keys whose files are lost sign no more, and nobody signs again under their names: others have their records. Where one
    /// signed, another waits in its place.
    fn mourn(&mut self, dir: &Path, selectors: &Selectors, now: i64) -> Result<(), KeyError> {
        let is_lost = |entry: &Entry| {
            matches!(entry.stage, Stage::Signing | Stage::Retiring)
                && !Key::is_there(dir, &self.domain, &entry.selector)
        };
        let lost: Vec<usize> = (0..self.entries.len()).filter(|at| is_lost(&self.entries[*at])).collect();
        self.has_mourned = !lost.is_empty();
        for at in lost {
            let Entry { kind, stage, .. } = self.entries[at].clone();
            (self.entries[at].stage, self.entries[at].since) = (Stage::Retired, now);
            let has_other = self.of_kind(kind).any(|one| matches!(one.stage, Stage::Waiting | Stage::Seen));
            if stage == Stage::Signing && !has_other {
                self.add(kind, Stage::Waiting, selectors, now)?;
            }
        }
        Ok(())
    }

    /// Whether the record of a key was seen in the DNS.
    pub(super) fn has_shown(&self, selector: &str) -> bool {
        self.entries.iter().any(|entry| entry.selector == selector && entry.witness != Witness::None)
    }

    pub(super) fn of_kind(&self, kind: KeyKind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// Writes the file: whole or not at all.
    pub(super) fn save(&mut self, dir: &Path) -> Result<(), KeyError> {
        while self.entries.len() > KEYS_MAX
            && let Some(oldest) = self.entries.iter().position(|entry| entry.stage == Stage::Retired)
        {
            self.entries.remove(oldest);
        }
        let path = file_of(dir, &self.domain);
        let mut text = format!("{HEAD}\n");
        for Entry { selector, kind, stage, since, witness } in &self.entries {
            text.push_str(&format!("{selector} {} {stage} {since}{witness}\n", kind.word()));
        }
        super::keys::make_dir(dir)
            .and_then(|()| write_new(&path, text.as_bytes()))
            .map_err(|error| KeyError::File(path, error))?;
        self.has_mourned = false;
        Ok(())
    }

    /// A key of its own name, which no key of this domain ever had.
    pub(super) fn add(
        &mut self,
        kind: KeyKind,
        stage: Stage,
        selectors: &Selectors,
        now: i64,
    ) -> Result<(), KeyError> {
        let day = day_of(now);
        let base = format!("{}-{:04}{:02}{:02}", selectors.of(kind), day.year, day.month, day.day);
        let is_free = |name: &str| self.entries.iter().all(|entry| entry.selector != name);
        let names = std::iter::once(base.clone()).chain(('b'..='z').map(|letter| format!("{base}{letter}")));
        let selector = names
            .into_iter()
            .find(|name| is_free(name))
            .ok_or_else(|| KeyError::Refused(format!("{} has had too many keys today", self.domain)))?;
        if Domain::parse(&record_name(&selector, &self.domain)).is_err() {
            return Err(KeyError::Refused(format!("the name of the selector {selector} is too long")));
        }
        self.entries.push(Entry::new(selector, kind, stage, now));
        Ok(())
    }

    /// Makes the keys that are named and not there, and removes those that are retired. Blocks on the disk.
    pub(super) fn materialize(&self, dir: &Path) -> Result<Vec<Key>, KeyError> {
        let mut keys = Vec::new();
        for entry in &self.entries {
            if entry.stage == Stage::Retired {
                Key::remove(dir, &self.domain, &entry.selector)?;
            } else {
                keys.push(Key::open(dir, &self.domain, &entry.selector, entry.kind)?);
            }
        }
        Ok(keys)
    }
}

/// What stands in the DNS of a key that was given up, so that nobody takes old signatures any more (RFC 6376 §3.6.1:
/// an empty `p=`).
pub(super) fn revoked(domain: &Domain, entry: &Entry) -> DnsRecord {
    DnsRecord {
        name: record_name(&entry.selector, domain),
        text: format!("v=DKIM1; k={}; p=", entry.kind.word()),
    }
}

fn file_of(dir: &Path, domain: &Domain) -> PathBuf {
    dir.join(format!("{domain}.keys"))
}

/// Whether a selector is the one that the configuration names, or one that was made after it.
fn descends(selector: &str, base: &str) -> bool {
    selector == base || selector.strip_prefix(base).is_some_and(|rest| rest.starts_with('-'))
}

fn read(text: &str) -> Option<Vec<Entry>> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let entries: Option<Vec<Entry>> = lines.map(read_line).collect();
    entries.filter(|entries| entries.len() <= 2 * KEYS_MAX)
}

fn read_line(line: &str) -> Option<Entry> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (selector, kind, stage, since, witness) = match words.as_slice() {
        [selector, kind, stage, since] => (selector, kind, stage, since, Witness::None),
        [selector, kind, stage, since, witness] => (selector, kind, stage, since, Witness::read(witness)?),
        _ => return None,
    };
    // A file is named after it.
    let selector = Domain::parse(selector).ok().filter(|name| name.literal().is_none())?;
    Some(Entry {
        selector: selector.as_str().to_owned(),
        kind: KeyKind::ALL.into_iter().find(|known| known.word() == *kind)?,
        stage: Stage::ALL.into_iter().find(|known| known.word() == *stage)?,
        since: since.parse().ok()?,
        witness,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let text = "# x\nmaddy rsa retiring 5\n\nmaddy-20260101 rsa signing 7\nm-ed ed25519 seen 8\n\
                    a rsa signing 9 shown\nb rsa signing 9 doubted=12\n";
        let entries = read(text).unwrap();
        let shown: Vec<String> = entries
            .iter()
            .map(|one| {
                format!("{} {} {} {}{}", one.selector, one.kind.word(), one.stage, one.since, one.witness)
            })
            .collect();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        assert_eq!(shown, lines.collect::<Vec<_>>());
        for bad in [
            "x",
            "a rsa signing",
            "a rsa signing x",
            "a dsa signing 1",
            "../a rsa signing 1",
            "a rsa on 1",
            "a rsa signing 1 hidden",
            "a rsa signing 1 doubted=x",
            "a rsa signing 1 shown 2",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_selector_of_the_configuration_is_told_from_another() {
        for (selector, base, want) in [
            ("maddy", "maddy", true),
            ("maddy-20260101", "maddy", true),
            ("maddy2", "maddy", false),
            ("mad", "maddy", false),
        ] {
            assert_eq!(descends(selector, base), want, "{selector} {base}");
        }
    }
}
