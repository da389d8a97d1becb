//! A disk with its cache, as the log tells it: what is flushed, what waits, and what a power cut may leave of it.
//!
//! Promised by a flush is only what POSIX promises: the octets of the file, or the names in the directory, that were written
//! before the flush began. All else may be there or not, each write and each name for itself, and a write may be torn
//! between sectors. A rename is never half done: the old name goes only if the new one is there.

use crate::log::{Event, Log, Place};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use world::Random;

/// What a device writes whole or not at all.
const SECTOR: u64 = 512;

/// How much of what was not flushed a power cut spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mercy {
    Nothing,
    Everything,
    /// What came first, up to some moment.
    First,
    /// Each write or name by lot.
    Some,
    /// Each sector of each write by lot.
    Torn,
}

pub(crate) fn mercy(random: &dyn Random) -> Mercy {
    match random.below(5) {
        0 => Mercy::Nothing,
        1 => Mercy::Everything,
        2 => Mercy::First,
        3 => Mercy::Some,
        _ => Mercy::Torn,
    }
}

enum Change {
    Write { at: u64, octets: Vec<u8> },
    Length(u64),
}

#[derive(Default)]
struct File {
    /// As it is on the disk.
    flushed: Vec<u8>,
    /// How many changes are in `flushed`.
    settled: usize,
    waiting: Vec<Change>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Nothing,
    File(usize),
    Directory,
}

/// What a name stood for from some moment on.
struct Meaning {
    since: u64,
    target: Target,
    /// The name went to another by a rename of this moment.
    moved_to: Option<String>,
}

/// The flushed meaning, then those that wait.
type Name = Vec<Meaning>;

enum Sync {
    File { file: usize, changes: usize },
    Directory { path: String, moment: u64 },
}

/// What a disk does when it is told to flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Honesty {
    #[default]
    Flushes,
    /// Says yes to the flush of a file and does nothing.
    KeepsFiles,
    /// The same for directories.
    KeepsNames,
}

/// The state directory, on a disk with a cache.
#[derive(Default)]
pub(crate) struct Disk {
    honesty: Honesty,
    files: Vec<File>,
    by_inode: HashMap<u64, usize>,
    directories: HashMap<u64, String>,
    names: BTreeMap<String, Name>,
    syncs: HashMap<u64, Sync>,
    moment: u64,
}

/// What a power cut took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Taken {
    /// Writes that are missing, in part or in whole.
    pub(crate) writes: u64,
    /// Names that are not what they were.
    pub(crate) names: u64,
}

impl Disk {
    pub(crate) fn new(honesty: Honesty) -> Self {
        Self { honesty, ..Self::default() }
    }

    pub(crate) fn apply(&mut self, event: &Event<'_>) {
        self.moment += 1;
        match *event {
            Event::Start | Event::Fault => {}
            Event::Lost { inode } => {
                if let Some(&file) = self.by_inode.get(&inode) {
                    self.files[file].lose();
                }
            }
            Event::Open { inode, emptied, path } => self.open(inode, emptied, path),
            Event::Write { inode, at, octets } => {
                self.change(inode, Change::Write { at, octets: octets.to_vec() });
            }
            Event::Truncate { inode, len } => self.change(inode, Change::Length(len)),
            Event::Mkdir { inode, path } => {
                self.directories.insert(inode, path.to_owned());
                if !path.is_empty() {
                    self.set(path, Target::Directory, None);
                }
            }
            Event::Unlink { path } => self.set(path, Target::Nothing, None),
            Event::Rename { from, to } => {
                let target = self.target(from);
                if target == Target::Nothing {
                    // A socket: made anew at each start.
                    return;
                }
                assert!(target != Target::Directory, "{from} was renamed and is a directory");
                self.set(to, target, None);
                self.set(from, Target::Nothing, Some(to.to_owned()));
            }
            Event::SyncBegin { inode, number, path } => self.sync_begins(inode, number, path),
            Event::SyncEnd { number } => self.sync_ends(number),
        }
    }

    fn target(&self, path: &str) -> Target {
        self.names.get(path).and_then(|name| name.last()).map_or(Target::Nothing, |last| last.target)
    }

