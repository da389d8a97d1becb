//! What can be seen on this machine: the daemon, the disk, the database, the queue, rights, the clock.

use crate::admin::{AccountList, JobInfo, QueueList, StoreVerify};
use crate::certificates;
use crate::cli::args::Global;
use crate::cli::{Connection, STATUS, Trouble};
use crate::config::Config;
use crate::setup::finding::{Finding, State};
use guard::Report;
use net::{CertFiles, ClientTls, Connector, FetchLimits, Fetcher, Request, Roots, TlsOptions};
use nix::fcntl::OFlag;
use nix::sys::statvfs::statvfs;
use serde_json::Value;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use world::World;

/// Free octets and share of a disk below which it is too full.
const FREE_MIN: u64 = 256 * 1024 * 1024;
const SHARE_MIN: f64 = 0.05;
/// Share below which it is worth a word.
const SHARE_LOW: f64 = 0.15;
/// A message that waits longer than this is worth a look, in seconds.
const QUEUE_AGE_MAX: i64 = 4 * 3600;
/// Difference from the clocks of others, in seconds, from which on things break.
const CLOCK_MAX: u64 = 120;
/// One look at a clock elsewhere.
const CLOCK_LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(10), octets: 64 * 1024 };
/// Most sentences about the database that are shown.
const SENTENCES_MAX: usize = 20;
/// Most files whose rights are looked at.
const FILES_MAX: usize = 10_000;

/// What may be repaired on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    No,
    Yes,
}

/// How closely the database is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Usual,
    /// Every octet is read.
    Full,
}

/// Before the connection is made, which may take on another user.
pub(crate) fn files(config: &Config, file: &Path, repair: Repair) -> Vec<Finding> {
    let dir = config.state_dir();
    if !dir.is_dir() {
        let (what, why) =
            ("the state directory is not there", "the server has not run yet, or runs elsewhere");
        return vec![Finding::new(
            "state",
            dir.display(),
            State::Bad,
            what,
            why,
            "start the server: `maddy run`",
        )];
    }
    let mut findings = vec![disk(dir)];
    findings.extend(rights(config, file, repair));
    findings
}

fn disk(dir: &Path) -> Finding {
    let about = dir.display();
    let facts = match statvfs(dir) {
        Ok(facts) => facts,
        Err(error) => {
            return Finding::new(
                "disk",
                about,
                State::Unknown,
                error.to_string(),
                "a full disk takes no mail",
                "",
            );
        }
    };
    let free = facts.blocks_available().saturating_mul(facts.fragment_size());
    let all = facts.blocks().saturating_mul(facts.fragment_size()).max(1);
    let share = free as f64 / all as f64;
    // A file system may run out of files before it runs out of room; some have no limit and say nought.
    let files = match facts.files() {
        0 => 1.0,
        all => facts.files_available() as f64 / all as f64,
    };
    let what = format!(
        "{} MiB free, {:.0} %; {:.0} % of its files",
        free / (1024 * 1024),
        share * 100.0,
        files * 100.0
    );
    let why = "a full disk takes no mail, and lets nobody delete any";
    let fix = "make room, or move the state directory to a larger disk";
    if free < FREE_MIN || share.min(files) < SHARE_MIN {
        Finding::new("disk", about, State::Bad, what, why, fix)
    } else if share.min(files) < SHARE_LOW {
        Finding::new("disk", about, State::Note, what, why, fix)
    } else {
        Finding::good("disk", about, what)
    }
}

/// Keys and mail are for the owner alone.
fn rights(config: &Config, file: &Path, repair: Repair) -> Vec<Finding> {
    let mut open: Vec<PathBuf> = Vec::new();
    let mut left = FILES_MAX;
    is_open(config.state_dir(), 0o077).then(|| open.push(config.state_dir().to_owned()));
    let mut dirs = vec![config.keys_dir()];
    if let Some(plan) = certificates::plan(config) {
        let keys = plan.names.first().and_then(|name| plan.files.of(name).key.parent().map(Path::to_owned));
        dirs.extend(keys);
    }
    for dir in dirs {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            left = left.saturating_sub(1);
            // Not what a link leads to: that is somebody else's.
            let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
            if left > 0 && is_file && is_open(&entry.path(), 0o077) {
                open.push(entry.path());
            }
        }
    }
    let mut findings: Vec<Finding> =
        open.iter().map(|path| closed(path, config.state_dir(), repair)).collect();
    findings.extend(keys_of_others(config));
    if is_open(file, 0o022) {
        let why = "whoever can change it has the server do what they like";
        let fix = format!("chmod go-w {}", file.display());
        let what = "others may change the configuration";
        findings.push(Finding::new("permissions", file.display(), State::Bad, what, why, fix));
    }
    if config.dns_update.as_ref().is_some_and(|update| update.secret_file.is_none()) && is_open(file, 0o004) {
        let why = "whoever has the secret of the key for `dns { update }` can change your zones";
        let fix = format!(
            "write the secret into a file that only the server can read (`secret-file`), or chmod o-r {}; the user of the server \
             must still read it",
            file.display()
        );
        let what = "everybody on this machine may read the configuration, with the secret in it";
        findings.push(Finding::new("permissions", file.display(), State::Note, what, why, fix));
    }
    if findings.is_empty() {
        findings.push(Finding::good(
            "permissions",
            config.state_dir().display(),
            "mail and keys are for the owner only",
        ));
    }
    findings
}

