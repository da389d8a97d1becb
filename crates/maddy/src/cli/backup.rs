//! `backup`: the whole state into a directory, while the daemon runs.

use crate::admin::{BackupHold, BackupRelease, Operation};
use crate::cli::args::Global;
use crate::cli::import::Progress;
use crate::cli::{Connection, Trouble, output, source};
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use storage::backup::{self, BackupPlan, BackupReport, Extra, Pace, Step};

/// How often the daemon is asked to go on keeping body files.
const RENEW: Duration = Duration::from_secs(60);
/// How long it may be away: less than it keeps them by itself after its start.
const AWAY_MAX: Duration = Duration::from_secs(300);
/// Pause between two looks whether it is back.
const AWAY_PAUSE: Duration = Duration::from_secs(2);
/// Most files of a directory of keys that lies outside of the state directory.
const KEYS_MAX: usize = 10_000;

#[derive(Clone, Debug, Args)]
pub(crate) struct BackupCommand {
    /// The directory of the backup, made if it is not there
    dir: PathBuf,
    /// Backups that are kept in it, this one included
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
    keep: u16,
    /// Do not leave half of the disk's time to others
    #[arg(long)]
    full_speed: bool,
    /// List the backups in the directory instead of making one
    #[arg(long, conflicts_with_all = ["keep", "full_speed", "verify"])]
    list: bool,
    /// Read everything in the directory and compare it with its hashes, instead of making a backup
    #[arg(long, conflicts_with_all = ["keep", "full_speed"])]
    verify: bool,
}

pub(crate) async fn run(command: &BackupCommand, global: &Global) -> Result<(), Trouble> {
    if command.list {
        return list(&command.dir, global);
    }
    if command.verify {
        return verify(&command.dir, global).await;
    }
    let extra = extra(global)?;
    Connection::with(global, async |server| {
        let plan = BackupPlan {
            state_dir: server.state_dir()?.to_owned(),
            to: command.dir.clone(),
            extra,
            keep: usize::from(command.keep),
            pace: if command.full_speed { Pace::Full } else { Pace::Gentle },
            now: server.now(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let report = held(server, plan, global).await?;
        print(&command.dir, &report, global)?;
        if report.damaged.is_empty() { Ok(()) } else { Err(Trouble::new("")) }
    })
    .await
}

/// Makes the backup while the daemon is asked again and again to keep the bodies.
async fn held(server: &Connection, plan: BackupPlan, global: &Global) -> Result<BackupReport, Trouble> {
    let holder = u64::from(std::process::id());
    server.call(BackupHold { holder }).await?;
    let renew = async {
        loop {
            tokio::time::sleep(RENEW).await;
            let since = Instant::now();
            while let Err(trouble) = tell(server, BackupHold { holder }).await {
                if since.elapsed() > AWAY_MAX {
                    return trouble;
                }
                tokio::time::sleep(AWAY_PAUSE).await;
            }
        }
    };
    let progress = Mutex::new(Progress::start(global));
    let done = {
        let watcher = watcher(&progress);
        tokio::select! {
            done = backup::back_up(plan, &watcher) => done.map_err(|error| Trouble::new(error.to_string())),
            trouble = renew => Err(Trouble::new(format!("the daemon went away meanwhile: {trouble}"))),
        }
    };
    // If it does not hear this, its time runs out.
    let _ = tell(server, BackupRelease { holder }).await;
    progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).end();
    done
}

/// Tells a daemon, and none but a daemon: one that is just being started anew holds the files by itself, and is asked when it is
/// back. Meanwhile nobody takes its place.
async fn tell<O: Operation>(server: &Connection, operation: O) -> Result<(), Trouble> {
    if !server.is_daemon() {
        return server.call(operation).await.map(|_| ());
    }
    let arguments = serde_json::to_value(&operation).map_err(|error| Trouble::new(error.to_string()))?;
    server.ask_daemon(O::NAME, &arguments).await.map(|_| ())
}

/// Shows each step.
pub(super) fn watcher(progress: &Mutex<Progress>) -> impl Fn(Step) + Sync + '_ {
    |step| {
        let (what, octets) = (step.what, output::size(step.octets));
        let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        progress.show(&format!("{what}: {} done, {octets}", step.done));
    }
}

