//! The play that is recorded: a fresh daemon with two accounts under load from all sides, which is killed, stopped and
//! started again in between.

use crate::disk::{Disk, Mercy};
use crate::faults::queue_empties;
use crate::filer::filer;
use crate::judge::ACCOUNTS;
use crate::ledger::{Asked, Ledger};
use crate::load::{ALICE, reader, stranger, submitter};
use crate::log::{Log, Pen, Place};
use crate::sink::Sink;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tests::{Daemon, PASSWORD, Setup, eventually, message};
use world::Random;
use world::fake::FakeRandom;

/// Attempts each second, and neither notices nor an end of them.
pub(crate) const PATIENT: &str = r#"retry first="1s" factor=1 max="1s" give-up="30d" delay-notice="20d""#;

/// How much load there is, and how the daemon ends.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// After each stretch.
    ends: &'static [End],
    /// Octets of the log that are waited for in each stretch.
    octets: Place,
    /// Most milliseconds from there to its end.
    further_ms: u64,
}

/// Enough for moments by lot.
pub(crate) const LONG: Load =
    Load { ends: &[End::Kill, End::Stop, End::Kill], octets: 12_000_000, further_ms: 500 };
/// Little enough to try every moment.
pub(crate) const SHORT: Load = Load { ends: &[End::Stop], octets: 3_000_000, further_ms: 1 };

#[derive(Clone, Copy)]
enum End {
    Kill,
    Stop,
}

/// Builds the recorder.
fn recorder(dir: &Path) -> PathBuf {
    let library = dir.join("recorder.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/recorder.c");
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-pthread", "-o"])
        .arg(&library)
        .arg(source)
        .status()
        .expect("a C compiler is there (tests/install)");
    assert!(status.success(), "the recorder does not compile");
    library
}

/// A scene whose daemon is recorded into the log `file`.
pub(crate) fn recorded(file: &Path) -> Setup {
    let mut setup = Setup::new();
    let state = setup.dir().canonicalize().unwrap().join("state");
    setup.environment("LD_PRELOAD", recorder(file.parent().unwrap()));
    setup.environment("CRASH_ROOT", state);
    setup.environment("CRASH_LOG", file);
    setup.environment("CRASH_KILL", kill_file(file));
    setup.environment("CRASH_FAULT", fault_file(file));
    // The recorder lives in the daemon, and writes beside its state.
    let beside = file.parent().unwrap().display().to_string();
    setup.config(&format!("sandbox {{ write {beside:?}; }}"));
    setup
}

/// Where the recorder looks for faults.
pub(crate) fn fault_file(log: &Path) -> PathBuf {
    log.with_extension("fault")
}

fn kill_file(log: &Path) -> PathBuf {
    log.with_extension("kill")
}

/// The daemon will be killed when it is about to flush this file or directory of its state.
pub(crate) fn arm(log: &Path, path: &str) {
    let draft = log.with_extension("draft");
    std::fs::write(&draft, path).unwrap();
    std::fs::rename(draft, kill_file(log)).unwrap();
    eventually("the recorder knows when to end", || (!kill_file(log).exists()).then_some(()));
}

