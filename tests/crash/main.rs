//! Power cuts: the real daemon works under load while a recorder writes down what it does to its state directory; then
//! hundreds of disks are built as a power cut at some moment could have left them, and each must keep what was promised.
//!
//! `docs/durability.md` says what is promised and how to run this for longer.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a proof fails by panicking")]

mod disk;
mod faults;
mod filer;
mod judge;
mod ledger;
mod load;
mod log;
mod mails;
mod scene;
mod shown;
mod sink;
mod soak;

use disk::{Disk, Honesty, Mercy, Taken, mercy};
use ledger::Ledger;
use log::{Event, Log, Place};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use world::Random;
use world::fake::FakeRandom;

/// Cuts of a run that nobody asked to be longer.
const CUTS: u64 = 250;
/// Cuts for each recorded load; more cuts are more loads.
const CUTS_PER_LOAD: u64 = 1500;
/// Judges that work side by side.
const JUDGES: usize = 2;
/// Rounds of faults or kills for each daemon; more are more daemons.
const ROUNDS_PER_LOAD: u64 = 100;
/// One in so many is cut a second time.
const AGAIN: u64 = 10;
/// Cuts for each way to lie.
const LIES: usize = 8;
/// Losses that are told in full.
const TOLD: usize = 30;

/// A disk to look at.
struct Case {
    dir: PathBuf,
    cut: Place,
    number: u64,
}

#[derive(Default)]
struct Totals {
    cuts: u64,
    taken: Taken,
    losses: Vec<String>,
}