/// What belongs to the server and lies outside of the state directory: its configuration, and keys.
fn extra(global: &Global) -> Result<Vec<Extra>, Trouble> {
    if global.state_dir.is_some() {
        return Ok(Vec::new());
    }
    let config = source(global).read_settings()?;
    let mut extra = vec![Extra { name: "maddy.conf".to_owned(), path: global.config() }];
    let keys = config.keys_dir();
    if keys.starts_with(config.state_dir()) || !keys.is_dir() {
        return Ok(extra);
    }
    for entry in std::fs::read_dir(&keys)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if extra.len() > KEYS_MAX {
            return Err(Trouble::new(format!("{} has more than {KEYS_MAX} files", keys.display())));
        }
        extra.push(Extra { name: format!("dkim-{name}"), path: entry.path() });
    }
    Ok(extra)
}

fn print(dir: &Path, report: &BackupReport, global: &Global) -> Result<(), Trouble> {
    for hash in &report.damaged {
        eprintln!("damaged: the body {hash} cannot be read as it was stored; `maddy verify` says more");
    }
    for name in &report.left {
        eprintln!("not in the backup: {}, which is no plain file", output::printable(name));
    }
    let value = json!({
        "backup": report.generation,
        "directory": dir,
        "database": report.database,
        "new_database": report.new_database,
        "files": report.files,
        "bodies": report.bodies,
        "new_bodies": report.new_bodies,
        "new_octets": report.new_octets,
        "damaged": report.damaged,
        "left": report.left,
        "removed": report.removed,
    });
    let (name, database) = (&report.generation, output::size(report.database));
    let (changed, files) = (output::size(report.new_database), report.files);
    let (bodies, new, octets) = (report.bodies, report.new_bodies, output::size(report.new_octets));
    let sentence = format!(
        "backup {name} is whole: a database of {database}, {changed} of it new; {files} other files; {bodies} large bodies, \
         {new} of them new ({octets})"
    );
    output::done(global, &value, &sentence)
}

fn list(dir: &Path, global: &Global) -> Result<(), Trouble> {
    let list = backup::generations(dir).map_err(|error| Trouble::new(error.to_string()))?;
    let list: Vec<_> = list
        .iter()
        .map(|one| json!({ "backup": one.name, "made": one.made, "version": one.version, "schema": one.schema }))
        .collect();
    let row = |one: &serde_json::Value| {
        let made = output::time(one["made"].as_i64().unwrap_or(0));
        let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        vec![text("backup"), made, text("version"), one["schema"].to_string()]
    };
    output::list(global, &list, &["backup", "made", "version", "schema"], row, "there is no backup")
}

async fn verify(dir: &Path, global: &Global) -> Result<(), Trouble> {
    let progress = Mutex::new(Progress::start(global));
    let check = backup::check_backup(dir.to_owned(), &watcher(&progress)).await;
    progress.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).end();
    let check = check.map_err(|error| Trouble::new(error.to_string()))?;
    let value = json!({
        "backups": check.generations,
        "files": check.files,
        "octets": check.octets,
        "findings": check.findings,
    });
    if !global.json {
        check.findings.iter().for_each(|finding| eprintln!("{}", output::printable(finding)));
    }
    let (count, files, octets) = (check.generations, check.files, output::size(check.octets));
    let found = check.findings.len();
    output::done(
        global,
        &value,
        &format!("{count} backups, {files} files read ({octets}), {found} of them wrong"),
    )?;
    if found == 0 { Ok(()) } else { Err(Trouble::new("")) }
}