/// Plays it with the log in `file`; what was promised.
pub(crate) fn play(file: &Path, load: Load, seed: u64) -> Ledger {
    let mut setup = recorded(file);
    // Small, so that much is carried over and begun anew.
    setup.option("storage", r#"checkpoint-size "1MiB""#);
    // More is sent here in a moment than by anybody in a day.
    setup.option("delivery", "daily-limits { messages 0; new-recipients 0; }");
    setup.zone("mx.remote.test A 127.0.0.2\nremote.test MX 10 mx.remote.test");
    let pen = Pen::new(file);
    let sink = Sink::start(Ipv4Addr::new(127, 0, 0, 2), setup.ports().remote, &pen);
    let random = FakeRandom::seeded(seed);
    let mut ledger = Ledger::default();
    let mut maddy = setup.start();
    ledger.accounts = add_accounts(&maddy, &pen);
    for (stretch, end) in load.ends.iter().enumerate() {
        let clients = clients(&maddy, &pen, stretch, &random);
        let goal = pen.place() + load.octets;
        eventually("there is load", || (pen.place() > goal).then_some(()));
        thread::sleep(Duration::from_millis(random.below(load.further_ms)));
        match end {
            End::Stop => maddy.stop(),
            End::Kill => kill(&mut maddy, file),
        }
        for client in clients {
            ledger.join(client.join().unwrap());
        }
        if stretch + 1 < load.ends.len() {
            maddy.start();
        }
    }
    let notes = sink.notes();
    ledger.taken = notes.taken;
    ledger.refused = notes.refused;
    ledger
}

/// What the real daemon did with the disk that a cut had left.
pub(crate) struct Recovery {
    /// The place of the cut.
    pub(crate) cut: Place,
    /// The disk as it was found.
    pub(crate) disk: Disk,
    pub(crate) log: Log,
}

/// Starts the real daemon on what a cut left, recorded into `file`, and kills it; then it shows the mail there is, takes
/// more, and carries on what is in the queue.
pub(crate) fn recover(log: &Log, ledger: &Ledger, random: &FakeRandom, file: &Path) -> Recovery {
    let cut = ledger.answers().into_iter().max().unwrap();
    let mut setup = recorded(file);
    // Nobody is there yet to take what is in the queue, which stays, and nobody is told of that, however slow the machine is.
    setup.replace_option("delivery", PATIENT);
    setup.zone("mx.remote.test A 127.0.0.3\nremote.test MX 10 mx.remote.test");
    Disk::at(log, cut).cut(&setup.state_dir(), Some(Mercy::Torn), random);
    let disk = Disk::of(&setup.state_dir());
    let mut maddy = setup.start();
    let there = maddy.imap(ALICE).count("INBOX");
    kill(&mut maddy, file);
    let recovery = Recovery { cut, disk, log: Log::read(file) };
    maddy.start();
    let text = message("eve@remote.test", ALICE, "after the cut", "text");
    maddy.smtp().deliver("eve@remote.test", &[ALICE], &text);
    assert_eq!(maddy.imap(ALICE).count("INBOX"), there + 1);
    goes_out(&maddy, ledger, &Pen::new(file));
    maddy.stop();
    maddy.cli(&["verify"]).ok();
    let calls = recovery.log.events().count();
    println!("the daemon starts after a cut at {cut} with {calls} calls, and {there} messages in an INBOX");
    recovery
}

/// All that was promised to be carried on goes out, or comes back, if it did not before the cut.
fn goes_out(maddy: &Daemon, ledger: &Ledger, pen: &Pen) {
    let sink = Sink::start(Ipv4Addr::new(127, 0, 0, 3), maddy.ports().remote, pen);
    queue_empties(maddy);
    let now = sink.notes();
    let places = [&ledger.taken, &ledger.refused, &now.taken, &now.refused];
    let is_settled = |token: &str| places.iter().any(|place| place.contains_key(token));
    let promised = ledger.deliveries.iter().filter(|one| one.goes_out && one.asked.answered.is_some());
    let lost: Vec<&str> = promised.map(|one| one.token.as_str()).filter(|token| !is_settled(token)).collect();
    assert!(lost.is_empty(), "never went out after the cut: {lost:?}");
    println!("{} messages went out after the cut", now.taken.len());
}

/// Kills the daemon between two calls.
pub(crate) fn kill(maddy: &mut Daemon, log: &Path) {
    let file = kill_file(log);
    std::fs::write(&file, "").unwrap();
    eventually("the daemon ends", || (!file.exists()).then_some(()));
    maddy.kill();
}

/// Adds the accounts beside the daemon.
pub(crate) fn add_accounts(maddy: &Daemon, pen: &Pen) -> Vec<(&'static str, Asked)> {
    let add = |name| {
        let begun = pen.place();
        maddy.cli_with(&["account", "add", name], &format!("{PASSWORD}\n")).ok();
        (name, Asked { begun, answered: Some(pen.place()) })
    };
    ACCOUNTS.into_iter().map(add).collect()
}

/// How many clients there are at a time.
pub(crate) const CLIENTS: usize = 7;

fn clients(maddy: &Daemon, pen: &Pen, stretch: usize, random: &FakeRandom) -> Vec<JoinHandle<Ledger>> {
    (0..CLIENTS).map(|place| client(place, maddy, pen, &format!("{stretch}s{place}"), random)).collect()
}

/// The client of a place, with a name that no other had.
pub(crate) fn client(
    place: usize,
    maddy: &Daemon,
    pen: &Pen,
    name: &str,
    random: &FakeRandom,
) -> JoinHandle<Ledger> {
    let seed = random.u64();
    match place {
        0 | 1 => stranger(maddy, pen, format!("in{name}"), seed),
        2 | 3 => submitter(maddy, pen, format!("out{name}"), seed),
        4 | 5 => filer(maddy, ACCOUNTS[place - 4], pen, &format!("file{name}"), seed),
        _ => reader(maddy, pen, seed),
    }
}