impl Totals {
    fn add(&mut self, more: Self) {
        self.cuts += more.cuts;
        self.taken.writes += more.taken.writes;
        self.taken.names += more.taken.names;
        self.losses.extend(more.losses);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn a_power_cut_takes_nothing_that_was_promised() {
    let seed = seed();
    let mut left = number("MADDY_POWER_CUTS").unwrap_or(CUTS);
    let mut totals = Totals::default();
    for load in 0.. {
        if left == 0 || !totals.losses.is_empty() {
            break;
        }
        let cuts = left.min(CUTS_PER_LOAD);
        left -= cuts;
        one_load(seed.wrapping_add(load), cuts, &mut totals);
    }
    totals.losses.iter().take(TOLD).for_each(|loss| println!("{loss}"));
    println!(
        "{} points, {} faults ({} writes missing or torn, {} names not as they were), {} losses",
        totals.cuts,
        totals.taken.writes + totals.taken.names,
        totals.taken.writes,
        totals.taken.names,
        totals.losses.len()
    );
    assert!(totals.losses.is_empty(), "something was promised and lost");
}

/// Of a run that nobody asked to be longer, one call in so many is tried.
const CALLS_APART: usize = 16;

/// After each call that the daemon makes on its directory the power fails: once so that everything is there that was written
/// (as after the end of the process alone), once so that nothing is that was not flushed, and once by lot.
#[test]
fn a_power_cut_after_each_call_in_turn() {
    let seed = seed();
    let apart = if number("MADDY_EACH_CALL").is_some() { 1 } else { CALLS_APART };
    let dir = TempDir::with_prefix("maddy-crash-").unwrap();
    let file = dir.path().join("log");
    let ledger = Arc::new(scene::play(&file, scene::SHORT, seed));
    let log = Log::read(&file);
    let random = FakeRandom::seeded(seed);
    let all: Vec<Place> = log.events().map(|(place, _)| place).collect();
    let begin = random.below(apart as u64) as usize;
    let points: Vec<Place> = all.iter().copied().skip(begin).step_by(apart).collect();
    let mut totals = Totals::default();
    for mercy in [Some(Mercy::Everything), Some(Mercy::Nothing), None] {
        let trial = Trial { mercy, ..Trial::of(&log, &ledger, Honesty::Flushes) };
        totals.add(try_cuts(trial, &points, &random));
    }
    totals.losses.iter().take(TOLD).for_each(|loss| println!("{loss}"));
    println!(
        "{} of {} calls in turn, {} points, {} promises, {} losses",
        points.len(),
        all.len(),
        totals.cuts,
        ledger.answers().len(),
        totals.losses.len()
    );
    assert!(totals.losses.is_empty(), "something was promised and lost");
}

/// Rounds of a run that nobody asked to be longer: each fault a few times.
const FAULTS: u64 = 36;
/// The same, of kills.
const KILLS: u64 = 12;

fn seed() -> u64 {
    let seed = number("MADDY_SEED").unwrap_or_else(|| {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| u64::from(since.subsec_nanos()))
    });
    println!("MADDY_SEED={seed}");
    seed
}

#[test]
fn nothing_promised_is_lost_while_things_go_wrong() {
    blows(faults::Kind::Faults, number("MADDY_FAULTS").unwrap_or(FAULTS));
}

#[test]
fn nothing_promised_is_lost_by_kills() {
    blows(faults::Kind::Kills, number("MADDY_KILLS").unwrap_or(KILLS));
}

/// Seconds of a run that nobody asked to be longer.
const SOAK: u64 = 20;

#[test]
fn a_long_run_stays_flat() {
    let seconds = number("MADDY_SOAK").unwrap_or(SOAK);
    let dir = TempDir::with_prefix("maddy-crash-").unwrap();
    let (looks, story) = soak::soak(&dir.path().join("log"), seed(), seconds);
    let wrong = soak::growth(&looks, seconds);
    story.losses.iter().take(TOLD).for_each(|loss| println!("{loss}"));
    println!(
        "{seconds} seconds, {} looks, {} calls failed, {} promises, {} losses",
        looks.len(),
        story.failures,
        story.ledger.answers().len(),
        story.losses.len()
    );
    assert!(wrong.is_empty(), "not flat: {wrong:?}");
    assert!(story.losses.is_empty(), "something was promised and lost");
}

/// So many rounds; then what is there is judged, and what power cuts on the way would have left.
fn blows(kind: faults::Kind, rounds: u64) {
    let seed = seed();
    let mut totals = Totals::default();
    let (mut left, mut failures, mut kills, mut promised) = (rounds, 0, 0, 0);
    while left > 0 && totals.losses.is_empty() {
        let rounds = left.min(ROUNDS_PER_LOAD);
        left -= rounds;
        let dir = TempDir::with_prefix("maddy-crash-").unwrap();
        let story = faults::play(&dir.path().join("log"), seed.wrapping_add(left), kind, rounds);
        failures += story.failures;
        kills += story.kills;
        promised += story.ledger.answers().len();
        totals.losses.extend(story.losses);
        let random = FakeRandom::seeded(seed);
        if let Some(log) = story.log {
            let ledger = Arc::new(story.ledger);
            let points = points(&log, &ledger, rounds, &random);
            totals.add(try_cuts(Trial::of(&log, &ledger, Honesty::Flushes), &points, &random));
        }
    }
    totals.losses.iter().take(TOLD).for_each(|loss| println!("{loss}"));
    println!(
        "{rounds} rounds, {failures} calls failed, {kills} kills, {promised} promises, {} points of power cuts, {} losses",
        totals.cuts,
        totals.losses.len()
    );
    assert!(kind == faults::Kind::Kills || failures > 0, "no call failed");
    assert!(totals.losses.is_empty(), "something was promised and lost");
}

/// One load and so many cuts of it.
fn one_load(seed: u64, cuts: u64, totals: &mut Totals) {
    let dir = TempDir::with_prefix("maddy-crash-").unwrap();
    let file = dir.path().join("log");
    let ledger = Arc::new(scene::play(&file, scene::LONG, seed));
    let log = Log::read(&file);
    println!(
        "load {seed}: {} messages given over, {} commands of filing clients, {} messages taken and {} refused elsewhere, \
         {} calls on {} octets recorded",
        ledger.deliveries.len(),
        ledger.filings.iter().map(|filing| filing.steps.len()).sum::<usize>(),
        ledger.taken.len(),
        ledger.refused.len(),
        log.events().count(),
        log.events().last().map_or(0, |(place, _)| place),
    );
    let random = FakeRandom::seeded(seed);
    let points = points(&log, &ledger, cuts, &random);
    totals.add(try_cuts(Trial::of(&log, &ledger, Honesty::Flushes), &points, &random));
    // While the daemon puts things in order after a cut, the power can fail again.
    let recovery = scene::recover(&log, &ledger, &random, &dir.path().join("again"));
    let again = points_of(&recovery.log, cuts / AGAIN, &random);
    let trial = Trial {
        log: &recovery.log,
        ledger: &ledger,
        disk: recovery.disk,
        promised: Some(recovery.cut),
        mercy: None,
    };
    totals.add(try_cuts(trial, &again, &random));
    // A proof that cannot fail shows nothing: a disk that lies must be found out.
    for honesty in [Honesty::KeepsFiles, Honesty::KeepsNames] {
        let few: Vec<Place> = (1..=LIES).map(|n| points[(points.len() - 1) * n / LIES]).collect();
        let lied = try_cuts(Trial::of(&log, &ledger, honesty), &few, &random);
        println!("on a disk that {honesty:?} unflushed: {} points, {} losses", lied.cuts, lied.losses.len());
        assert!(!lied.losses.is_empty(), "a disk that lies was not found out");
    }
}

/// A log, the disk at its start, and what was promised.
struct Trial<'a> {
    log: &'a Log,
    ledger: &'a Arc<Ledger>,
    disk: Disk,
    /// What was promised by this place is to be there; by the cut, if it is not given.
    promised: Option<Place>,
    /// How much a cut spares; by lot, if it is not given.
    mercy: Option<Mercy>,
}

