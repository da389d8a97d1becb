//! Brings a generation back into a state directory: whole, or not at all until it is done again. While it is under way
//! no daemon starts there.

use super::manifest::{Item, Manifest};
use super::owner::{OWNER, Taken};
use super::pace::{Breath, Pace};
use super::pieces::{self, Joiner};
use super::pool::{self, Pool, Put};
use super::snapshot::{self, FileBody};
use super::{
    BODIES, DATABASE, ELSEWHERE, MANIFEST, PIECES, SET_ASIDE, STATE, Step, UNFINISHED, Watcher, blocking,
    epoch, files, flush_dir, make_dir, tidy, with_path,
};
use crate::body::Hash;
use crate::error::{Error, Result, Trouble};
use crate::ids::Unix;
use crate::{body, schema};
use nix::fcntl::OFlag;
use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where things lie until they get their names.
const DRAFT: &str = ".restoring";
/// The lock of a state directory.
pub(super) const LOCK: &str = "maddy.lock";

/// What is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Former {
    /// Then nothing is restored.
    Refused,
    /// It is put into a directory of its own, within the state directory.
    SetAside,
}

/// Mail that waited to go out when the backup was made. It may have gone out since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It is tried, and may arrive twice.
    Kept,
    Dropped,
}

/// What to restore, and where.
#[derive(Clone, Debug)]
pub struct RestorePlan {
    /// The directory of the backup.
    pub from: PathBuf,
    /// The name of the generation; the newest, if not given.
    pub generation: Option<String>,
    pub state_dir: PathBuf,
    pub former: Former,
    pub queued: Queued,
    /// The numbers of the user and group who get a state directory that is root's.
    pub owner: Option<(u32, u32)>,
    pub now: Unix,
}

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestoreReport {
    pub generation: String,
    pub made: Unix,
    pub files: u64,
    pub bodies: u64,
    pub octets: u64,
    /// Bodies that are damaged or missing in the backup, by their hashes.
    pub damaged: Vec<String>,
    /// Where that is which was there before.
    pub set_aside: Option<PathBuf>,
    /// Files from elsewhere, which stay in the backup: where they are there.
    pub elsewhere: Vec<PathBuf>,
}

/// Restores a backup. Everything is compared with its hash on the way.
pub async fn restore(plan: RestorePlan, watcher: Watcher<'_>) -> Result<RestoreReport> {
    let (generation, made) = choose(&plan)?;
    let from = plan.from.join(&generation);
    make_dir(&plan.state_dir).map_err(|error| with_path(error, &plan.state_dir))?;
    let lock = take_lock(&plan.state_dir)?;
    let taken = Taken::take(&plan.state_dir, plan.owner)?;
    let mut report = RestoreReport { generation, made, ..RestoreReport::default() };
    // Read to its end before anything is touched.
    let manifest = Manifest::open(&from.join(MANIFEST))?;
    schema::knows(manifest.head.schema)?;
    report.set_aside = make_room(&plan)?;
    let draft = plan.state_dir.join(DRAFT);
    fresh_dir(&draft)?;
    watcher(Step { what: "copying the database", done: 0, octets: 0 });
    let (pieces, again) = (plan.from.join(PIECES), draft.clone());
    report = blocking(move || copy_files(manifest, &from, pieces, &again, report)).await?;
    report = copy_bodies(&plan, &draft, report, watcher).await?;
    epoch::begin(&draft.join(DATABASE), report.made, plan.now, plan.queued).await?;
    blocking(move || {
        let mut made = give_names(&plan.state_dir, &draft)?;
        made.push(LOCK.to_owned());
        made.extend(asides(&plan.state_dir)?);
        taken.give_back(&made)?;
        drop(lock);
        Ok(report)
    })
    .await
}

fn choose(plan: &RestorePlan) -> Result<(String, Unix)> {
    let mut list = tidy::generations(&plan.from)?;
    if let Some(name) = &plan.generation {
        list.retain(|one| one.name == *name);
    }
    let newest = list.pop().ok_or(Error::NotAllowed("there is no such backup in this directory"))?;
    Ok((newest.name, newest.made))
}