/// Keys that somebody else made and put somewhere: a group may share them, and they are not ours to change.
fn keys_of_others(config: &Config) -> Vec<Finding> {
    let TlsOptions::Files(files) = &config.tls else { return Vec::new() };
    let open = files.iter().filter(|files| is_open(&files.key, 0o007));
    let one = |files: &CertFiles| {
        let (about, what) = (files.key.display(), "everybody on this machine may read the key");
        let why = "who has it can show our certificate, and read what is sent to us";
        let fix = format!("chmod o-rwx {about}");
        Finding::new("permissions", &about, State::Bad, what, why, fix)
    };
    open.map(one).collect()
}

fn is_open(path: &Path, bits: u32) -> bool {
    fs::metadata(path).is_ok_and(|facts| facts.permissions().mode() & bits != 0)
}

fn closed(path: &Path, state: &Path, repair: Repair) -> Finding {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    let about = path.display();
    if repair == Repair::Yes && close(path, state).is_ok() {
        return Finding::good("permissions", about, "others could read it; repaired");
    }
    let why = "others on this machine can read mail or keys";
    let fix = format!("chmod {mode:o} {about}, or `maddy doctor --fix`");
    Finding::new("permissions", about, State::Bad, "others may read it", why, fix)
}

/// Only what belongs to the owner of the state directory, who could do it as well: root must not be led to anything else.
fn close(path: &Path, state: &Path) -> io::Result<()> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    let facts = file.metadata()?;
    if facts.uid() != fs::metadata(state)?.uid() || !(facts.is_file() || facts.is_dir()) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    file.set_permissions(Permissions::from_mode(if facts.is_dir() { 0o700 } else { 0o600 }))
}

/// What the daemon, or the database, says.
pub(crate) async fn server(config: &Config, depth: Depth, world: &World, global: &Global) -> Vec<Finding> {
    let mut findings = Vec::new();
    let asked = Connection::with(global, async |server| {
        findings.push(running(config, server));
        findings.extend(held(server).await?);
        findings.push(accounts(server.call(AccountList {}).await?.len()));
        let first = server.call(QueueList { after: None, which: Default::default() }).await?;
        findings.push(queue(&first, world.clock.unix()));
        if depth == Depth::Full {
            findings.extend(database(server.call(StoreVerify {}).await?, config));
        }
        Ok(())
    });
    if let Err(trouble) = asked.await {
        let about = config.state_dir().display();
        let why = "nothing can be said of accounts, queue and database";
        findings.push(Finding::new("state", about, State::Unknown, trouble.to_string(), why, ""));
    }
    findings
}

fn running(config: &Config, server: &Connection) -> Finding {
    let about = config.socket().display().to_string();
    if server.is_daemon() {
        return Finding::good("server", about, "it runs");
    }
    let why = "no mail is taken, sent or read";
    Finding::new(
        "server",
        about,
        State::Bad,
        "it does not run",
        why,
        "start it: `maddy run`, or `systemctl start maddy`",
    )
}

/// How the kernel holds the daemon to what it needs.
async fn held(server: &Connection) -> Result<Option<Finding>, Trouble> {
    if !server.is_daemon() {
        return Ok(None);
    }
    let status = server.ask_daemon(STATUS, &Value::Null).await?;
    let Ok(report) = serde_json::from_value::<Report>(status["sandbox"].clone()) else { return Ok(None) };
    let what = report.to_string();
    if report.is_whole() {
        return Ok(Some(Finding::good("sandbox", "server", what)));
    }
    let why = "a weakness of the server would let an intruder do more than send and read mail";
    let fix = "name a `user`, and run on a kernel with Landlock and seccomp (docs/security.md)";
    Ok(Some(Finding::new("sandbox", "server", State::Note, what, why, fix)))
}

