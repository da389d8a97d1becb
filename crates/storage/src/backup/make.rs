//! Makes a generation.

use super::files::{self, Extra};
use super::manifest::{Head, Item, Manifest, Pen};
use super::pace::{Breath, Pace};
use super::pieces::{Cut, Cutter};
use super::pool::{Pool, Put};
use super::snapshot::{self, FileBody};
use super::{
    BODIES, DATABASE, MANIFEST, NEW, PIECES, Step, Watcher, blocking, flush_dir, lock, make_dir, tidy,
    with_path,
};
use crate::body;
use crate::error::{Error, Result};
use crate::ids::Unix;
use std::fs;
use std::path::{Path, PathBuf};

/// What is to be copied, and where to.
#[derive(Clone, Debug)]
pub struct BackupPlan {
    pub state_dir: PathBuf,
    /// The directory of the backup; made if it is not there.
    pub to: PathBuf,
    /// Files from elsewhere that belong to the state.
    pub extra: Vec<Extra>,
    /// Generations that stay, this one included; at least 1.
    pub keep: usize,
    pub pace: Pace,
    pub now: Unix,
    /// The version of the program.
    pub version: String,
}

/// What was copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// The name of the generation.
    pub generation: String,
    /// Octets of the database, and of its pieces that were not there before.
    pub database: u64,
    pub new_database: u64,
    /// Files of the state besides.
    pub files: u64,
    /// Bodies in files of their own: all, and those that were not there before, with their octets.
    pub bodies: u64,
    pub new_bodies: u64,
    pub new_octets: u64,
    /// Bodies that are damaged or missing in the store, by their hashes.
    pub damaged: Vec<String>,
    /// Things in the state directory that are no plain files, and are not in the backup.
    pub left: Vec<String>,
    /// Generations that were taken away.
    pub removed: Vec<String>,
}

/// Makes a backup of a state directory. Whoever works on it must not remove bodies meanwhile ([`crate::Store::hold_bodies`]).
pub async fn back_up(plan: BackupPlan, watcher: Watcher<'_>) -> Result<BackupReport> {
    make_dir(&plan.to).map_err(|error| with_path(error, &plan.to))?;
    if inside(&plan.to, &plan.state_dir)? {
        return Err(Error::NotAllowed("a backup cannot lie in the state directory itself"));
    }
    let locked = lock(&plan.to)?;
    tidy::remove_drafts(&plan.to)?;
    let name = free_name(&plan.to, plan.now);
    let draft = plan.to.join(format!("{NEW}{name}"));
    make_dir(&draft)?;
    watcher(Step { what: "copying the database", done: 0, octets: 0 });
    let database = draft.join(DATABASE);
    snapshot::take(&plan.state_dir.join(DATABASE), &database, plan.pace, watcher).await?;
    let mut report = BackupReport { generation: name.clone(), ..BackupReport::default() };
    let mut connection = snapshot::open(&database).await?;
    let schema = snapshot::version(&mut connection).await?;
    let head = Head { made: plan.now, version: plan.version.clone(), schema };
    let mut pen = Pen::create(&draft.join(MANIFEST), &head)?;
    (pen, report) = cut(&plan, &draft, pen, report, watcher).await?;
    (pen, report) = copy_files(&plan, &draft, pen, report).await?;
    let mut pool = Pool::open(plan.to.join(BODIES))?;
    let mut after = 0;
    loop {
        let page = snapshot::file_bodies(&mut connection, after).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        let (state, pace) = (plan.state_dir.clone(), plan.pace);
        (pool, pen, report) = blocking(move || {
            keep_page(&state, &page, &mut pool, &mut pen, &mut report, pace)?;
            Ok((pool, pen, report))
        })
        .await?;
        watcher(Step { what: "copying bodies", done: report.bodies, octets: report.new_octets });
    }
    connection.end(drop).await?;
    blocking(move || {
        fs::remove_file(database)?;
        pool.flush()?;
        pen.finish()?;
        // Read back: what is on the disk is a manifest, and complete.
        Manifest::open(&draft.join(MANIFEST))?;
        flush_dir(&draft)?;
        fs::rename(&draft, plan.to.join(&name))?;
        flush_dir(&plan.to)?;
        report.removed = tidy::keep(&plan.to, &name, plan.keep.max(1))?;
        drop(locked);
        Ok(report)
    })
    .await
}