    fn set(&mut self, path: &str, target: Target, moved_to: Option<String>) {
        let flushed = || vec![Meaning { since: 0, target: Target::Nothing, moved_to: None }];
        let name = self.names.entry(path.to_owned()).or_insert_with(flushed);
        name.push(Meaning { since: self.moment, target, moved_to });
    }

    fn open(&mut self, inode: u64, emptied: bool, path: &str) {
        let file = match self.target(path) {
            Target::File(file) => file,
            _ => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.set(path, Target::File(file), None);
                file
            }
        };
        self.by_inode.insert(inode, file);
        if emptied {
            self.change(inode, Change::Length(0));
        }
    }

    fn change(&mut self, inode: u64, change: Change) {
        let file = *self.by_inode.get(&inode).expect("a file that was written was opened before");
        self.files[file].waiting.push(change);
    }

    fn sync_begins(&mut self, inode: u64, number: u64, path: &str) {
        let sync = match (self.directories.get(&inode), self.by_inode.get(&inode)) {
            (Some(path), _) => Sync::Directory { path: path.clone(), moment: self.moment },
            (None, Some(&file)) => {
                Sync::File { file, changes: self.files[file].settled + self.files[file].waiting.len() }
            }
            (None, None) => panic!("{path} was flushed and never made"),
        };
        self.syncs.insert(number, sync);
    }

    fn sync_ends(&mut self, number: u64) {
        match self.syncs.remove(&number).expect("a flush that ends has begun") {
            Sync::File { .. } if self.honesty == Honesty::KeepsFiles => {}
            Sync::Directory { .. } if self.honesty == Honesty::KeepsNames => {}
            Sync::File { file, changes } => self.files[file].settle(changes),
            Sync::Directory { path, moment } => {
                let below = self.names.iter_mut().filter(|(name, _)| parent(name) == path);
                let mut moved = Vec::new();
                for (_, name) in below {
                    moved.extend(flush_name(name, moment));
                }
                for (to, moment) in moved {
                    self.names.get_mut(&to).map(|name| flush_name(name, moment));
                }
            }
        }
    }

    /// A disk with nothing in its cache.
    pub(crate) fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        disk.take_in(root, "");
        disk
    }

    fn take_in(&mut self, at: &Path, path: &str) {
        let inode = fs::metadata(at).unwrap().ino();
        let target = if at.is_dir() {
            self.directories.insert(inode, path.to_owned());
            for entry in fs::read_dir(at).unwrap() {
                let name = entry.unwrap().file_name().into_string().unwrap();
                let below = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
                self.take_in(&at.join(name), &below);
            }
            Target::Directory
        } else {
            self.files.push(File { flushed: fs::read(at).unwrap(), ..File::default() });
            self.by_inode.insert(inode, self.files.len() - 1);
            Target::File(self.files.len() - 1)
        };
        if !path.is_empty() {
            self.names.insert(path.to_owned(), vec![Meaning { since: 0, target, moved_to: None }]);
        }
    }

    /// The honest disk at a place of the log.
    pub(crate) fn at(log: &Log, place: Place) -> Self {
        let mut disk = Self::new(Honesty::Flushes);
        log.events().take_while(|(after, _)| *after <= place).for_each(|(_, event)| disk.apply(&event));
        disk
    }

    /// Writes what a power cut at this moment may leave into the directory `root`, which is made. Without `same`, files and
    /// names may fare differently.
    pub(crate) fn cut(&self, root: &Path, same: Option<Mercy>, random: &dyn Random) -> Taken {
        let mut taken = Taken::default();
        let meanings = self.choose(same, random);
        fs::create_dir_all(root).unwrap();
        for (path, meaning) in &meanings {
            let latest = self.names[*path].len() - 1;
            taken.names += u64::from(*meaning != latest);
            let at = root.join(path);
            // A file whose directory is lost is lost as well.
            let has_parent = at.parent().is_some_and(Path::is_dir);
            match self.names[*path][*meaning].target {
                _ if !has_parent => {}
                Target::Nothing => {}
                Target::Directory => fs::create_dir(&at).unwrap(),
                Target::File(file) => {
                    let mercy = same.unwrap_or_else(|| mercy(random));
                    let octets = self.files[file].cut(mercy, random, &mut taken);
                    fs::write(&at, octets).unwrap();
                }
            }
        }
        taken
    }

    /// For each name, which of its meanings is on the disk.
    fn choose(&self, same: Option<Mercy>, random: &dyn Random) -> BTreeMap<&str, usize> {
        let mut chosen = BTreeMap::new();
        for (path, name) in &self.names {
            let latest = name.len() - 1;
            let meaning = match same {
                _ if latest == 0 => 0,
                Some(Mercy::Nothing) => 0,
                Some(Mercy::Everything) => latest,
                _ => random.below(name.len() as u64) as usize,
            };
            chosen.insert(path.as_str(), meaning);
        }
        for (path, name) in &self.names {
            for meaning in &name[..=chosen[path.as_str()]] {
                let Some(to) = &meaning.moved_to else { continue };
                let at_least = self.names[to].iter().rposition(|there| there.since <= meaning.since);
                let there = chosen.get_mut(to.as_str()).expect("a name that was renamed to is known");
                *there = (*there).max(at_least.unwrap_or(0));
            }
        }
        chosen
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// Makes the last meaning up to the moment the flushed one. Returns where renames among them went.
fn flush_name(name: &mut Name, moment: u64) -> Vec<(String, u64)> {
    let last = name.iter().rposition(|meaning| meaning.since <= moment).unwrap_or(0);
    let gone = name.drain(..last);
    let mut moved: Vec<_> = gone.filter_map(|old| Some((old.moved_to?, old.since))).collect();
    moved.extend(name[0].moved_to.take().map(|to| (to, name[0].since)));
    moved
}

impl File {
    /// The first so many changes are flushed.
    fn settle(&mut self, changes: usize) {
        let count = changes.saturating_sub(self.settled);
        for change in self.waiting.drain(..count) {
            apply(&mut self.flushed, &change);
        }
        self.settled += count;
    }

    /// What waits is gone from the cache and not on the disk, but for the length.
    fn lose(&mut self) {
        self.settled += self.waiting.len();
        for change in self.waiting.drain(..) {
            match change {
                Change::Length(len) => self.flushed.resize(len as usize, 0),
                Change::Write { at, octets } => {
                    let end = (at as usize + octets.len()).max(self.flushed.len());
                    self.flushed.resize(end, 0);
                }
            }
        }
    }

    fn cut(&self, mercy: Mercy, random: &dyn Random, taken: &mut Taken) -> Vec<u8> {
        let mut octets = self.flushed.clone();
        let spared = match mercy {
            Mercy::Nothing => 0,
            Mercy::First => random.below(self.waiting.len() as u64 + 1) as usize,
            _ => self.waiting.len(),
        };
        taken.writes += (self.waiting.len() - spared) as u64;
        // Most, half or few.
        let odds = [1, 5, 9][random.below(3) as usize];
        for change in &self.waiting[..spared] {
            let whole = match (mercy, change) {
                (Mercy::Everything | Mercy::First, _) => true,
                (Mercy::Torn, Change::Write { at, octets: written }) => {
                    taken.writes += u64::from(tear(&mut octets, *at, written, odds, random));
                    continue;
                }
                _ => random.below(10) < odds,
            };
            if whole {
                apply(&mut octets, change);
            } else {
                taken.writes += 1;
            }
        }
        octets
    }
}

fn apply(octets: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write { at, octets: written } => put(octets, *at, written),
        Change::Length(len) => octets.resize(*len as usize, 0),
    }
}

fn put(octets: &mut Vec<u8>, at: u64, written: &[u8]) {
    let at = at as usize;
    let end = at + written.len();
    if octets.len() < end {
        octets.resize(end, 0);
    }
    octets[at..end].copy_from_slice(written);
}

/// Writes some of the sectors. Returns whether any is missing.
fn tear(octets: &mut Vec<u8>, at: u64, written: &[u8], odds: u64, random: &dyn Random) -> bool {
    let end = at + written.len() as u64;
    let mut from = at;
    let mut torn = false;
    while from < end {
        let to = ((from / SECTOR + 1) * SECTOR).min(end);
        if random.below(10) < odds {
            put(octets, from, &written[(from - at) as usize..(to - at) as usize]);
        } else {
            torn = true;
        }
        from = to;
    }
    torn
}
