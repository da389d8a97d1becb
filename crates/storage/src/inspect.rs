//! Looks at a whole state directory beside the process that works on it, and says what is wrong.

use crate::backup::with_path;
use crate::blocking::{self, Blocking, Readers};
use crate::body::{self, Folder};
use crate::error::{Error, Result};
use crate::ids::{AccountId, Unix};
use crate::sql;
use crate::sqlite::{Places, READER_CACHE_KIB};
use crate::store::Store;
use crate::verify;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use world::Meter;

/// A file of a body that no row names is one that is just coming, unless it is as old as this, in seconds.
const STRAY_AGE: i64 = 3600;
/// Connections to read by.
const READERS: u32 = 2;

/// A state directory that is looked at.
pub struct Inspection {
    dir: PathBuf,
    readers: Readers,
    bodies: Folder,
}

impl std::fmt::Debug for Inspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inspection({})", self.dir.display())
    }
}

/// What some bodies are like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BodiesRead {
    /// Go on from here.
    pub last: i64,
    pub bodies: u64,
    pub octets: u64,
    /// What is wrong, as sentences.
    pub findings: Vec<String>,
}

impl Inspection {
    /// Opens the database of a state directory for reading.
    pub async fn open(dir: &Path) -> Result<Self> {
        let places = Places::of(dir);
        std::fs::metadata(&places.database).map_err(|error| with_path(error, &places.database))?;
        let readers = Arc::new(Blocking::new(places.database.clone(), READERS, Meter::default()));
        let bodies = Folder::new(places.bodies.clone(), String::new());
        Ok(Self { dir: dir.to_owned(), readers, bodies })
    }

    /// The database: its pages and indexes, its counters, and what its rows say of each other.
    pub async fn database(&self) -> Result<Vec<String>> {
        verify::database(&self.readers).await
    }

    /// How many bodies there are, and their octets.
    pub async fn count_bodies(&self) -> Result<(u64, u64)> {
        let sql = "SELECT count(*), coalesce(sum(size), 0) FROM body";
        let (count, octets): (i64, i64) = sql::query_as(sql).fetch_one(&self.readers).await?;
        Ok((count.unsigned_abs(), octets.unsigned_abs()))
    }

    /// Some bodies behind `after`, against their hashes; `None`: there are no more. Begin with 0.
    pub async fn bodies(&self, after: i64) -> Result<Option<BodiesRead>> {
        verify::bodies(&self.readers, &self.bodies, after).await
    }

    /// Files among the bodies that no row names, and that are older than an hour.
    pub async fn strays(&self, now: Unix) -> Result<Vec<PathBuf>> {
        strays(&self.readers, &self.bodies, now).await
    }

    /// Search indexes that are damaged, by account, and how.
    pub async fn search_indexes(&self) -> Result<Vec<(AccountId, String)>> {
        let mut damaged = Vec::new();
        let Ok(entries) = std::fs::read_dir(self.dir.join("search")) else { return Ok(damaged) };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(number) = name.strip_suffix(".db").and_then(|name| name.parse().ok()) else { continue };
            match check(&entry.path()).await {
                Ok(lines) if lines == ["ok"] => {}
                Ok(lines) => damaged.push((AccountId(number), lines.join("; "))),
                // It is being made, or was just thrown away.
                Err(Error::Trouble(crate::Trouble::Busy | crate::Trouble::Io(_))) => {}
                Err(error) => damaged.push((AccountId(number), error.to_string())),
            }
        }
        Ok(damaged)
    }

    pub async fn close(self) {
        self.readers.close().await;
    }
}

/// Files among the bodies that no row names, and that are older than an hour.
async fn strays(readers: &Readers, bodies: &Folder, now: Unix) -> Result<Vec<PathBuf>> {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let old = bodies.files()?.into_iter().filter(|(_, changed)| *changed < now - STRAY_AGE);
    let mut old: HashMap<String, PathBuf> = old.filter_map(|(path, _)| Some((name(&path)?, path))).collect();
    let names: Vec<String> = old.keys().cloned().collect();
    let mut strays = Vec::new();
    for names in names.chunks(1000) {
        let without = body::without_row(readers, names).await?;
        strays.extend(without.iter().filter_map(|name| old.remove(name)));
    }
    strays.sort();
    Ok(strays)
}

impl Store {
    /// Removes the files that [`Inspection::strays`] names, and tells how many there were. Not while a backup holds them
    /// ([`Store::hold_bodies`]): then none goes, and it is said.
    pub async fn remove_strays(&self, now: Unix) -> Result<u64> {
        let strays = strays(self.readers(), self.bodies(), now).await?;
        // Looked at after the rows: a snapshot that names one of these was made while it was held.
        if !strays.is_empty() && self.body_hold().is_on() {
            return Err(Error::NotAllowed("a backup is under way, and needs the files that no message uses"));
        }
        let mut removed = 0;
        for path in strays {
            match std::fs::remove_file(&path) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(with_path(error, &path)),
            }
        }
        Ok(removed)
    }
}

async fn check(path: &Path) -> Result<Vec<String>> {
    let path = path.to_owned();
    let look = move || {
        let connection = blocking::open(&path, READER_CACHE_KIB)?;
        sql::query_scalar("PRAGMA quick_check(3)").values(&connection)
    };
    tokio::task::spawn_blocking(look).await.map_err(|error| Error::bug(error.to_string()))?
}