/// Whether a directory lies in another, or is it.
fn inside(inner: &Path, outer: &Path) -> Result<bool> {
    Ok(inner.canonicalize()?.starts_with(outer.canonicalize()?))
}

/// A name that no generation has: the time, and a number if that second has one.
fn free_name(dir: &Path, now: Unix) -> String {
    let iso = mail::date::print_iso(now);
    let name: String = iso.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    let mut names = std::iter::once(name.clone()).chain((2..).map(|number| format!("{name}-{number}")));
    names.find(|name| !dir.join(name).exists()).unwrap_or(name)
}

/// The pieces of the database that the backup does not have yet.
async fn cut(
    plan: &BackupPlan,
    draft: &Path,
    mut pen: Pen,
    mut report: BackupReport,
    watcher: Watcher<'_>,
) -> Result<(Pen, BackupReport)> {
    /// Pieces between two words on how far it is.
    const SOME: u64 = 100;
    let (mut cutter, pace) = (Cutter::begin(&draft.join(DATABASE), plan.to.join(PIECES), draft)?, plan.pace);
    let (mut pieces, mut more) = (0, true);
    while more {
        (cutter, pen, pieces, more) = blocking(move || {
            let mut breath = Breath::new(pace);
            for _ in 0..SOME {
                let Some((hash, size)) = cutter.next(&mut breath)? else {
                    return Ok((cutter, pen, pieces, false));
                };
                pen.add(&Item::Piece { hash, size })?;
                pieces += 1;
            }
            Ok((cutter, pen, pieces, true))
        })
        .await?;
        watcher(Step { what: "comparing pieces of the database", done: pieces, octets: cutter.octets() });
    }
    blocking(move || {
        report.new_database = cutter.new_octets();
        let Cut { hash, size } = cutter.finish()?;
        report.database = size;
        pen.add(&Item::Database { hash, size })?;
        Ok((pen, report))
    })
    .await
}

/// The files of the state.
async fn copy_files(
    plan: &BackupPlan,
    draft: &Path,
    mut pen: Pen,
    mut report: BackupReport,
) -> Result<(Pen, BackupReport)> {
    let (plan, draft) = (plan.clone(), draft.to_owned());
    blocking(move || {
        let copied = files::copy_all(&plan.state_dir, &plan.extra, &draft, &mut Breath::new(plan.pace))?;
        for item in &copied.items {
            pen.add(item)?;
        }
        report.files = copied.items.len() as u64;
        report.left = copied.left;
        Ok((pen, report))
    })
    .await
}

fn keep_page(
    state: &Path,
    page: &[FileBody],
    pool: &mut Pool,
    pen: &mut Pen,
    report: &mut BackupReport,
    pace: Pace,
) -> Result<()> {
    let mut breath = Breath::new(pace);
    for one in page {
        let from = body::path(&state.join(BODIES), &one.file);
        report.bodies += 1;
        match pool.keep(&from, &one.hash, one.size, &mut breath)? {
            Put::There => {}
            Put::Copied => {
                report.new_bodies += 1;
                report.new_octets += one.size;
            }
            Put::Damaged => {
                report.damaged.push(blake3::Hash::from_bytes(one.hash).to_hex().to_string());
                pen.add(&Item::Damaged { hash: one.hash })?;
                continue;
            }
        }
        pen.add(&Item::Body { hash: one.hash, size: one.size })?;
    }
    Ok(())
}