pub(crate) fn accounts(count: usize) -> Finding {
    match count {
        0 => {
            let why = "nobody can receive mail, and nobody gets what is written to postmaster";
            let fix = "make one: `maddy account add you@example.org`";
            Finding::new("accounts", "server", State::Note, "there is no account", why, fix)
        }
        n => Finding::good("accounts", "server", format!("{n} accounts")),
    }
}

/// `first` is the beginning of the queue, the oldest first.
pub(crate) fn queue(first: &[JobInfo], now: i64) -> Finding {
    let Some(oldest) = first.first() else { return Finding::good("queue", "server", "nothing waits") };
    let what = format!("the oldest message waits since {}", mail::date::print_iso(oldest.arrived));
    if now - oldest.arrived < QUEUE_AGE_MAX {
        return Finding::good("queue", "server", what);
    }
    let why = "somebody waits for an answer";
    let fix = format!("`maddy queue show {}` says what other servers answer", oldest.id);
    Finding::new("queue", "server", State::Note, what, why, fix)
}

/// `wrong` is what a look at every row and every octet has found.
pub(crate) fn database(wrong: Vec<String>, config: &Config) -> Vec<Finding> {
    let about = config.state_dir().display();
    if wrong.is_empty() {
        return vec![Finding::good("database", about, "every row and every octet is as it should be")];
    }
    let why = "mail may be damaged or lost";
    let fix = "copy the state directory away before anything else, check the disk, then `maddy verify --repair`, or \
               `maddy restore` of a backup";
    let one = |text: String| Finding::new("database", &about, State::Bad, text, why, fix);
    wrong.into_iter().take(SENTENCES_MAX).map(one).collect()
}

/// The clock against that of the authority of our certificates, or of Let's Encrypt: a clock that is far off breaks TLS,
/// DKIM and DNSSEC at once.
pub(crate) async fn clock(config: &Config, world: &World) -> Finding {
    let plan = certificates::plan(config);
    let (url, roots) = match &plan {
        Some(plan) => (
            Some(plan.options.directory.clone()),
            plan.options.ca_file.clone().map_or(Roots::WebPki, Roots::File),
        ),
        None => (net::Url::parse("https://acme-v02.api.letsencrypt.org/directory").ok(), Roots::WebPki),
    };
    let unknown = |what: String| {
        let why = "a clock that is far off breaks TLS, DKIM and DNSSEC";
        Finding::new("clock", "server", State::Unknown, what, why, "see that the clock is set by NTP")
    };
    let Some(url) = url else { return unknown("nobody to ask".to_owned()) };
    let tls = match ClientTls::authenticated(&roots, world.clock.clone()) {
        Ok(tls) => tls,
        Err(error) => return unknown(error.to_string()),
    };
    let fetcher = Fetcher::new(world.dns.clone(), Connector::new(world).patience(CLOCK_LIMITS.time), tls);
    let response = match fetcher.fetch(&Request::get(url.clone()), CLOCK_LIMITS).await {
        Ok(response) => response,
        Err(error) => return unknown(format!("{url} cannot be asked what time it is: {error}")),
    };
    let Some(there) = response.field("date").and_then(|text| mail::date::parse(text.as_bytes())) else {
        return unknown(format!("{url} does not say what time it is"));
    };
    let off = world.clock.unix().abs_diff(there.seconds);
    if off <= CLOCK_MAX {
        return Finding::good("clock", "server", "it is right");
    }
    let why = "certificates, signatures and logins fail on a wrong clock";
    Finding::new("clock", "server", State::Bad, format!("it is {off} s off"), why, "have NTP set it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{chown, symlink};

    #[test]
    fn only_what_belongs_to_the_owner_of_the_state_is_closed() {
        let state = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let (key, other) = (state.path().join("key"), elsewhere.path().join("other"));
        for path in [&key, &other] {
            fs::write(path, "x").unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
        }
        symlink(&other, state.path().join("link")).unwrap();
        symlink(elsewhere.path(), state.path().join("dir")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        close(&key, state.path()).unwrap();
        close(&state.path().join("link"), state.path()).unwrap_err();
        assert_eq!((mode(&key), mode(&other)), (0o600, 0o755));
        if nix::unistd::geteuid().is_root() {
            chown(state.path(), Some(12345), None).unwrap();
            close(&state.path().join("dir/other"), state.path()).unwrap_err();
            assert_eq!(mode(&other), 0o755);
        }
    }
}
