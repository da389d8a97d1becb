//! Before the schema of a database is changed a copy of it is made, so that there is a way back to the version before.

use crate::backup::UPGRADES;
use crate::config::Config;
use crate::error::{Error, Result, Trouble};
use crate::ids::Unix;
use crate::schema;
use crate::sqlite::{self, Places};
use std::fs::{self, DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Where SQLite keeps `PRAGMA user_version` in its file, and up to where it is to be read for that.
const VERSION: std::ops::Range<usize> = 60..64;
const HEADER: usize = 100;

/// Copies the database if its schema is about to change. The lock of the state directory is ours, and nobody has the
/// database open.
pub(crate) async fn keep_copy(places: &Places, config: &Config, now: Unix) -> Result<()> {
    if config.upgrade_copies == 0 || !looks_old(&places.database)? {
        return Ok(());
    }
    let connection = sqlite::open(&places.database)?;
    let found = schema::check(&connection);
    // Carries the log over, so that the file alone is the database.
    let carried = sqlite::finish(connection);
    let found = found?;
    if !(1..schema::newest()).contains(&found) {
        return Ok(());
    }
    if !carried {
        return Err(Trouble::Busy.into());
    }
    let (database, dir) = (places.database.clone(), config.dir.join(UPGRADES));
    let keep = config.upgrade_copies;
    let copied = tokio::task::spawn_blocking(move || copy(&database, &dir, found, now, keep));
    copied.await.map_err(|error| Error::bug(error.to_string()))?
}

/// Whether the file says that its schema is an earlier one. What is only in the log is newer than that, if anything.
fn looks_old(database: &Path) -> Result<bool> {
    let mut header = Vec::with_capacity(HEADER);
    File::open(database)?.take(HEADER as u64).read_to_end(&mut header)?;
    let version = header.get(VERSION).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
    Ok(version.is_some_and(|version| i64::from(version) < schema::newest()))
}

fn copy(database: &Path, dir: &Path, version: i64, now: Unix, keep: usize) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let name = format!("{now}-schema-{version}.db");
    let draft = dir.join(format!("{name}.new"));
    let copied = fs::copy(database, &draft).and_then(|_| File::open(&draft)?.sync_all());
    if let Err(error) = copied {
        let _ = fs::remove_file(&draft);
        return Err(error.into());
    }
    fs::rename(&draft, dir.join(&name))?;
    let mut names: Vec<_> = fs::read_dir(dir)?.filter_map(|entry| Some(entry.ok()?.file_name())).collect();
    names.sort_unstable();
    for old in names.iter().rev().skip(keep) {
        fs::remove_file(dir.join(old))?;
    }
    File::open(dir)?.sync_all()?;
    if let Some(above) = dir.parent() {
        File::open(above)?.sync_all()?;
    }
    tracing::info!(version, copy = name, "the database was copied before its schema is changed");
    Ok(())
}
