//! The doctor of a server that runs: looks once a day, and tells postmaster what has changed.
//!
//! What was told is kept in the state directory (`doctor.json`), so that a restart tells nothing twice.

use crate::admin::{AccountList, Context, Operation, QueueList, StoreVerify};
use crate::config::Config;
use crate::postmaster::{self, Told};
use crate::reload::Running;
use crate::setup::doctor::Doctor;
use crate::setup::finding::{self, Finding, State};
use crate::setup::here::{self, Repair};
use crate::setup::{DoctorOptions, Place};
use net::Stop;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};
use web::Failure;

/// How long after the start the first look is taken: what starts with the machine is there by then.
const FIRST_LOOK: Duration = Duration::from_secs(10 * 60);
/// Longest time of one look, without the database.
const LOOK_MAX: Duration = Duration::from_secs(15 * 60);
/// Pause while there is nothing to do, so that a new option is seen.
const IDLE: Duration = Duration::from_secs(60);
/// Name of the file, and the most octets of it that are read.
const FILE: &str = "doctor.json";
const FILE_MAX: u64 = 1024 * 1024;
/// Most findings that are told and remembered.
const FINDINGS_MAX: usize = 500;

/// What one finding is known by. What it says changes from day to day; what is wrong with what does not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Key {
    check: String,
    about: String,
    state: String,
}

/// What was told, and when was looked.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    /// Seconds since 1970.
    at: i64,
    /// When the whole database was read last, or when the doctor began to count.
    database: i64,
    told: Vec<Key>,
}

