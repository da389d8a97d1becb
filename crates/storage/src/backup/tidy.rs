//! What lies in a backup: its generations, whether they are sound, and what nobody needs any more.

use super::manifest::{Item, Manifest};
use super::pace::{Breath, Pace};
use super::{BODIES, MANIFEST, NEW, OLD, PIECES, Step, Watcher, blocking, flush_dir, lock, pool, with_path};
use crate::body::Hash;
use crate::error::Result;
use crate::ids::Unix;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most findings that are listed.
const FINDINGS_MAX: usize = 1000;

/// A backup as it was made at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    pub name: String,
    pub made: Unix,
    /// The version of the program that made it.
    pub version: String,
    pub schema: i64,
}

/// What was found in a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupCheck {
    pub generations: u64,
    /// Files and bodies that were read.
    pub files: u64,
    pub octets: u64,
    /// What is wrong, as sentences.
    pub findings: Vec<String>,
}

/// The generations of a backup that have a sound manifest, the oldest first.
pub fn generations(dir: &Path) -> Result<Vec<Generation>> {
    Ok(all(dir)?.0)
}

/// The sound ones, and the names of the others.
fn all(dir: &Path) -> Result<(Vec<Generation>, Vec<String>)> {
    let (mut list, mut damaged) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(|error| with_path(error, dir))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let manifest = entry.path().join(MANIFEST);
        if name.starts_with('.') || !manifest.exists() {
            continue;
        }
        match Manifest::open(&manifest).map(|manifest| manifest.head) {
            Ok(head) => {
                list.push(Generation { name, made: head.made, version: head.version, schema: head.schema });
            }
            Err(_) => damaged.push(name),
        }
    }
    list.sort_by(|a, b| (a.made, &a.name).cmp(&(b.made, &b.name)));
    Ok((list, damaged))
}

/// Removes what commands left behind that did not come to their end.
pub(super) fn remove_drafts(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(NEW) || name.starts_with(OLD) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Keeps the newest generations, and the bodies and pieces that one of them names. `fresh` stays in any case: a clock that ran ahead
/// may have made others look newer. Returns the names of those that went.
pub(super) fn keep(dir: &Path, fresh: &str, count: usize) -> Result<Vec<String>> {
    let (mut list, damaged) = all(dir)?;
    list.sort_by_key(|one| one.name == fresh);
    let (old, kept) = list.split_at(list.len().saturating_sub(count));
    for one in old {
        let away = dir.join(format!("{OLD}{}", one.name));
        fs::rename(dir.join(&one.name), &away)?;
        flush_dir(dir)?;
        fs::remove_dir_all(away)?;
    }
    // What a damaged one names nobody knows: then all stays.
    if !old.is_empty() && damaged.is_empty() {
        let mut named = HashSet::new();
        for one in kept {
            let mut manifest = Manifest::open(&dir.join(&one.name).join(MANIFEST))?;
            while let Some(item) = manifest.item()? {
                if let Item::Body { hash, .. } | Item::Piece { hash, .. } = item {
                    named.insert(hash);
                }
            }
        }
        for pool in [BODIES, PIECES] {
            remove_others(&dir.join(pool), &named)?;
        }
    }
    Ok(old.iter().map(|one| one.name.clone()).collect())
}

fn remove_others(pool: &Path, named: &HashSet<Hash>) -> Result<()> {
    for folder in fs::read_dir(pool)? {
        let folder = folder?;
        if !folder.file_type()?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let hash = name.to_str().and_then(|name| blake3::Hash::from_hex(name).ok());
            if hash.is_none_or(|hash| !named.contains(hash.as_bytes())) {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// Reads everything in a backup and compares it with the manifests.
pub async fn check_backup(dir: PathBuf, watcher: Watcher<'_>) -> Result<BackupCheck> {
    let locked = lock(&dir)?;
    let mut check = BackupCheck::default();
    let mut seen = HashSet::new();
    let (list, damaged) = all(&dir)?;
    for name in damaged {
        check.findings.push(format!("{name}: its manifest is cut off or changed"));
    }
    for one in list {
        check.generations += 1;
        let mut manifest = Manifest::open(&dir.join(&one.name).join(MANIFEST))?;
        loop {
            let (dir, name) = (dir.clone(), one.name.clone());
            let more;
            (manifest, check, seen, more) = blocking(move || {
                let more = check_some(&dir, &name, &mut manifest, &mut check, &mut seen)?;
                Ok((manifest, check, seen, more))
            })
            .await?;
            watcher(Step { what: "reading the backup", done: check.files, octets: check.octets });
            if !more {
                break;
            }
        }
    }
    if check.generations == 0 {
        check.findings.push(format!("there is no backup in {}", dir.display()));
    }
    drop(locked);
    Ok(check)
}

/// Reads some things of a generation; whether there are more.
fn check_some(
    dir: &Path,
    name: &str,
    manifest: &mut Manifest,
    check: &mut BackupCheck,
    seen: &mut HashSet<(&'static str, Hash)>,
) -> Result<bool> {
    /// Things between two looks at how far it is.
    const SOME: usize = 100;
    let mut breath = Breath::new(Pace::Full);
    for _ in 0..SOME {
        let (path, hash, size) = match manifest.item()? {
            None => return Ok(false),
            // Of the pieces that stand in a manifest that is whole there can be nothing but this database.
            Some(Item::Damaged { .. } | Item::Database { .. }) => continue,
            Some(Item::Body { hash, .. }) if !seen.insert((BODIES, hash)) => continue,
            Some(Item::Piece { hash, .. }) if !seen.insert((PIECES, hash)) => continue,
            Some(Item::Body { hash, size }) => (pool::place(&dir.join(BODIES), &hash), hash, size),
            Some(Item::Piece { hash, size }) => (pool::place(&dir.join(PIECES), &hash), hash, size),
            Some(Item::File { hash, size, path, .. }) => (dir.join(name).join(path), hash, size),
        };
        check.files += 1;
        check.octets += size;
        let finding = match pool::read(&path, &mut breath) {
            Ok(found) if found == (hash, size) => continue,
            Ok(_) => "its octets have changed".to_owned(),
            Err(error) => error.to_string(),
        };
        if check.findings.len() < FINDINGS_MAX {
            let path = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
            check.findings.push(format!("{path}: {finding}"));
        }
    }
    Ok(true)
}