/// The lock of the state directory, which a daemon would hold.
fn take_lock(state: &Path) -> Result<File> {
    let path = state.join(LOCK);
    let mut options = File::options();
    options.create(true).truncate(false).write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    let file = options.open(&path);
    let file = file.map_err(|error| with_path(error, &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Trouble::InUse.into()),
        Err(fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

/// Entries of the state directory that a restore brings or that would be in its way.
fn entries(state: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(state)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let stays = matches!(name.as_str(), LOCK | "control.sock" | UNFINISHED | OWNER)
            || name.starts_with(SET_ASIDE);
        if !stays {
            names.push(name);
        }
    }
    Ok(names)
}

/// What was set aside, also by a restore that was broken off.
fn asides(state: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(state)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(SET_ASIDE) && entry.file_type()?.is_dir() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Sees to it that the state directory is empty and marked. The mark says how far it is: while what was there is set aside
/// nothing is removed; afterwards what is there is ours, from a restore that was broken off.
fn make_room(plan: &RestorePlan) -> Result<Option<PathBuf>> {
    let state = &plan.state_dir;
    let mark = match fs::read_to_string(state.join(UNFINISHED)) {
        Ok(text) => Some(text.trim_end().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let aside = match mark.as_deref() {
        Some("") => {
            for name in entries(state)? {
                let path = state.join(name);
                if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
            }
            return Ok(None);
        }
        Some(name) if name.starts_with(SET_ASIDE) && !name.contains('/') => Some(name.to_owned()),
        Some(_) => return Err(Error::corrupt("the mark of an unfinished restore makes no sense")),
        None if entries(state)?.is_empty() => None,
        None if plan.former == Former::Refused => {
            return Err(Error::NotAllowed("the state directory is not empty"));
        }
        None => Some(format!("{SET_ASIDE}{}", plan.now)),
    };
    if let Some(name) = &aside {
        write_mark(state, name)?;
        let dir = state.join(name);
        aside_dir(&dir)?;
        for entry in entries(state)? {
            fs::rename(state.join(&entry), dir.join(&entry))?;
        }
        flush_dir(&dir)?;
        flush_dir(state)?;
    }
    write_mark(state, "")?;
    Ok(aside.map(|name| state.join(name)))
}

/// A directory that nobody has made before us.
fn fresh_dir(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).map_err(|error| with_path(error, path))
}

/// The same, or that of a restore that was broken off; never a link.
fn aside_dir(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Error::NotAllowed("something stands where the former state would be set aside")),
        Err(_) => fresh_dir(path),
    }
}

fn write_mark(state: &Path, text: &str) -> Result<()> {
    let draft = state.join(format!("{UNFINISHED}.new"));
    let _ = fs::remove_file(&draft);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, state.join(UNFINISHED))?;
    Ok(flush_dir(state)?)
}

/// The database, put together from its pieces, and the files of the state.
fn copy_files(
    mut manifest: Manifest,
    from: &Path,
    pieces: PathBuf,
    draft: &Path,
    mut report: RestoreReport,
) -> Result<RestoreReport> {
    let mut breath = Breath::new(Pace::Full);
    let mut database = None;
    while let Some(item) = manifest.item()? {
        match item {
            Item::Piece { hash, size } => {
                let mut joiner = match database.take() {
                    Some(joiner) => joiner,
                    None => Joiner::begin(pieces.clone(), &draft.join(DATABASE))?,
                };
                joiner.add(&hash, size, &mut breath)?;
                database = Some(joiner);
            }
            Item::Database { hash, size } => {
                let joiner = database.take().ok_or_else(|| Error::corrupt("the backup has no database"))?;
                joiner.finish(&hash, size)?;
                report.files += 1;
                report.octets += size;
            }
            Item::File { path, .. } if path.starts_with(ELSEWHERE) => report.elsewhere.push(from.join(path)),
            Item::File { hash, size, mode, path } => {
                copy_file(&from.join(&path), &draft.join(within(&path)), (hash, size), mode, &mut breath)?;
                report.files += 1;
                report.octets += size;
            }
            Item::Body { .. } | Item::Damaged { .. } => {}
        }
    }
    if database.is_some() {
        return Err(Error::corrupt("the backup does not say what the pieces of its database make"));
    }
    flush_tree(draft)?;
    Ok(report)
}

/// The name of a file in a state directory.
fn within(path: &str) -> &str {
    path.strip_prefix(STATE).map_or(path, |path| path.trim_start_matches('/'))
}

fn copy_file(from: &Path, to: &Path, wanted: (Hash, u64), mode: u32, breath: &mut Breath) -> Result<()> {
    make_dir(to.parent().unwrap_or(to))?;
    let mut file = File::open(from).map_err(|error| with_path(error, from))?;
    if pool::copy(&mut file, to, 0o600, breath)? != wanted {
        return Err(pieces::changed(from));
    }
    files::set_mode(to, mode)
}

fn flush_tree(dir: &Path) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            flush_tree(&entry.path())?;
        }
    }
    Ok(flush_dir(dir)?)
}

/// The bodies that the database names, under the names that it has for them.
async fn copy_bodies(
    plan: &RestorePlan,
    draft: &Path,
    mut report: RestoreReport,
    watcher: Watcher<'_>,
) -> Result<RestoreReport> {
    let mut connection = snapshot::open(&draft.join(DATABASE)).await?;
    let mut pool = Pool::open(draft.join(BODIES))?;
    let mut after = 0;
    loop {
        let page = snapshot::file_bodies(&mut connection, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let (from, to) = (plan.from.join(BODIES), draft.join(BODIES));
        (pool, report) = blocking(move || {
            copy_page(&page, &from, &to, &mut pool, &mut report)?;
            Ok((pool, report))
        })
        .await?;
        watcher(Step { what: "copying bodies", done: report.bodies, octets: report.octets });
    }
    connection.end(drop).await?;
    blocking(move || pool.flush()).await?;
    Ok(report)
}

fn copy_page(
    page: &[FileBody],
    from: &Path,
    to: &Path,
    pool: &mut Pool,
    report: &mut RestoreReport,
) -> Result<()> {
    let mut breath = Breath::new(Pace::Full);
    for one in page {
        let source = pool::place(from, &one.hash);
        let target = body::path(to, &one.file);
        match pool.copy(&source, &target, &one.hash, one.size, &mut breath)? {
            Put::Damaged => report.damaged.push(blake3::Hash::from_bytes(one.hash).to_hex().to_string()),
            Put::Copied | Put::There => {
                report.bodies += 1;
                report.octets += one.size;
            }
        }
    }
    Ok(())
}

/// All is on the disk: it gets its names, which are told, the database last, and the mark goes.
fn give_names(state: &Path, draft: &Path) -> Result<Vec<String>> {
    let mut made = vec![DATABASE.to_owned()];
    for entry in fs::read_dir(draft)? {
        let name = entry?.file_name();
        if name != DATABASE {
            fs::rename(draft.join(&name), state.join(&name))?;
            made.push(name.to_string_lossy().into_owned());
        }
    }
    fs::rename(draft.join(DATABASE), state.join(DATABASE))?;
    fs::remove_dir(draft)?;
    flush_dir(state)?;
    fs::remove_file(state.join(UNFINISHED))?;
    flush_dir(state)?;
    Ok(made)
}