/// Looks until the server stops.
pub(crate) async fn watch(running: Arc<Running>, file: PathBuf, mut stop: Stop) {
    let begun = running.world().clock.unix();
    loop {
        let config = running.config();
        let memory = recall(config.state_dir());
        let pause = config.doctor.every.map(|every| due(&running, every, begun, memory.at));
        let wait = match pause {
            Some(pause) if pause.is_zero() => {
                tokio::select! {
                    () = stop.wait() => return,
                    () = look(&running, &config, &file, memory) => {}
                }
                // The rest of the second: a clock that stands still must not have us look again and again.
                Duration::from_secs(1)
            }
            // An option that changes, or a clock that is set, is seen soon.
            Some(pause) => pause.min(IDLE),
            None => IDLE,
        };
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// How long until the next look. Servers that were started together look at different times.
fn due(running: &Running, every: Duration, begun: i64, last: i64) -> Duration {
    let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let now = running.world().clock.unix();
    // The same number for one server, so that the time of day stays: a part of its name decides.
    let name = running.config().hostname.to_string();
    let sum = name.bytes().fold(7_u64, |sum, octet| sum.wrapping_mul(31).wrapping_add(u64::from(octet)));
    let jitter = seconds(Duration::from_secs(sum % (every.as_secs() / 10).max(1)));
    let first = begun.saturating_add(seconds(FIRST_LOOK.min(every))).saturating_add(jitter.min(1800));
    // A time in the future was written by a clock that was wrong.
    let last = last.min(now);
    let next = first.max(last.saturating_add(seconds(every)));
    Duration::from_secs(u64::try_from(next.saturating_sub(now)).unwrap_or(0))
}

async fn look(running: &Running, config: &Config, file: &Path, memory: Memory) {
    let now = running.world().clock.unix();
    let DoctorOptions { database, mail, .. } = config.doctor;
    let doctor = Doctor { config, file, world: running.world() };
    let place = Place { address: Vec::new() };
    let (mut findings, sight) = match timeout(LOOK_MAX, doctor.examine(&place, Repair::No)).await {
        Ok(Ok(findings)) if finding::is_silent(&findings) => (findings, Sight::Part),
        Ok(Ok(findings)) => (findings, Sight::Whole),
        Ok(Err(trouble)) => {
            warn!(error = %trouble, "the doctor cannot look");
            (Vec::new(), Sight::Part)
        }
        Err(_) => {
            warn!("the doctor takes too long; it looks again later");
            (Vec::new(), Sight::Part)
        }
    };
    let mut next = Memory { at: now, ..memory };
    let period = database.map(|period| i64::try_from(period.as_secs()).unwrap_or(i64::MAX));
    let reads_all = period.is_some_and(|period| next.database > 0 && now - next.database.min(now) >= period);
    match inside(running, config, reads_all).await {
        Ok(more) => findings.extend(more),
        Err(failure) => warn!(error = %failure.message, "the doctor cannot look at the database"),
    }
    if reads_all || next.database == 0 {
        next.database = now;
    }
    let change = Change::between(&next.told, &findings, sight);
    change.log(&findings);
    info!(
        findings = change.now.len(),
        new = change.new.len(),
        gone = change.gone.len(),
        "the doctor has looked"
    );
    if mail.is_on() && change.is_news() {
        let hostname = config.hostname.as_str();
        if postmaster::tell(running, &change.subject(hostname), &change.letter(&findings)).await == Told::No {
            // It is told at the next look, which finds the same change.
            return remember(config, next).await;
        }
    }
    next.told = change.now.into_iter().collect();
    remember(config, next).await;
}

/// What only the server itself knows.
async fn inside(running: &Running, config: &Config, reads_all: bool) -> Result<Vec<Finding>, Failure> {
    let context = Context { store: running.store().clone(), world: running.world().clone() };
    let mut findings = vec![here::accounts(AccountList {}.run(&context).await?.len())];
    let first = QueueList { after: None, which: Default::default() }.run(&context).await?;
    findings.push(here::queue(&first, context.now()));
    if reads_all {
        findings.extend(here::database(StoreVerify {}.run(&context).await?, config));
    }
    Ok(findings)
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sight {
    Whole,
    /// Time ran out, or no name server answered.
    Part,
}

/// From what was told to what is so.
struct Change {
    now: BTreeSet<Key>,
    new: BTreeSet<Key>,
    gone: BTreeSet<Key>,
}

impl Change {
    fn between(told: &[Key], findings: &[Finding], sight: Sight) -> Self {
        let told: BTreeSet<Key> = told.iter().cloned().collect();
        let mut looked: BTreeMap<(&str, &str), BTreeSet<State>> = BTreeMap::new();
        for one in findings {
            looked.entry((one.check, &one.about)).or_default().insert(one.state);
        }
        let wrong = findings.iter().filter(|one| matches!(one.state, State::Bad | State::Note));
        let found: BTreeSet<Key> = wrong.map(key).take(FINDINGS_MAX).collect();
        // What nobody could find out now is as it was; so is what was not looked at for want of a name server, and the
        // database between two looks at all of it.
        let stays = |key: &&Key| match looked.get(&(key.check.as_str(), key.about.as_str())) {
            Some(states) => states.contains(&State::Unknown),
            None => {
                sight == Sight::Part
                    || key.check == "database" && !findings.iter().any(|one| one.check == "database")
            }
        };
        let kept: BTreeSet<Key> = told.iter().filter(stays).cloned().collect();
        let now: BTreeSet<Key> = found.union(&kept).cloned().collect();
        let (new, gone) =
            (now.difference(&told).cloned().collect(), told.difference(&now).cloned().collect());
        Self { now, new, gone }
    }

    fn is_news(&self) -> bool {
        !self.new.is_empty() || !self.gone.is_empty()
    }

    fn log(&self, findings: &[Finding]) {
        for one in findings.iter().filter(|one| self.new.contains(&key(one))) {
            let Finding { check, about, what, fix, .. } = one;
            match one.state {
                State::Bad => warn!(check, about, what, fix, "the doctor has found something"),
                _ => info!(check, about, what, fix, "the doctor has a remark"),
            }
        }
        for Key { check, about, .. } in &self.gone {
            info!(check, about, "what the doctor had found is gone");
        }
    }

    fn subject(&self, hostname: &str) -> String {
        let mut parts = Vec::new();
        if !self.new.is_empty() {
            parts.push(format!("{} new", self.new.len()));
        }
        if !self.gone.is_empty() {
            parts.push(format!("{} gone", self.gone.len()));
        }
        format!("{hostname}: findings of the doctor: {}", parts.join(", "))
    }

    fn letter(&self, findings: &[Finding]) -> Vec<String> {
        let mut lines = vec!["What maddy has found in its daily look at itself has changed.".to_owned()];
        if !self.new.is_empty() {
            lines.extend([String::new(), "New:".to_owned()]);
        }
        for one in findings.iter().filter(|one| self.new.contains(&key(one))) {
            lines.push(String::new());
            lines.push(format!("  {} {} ({}): {}", one.state.word(), one.check, one.about, one.what));
            let more = [("why", &one.why), ("do", &one.fix)];
            lines.extend(
                more.iter()
                    .filter(|(_, text)| !text.is_empty())
                    .map(|(word, text)| format!("    {word}: {text}")),
            );
        }
        if !self.gone.is_empty() {
            lines.extend([String::new(), "Gone:".to_owned(), String::new()]);
        }
        lines.extend(self.gone.iter().map(|key| format!("  {} ({})", key.check, key.about)));
        let left = self.now.len() - self.new.len();
        lines.push(String::new());
        if left > 0 {
            lines.push(format!("{left} more are as they were."));
        }
        lines.push(
            "`maddy doctor` shows all of it at any time; `doctor { mail #false; }` ends these letters."
                .to_owned(),
        );
        lines
    }
}

fn key(finding: &Finding) -> Key {
    Key {
        check: finding.check.to_owned(),
        about: finding.about.clone(),
        state: finding.state.word().to_owned(),
    }
}

/// When the doctor of the server looked last, in seconds since 1970, and what it knows of. Blocks on the disk.
pub(crate) fn last_look(state_dir: &Path) -> Option<(i64, Vec<String>)> {
    let Memory { at, told, .. } = recall(state_dir);
    let line = |key: &Key| format!("{} {} ({})", key.state, key.check, key.about);
    (at > 0).then(|| (at, told.iter().map(line).collect()))
}

fn recall(state_dir: &Path) -> Memory {
    let path = state_dir.join(FILE);
    let read = || -> io::Result<Memory> {
        if fs::metadata(&path)?.len() > FILE_MAX {
            return Err(io::Error::other("it is too large"));
        }
        serde_json::from_slice(&fs::read(&path)?).map_err(io::Error::other)
    };
    read().unwrap_or_else(|error| {
        if error.kind() != io::ErrorKind::NotFound {
            debug!(file = %path.display(), %error, "what the doctor has told before is not known");
        }
        Memory::default()
    })
}

/// Trouble is logged: then the next look tells the same again.
async fn remember(config: &Config, memory: Memory) {
    let path = config.state_dir().join(FILE);
    let kept = path.clone();
    let written = tokio::task::spawn_blocking(move || write(&kept, &memory)).await;
    if let Err(error) = written.map_err(io::Error::other).and_then(|written| written) {
        error!(file = %path.display(), %error, "what the doctor has told cannot be kept");
    }
}

/// Whole or not at all, and for us alone.
fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    let part = path.with_extension("json.part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(&serde_json::to_vec(memory)?)?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    match path.parent() {
        Some(dir) => fs::File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(check: &'static str, about: &str, state: State) -> Finding {
        Finding::new(check, about, state, "so", "therefore", "mend it")
    }

    fn change(told: &[Key], findings: &[Finding]) -> (String, Vec<Key>) {
        let is_part = findings.is_empty() || finding::is_silent(findings);
        let change = Change::between(told, findings, if is_part { Sight::Part } else { Sight::Whole });
        let words =
            |keys: &BTreeSet<Key>| keys.iter().map(|key| key.check.clone()).collect::<Vec<_>>().join(",");
        let said = format!("+{} -{}", words(&change.new), words(&change.gone));
        (said, change.now.into_iter().collect())
    }

    #[test]
    fn only_what_changes_is_told() {
        use State::{Bad, Good, Note, Unknown};
        let (said, told) =
            change(&[], &[found("mx", "o.ex", Bad), found("ptr", "1", Note), found("a", "b", Good)]);
        assert_eq!(said, "+mx,ptr -");
        for (findings, want) in [
            (vec![found("mx", "o.ex", Bad), found("ptr", "1", Note)], "+ -"),
            (vec![found("mx", "o.ex", Good), found("ptr", "1", Note)], "+ -mx"),
            // It is worse than it was.
            (vec![found("mx", "o.ex", Bad), found("ptr", "1", Bad)], "+ptr -ptr"),
            // Not known is as it was; so is all that nobody could look at.
            (vec![found("mx", "o.ex", Unknown), found("ptr", "1", Note)], "+ -"),
            (vec![found("resolver", "server", Bad)], "+resolver -"),
            (vec![], "+ -"),
            // What is not ours any more is gone.
            (vec![found("mx", "o.ex", Bad), found("resolver", "server", Good)], "+ -ptr"),
        ] {
            let (said, _) = change(&told, &findings);
            assert_eq!(said, want, "{findings:?}");
        }
        // What the server knows of itself is known even where time ran out for all else.
        let inside = [found("queue", "server", Note)];
        let part = Change::between(&told, &inside, Sight::Part);
        assert_eq!((part.new.len(), part.gone.len()), (1, 0));
        let (_, told) = change(&told, &[found("database", "dir", Bad)]);
        assert_eq!(change(&told, &[found("queue", "server", Good)]), ("+ -".to_owned(), told.clone()));
        assert_eq!(change(&told, &[found("database", "dir", Good)]).0, "+ -database");
    }

    #[test]
    fn what_was_told_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let told = vec![key(&found("mx", "o.ex", State::Bad))];
        write(&path, &Memory { at: 5, database: 3, told: told.clone() }).unwrap();
        write(&path, &Memory { at: 6, database: 3, told: told.clone() }).unwrap();
        assert_eq!(last_look(dir.path()).unwrap(), (6, vec!["WRONG mx (o.ex)".to_owned()]));
        assert_eq!(last_look(&dir.path().join("nowhere")), None);
        let memory = recall(dir.path());
        assert_eq!((memory.at, memory.database, memory.told), (6, 3, told));
    }
}