impl<'a> Trial<'a> {
    fn of(log: &'a Log, ledger: &'a Arc<Ledger>, honesty: Honesty) -> Self {
        Self { log, ledger, disk: Disk::new(honesty), promised: None, mercy: None }
    }
}

/// A place for disks; in memory, where flushing costs nothing, if the system has one.
fn space() -> TempDir {
    let memory = Path::new("/dev/shm");
    let space =
        if memory.is_dir() { TempDir::with_prefix_in("maddy-crash-", memory) } else { TempDir::new() };
    space.unwrap()
}

/// Cuts at all the points; what was taken, and what of it was lost.
fn try_cuts(trial: Trial<'_>, points: &[Place], random: &FakeRandom) -> Totals {
    let space = space();
    let (give, take) = sync_channel::<Case>(JUDGES);
    let take = Arc::new(Mutex::new(take));
    let judges: Vec<_> = (0..JUDGES)
        .map(|_| {
            let (take, ledger) = (Arc::clone(&take), Arc::clone(trial.ledger));
            thread::spawn(move || sit(&take, &ledger))
        })
        .collect();
    let mut totals = Totals { cuts: points.len() as u64, ..Totals::default() };
    let mut disk = trial.disk;
    let mut points = points.iter().copied().enumerate().peekable();
    for (place, event) in trial.log.events() {
        disk.apply(&event);
        while let Some((number, cut)) = points.next_if(|(_, cut)| *cut <= place) {
            let dir = space.path().join(number.to_string());
            let same = trial.mercy.or_else(|| (random.below(2) == 0).then(|| mercy(random)));
            let taken = disk.cut(&dir, same, random);
            totals.taken.writes += taken.writes;
            totals.taken.names += taken.names;
            let cut = trial.promised.unwrap_or(cut);
            give.send(Case { dir, cut, number: number as u64 }).unwrap();
        }
    }
    drop(give);
    totals.losses = judges.into_iter().flat_map(|judge| judge.join().unwrap()).collect();
    totals
}

/// Any moments, in order.
fn points_of(log: &Log, cuts: u64, random: &FakeRandom) -> Vec<Place> {
    let all: Vec<Place> = log.events().map(|(place, _)| place).collect();
    let mut points: Vec<Place> = (0..cuts).map(|_| all[random.below(all.len() as u64) as usize]).collect();
    points.sort_unstable();
    points
}

/// Moments for cuts, in order: any, and more often those at which something is flushed, renamed, removed or promised.
fn points(log: &Log, ledger: &Ledger, cuts: u64, random: &FakeRandom) -> Vec<Place> {
    let mut all = Vec::new();
    let mut edges = Vec::new();
    for (place, event) in log.events() {
        all.push(place);
        if !matches!(event, Event::Write { .. }) {
            edges.push(place);
        }
    }
    let mut answers = ledger.answers();
    answers.sort_unstable();
    assert!(answers.len() > 100, "the load was too small: {} answers", answers.len());
    let any = |places: &[Place]| places[random.below(places.len() as u64) as usize];
    let choose = |_| match random.below(3) {
        0 => any(&all),
        1 => any(&edges),
        _ => any(&answers),
    };
    let mut points: Vec<Place> = (0..cuts).map(choose).collect();
    points.sort_unstable();
    points
}

/// Judges case after case.
fn sit(cases: &Mutex<Receiver<Case>>, ledger: &Ledger) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut losses = Vec::new();
    loop {
        let case = cases.lock().unwrap().recv();
        let Ok(case) = case else { return losses };
        let found = runtime.block_on(judge::judge(&case.dir, ledger, case.cut));
        losses.extend(found.into_iter().map(|loss| format!("cut {} at {}: {loss}", case.number, case.cut)));
        std::fs::remove_dir_all(&case.dir).unwrap();
    }
}
