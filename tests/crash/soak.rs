//! A long run: mixed load with faults in between, while memory, handles, threads, the write-ahead log and waits are watched.
//! They must stay flat; what grows with the time, and not with the mail, is a leak.

use crate::faults::{Crew, Kind, PROBE, Story};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::message;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// A fault after so many looks.
const LOOKS_PER_FAULT: usize = 4;
/// More octets than the first part of a run had, in its last part, that are no growth: buffers of connections that come and go.
const MEMORY_SLACK: u64 = 24 * 1024 * 1024;
/// The same for handles and for threads.
const HANDLES_SLACK: u64 = 24;
/// The log is carried over at 1 MiB here; while faults forbid that, and readers stand in the way, it may grow to so much.
const WAL_MAX: u64 = 64 * 1024 * 1024;
/// Octets that a daemon may hold under this load in a run that is too short to show growth: caches fill in the first minutes.
const MEMORY_MAX: u64 = 512 * 1024 * 1024;
/// From so many seconds on, growth of memory and waits are judged.
const LONG: u64 = 120;
/// Waits in the last part may be so many times those of the first, on a machine that has other work.
const WAITS_MAX: u32 = 10;

/// What was seen at one look.
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    memory: u64,
    handles: u64,
    threads: u64,
    wal: u64,
    /// From a command or message to its answer, while nothing was wrong.
    wait: Option<Duration>,
}

/// Keeps the load up for so many seconds; the looks, and how it ended.
pub(crate) fn soak(file: &Path, seed: u64, seconds: u64) -> (Vec<Look>, Story) {
    let mut crew = Crew::start(file, seed);
    let begun = Instant::now();
    let mut looks = Vec::new();
    let mut round = 0;
    while begun.elapsed() < Duration::from_secs(seconds) {
        if looks.len() % LOOKS_PER_FAULT == LOOKS_PER_FAULT - 1 {
            crew.round(Kind::Disturbances, round);
            round += 1;
        }
        crew.fill();
        looks.push(look(&crew));
        std::thread::sleep(PAUSE);
    }
    (looks, crew.end(file, Kind::Disturbances))
}

fn look(crew: &Crew) -> Look {
    let process = format!("/proc/{}", crew.maddy.id());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let number = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("Linux tells it");
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let wal = fs::read_dir(crew.maddy.setup.state_dir()).unwrap().flatten();
    let wal = wal.filter(|entry| entry.file_name().to_string_lossy().ends_with("-wal"));
    Look {
        memory: 1024 * number("VmRSS:"),
        handles: fs::read_dir(format!("{process}/fd")).unwrap().count() as u64,
        threads: number("Threads:"),
        wal: wal.filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).max().unwrap_or(0),
        wait: wait(crew),
    }
}

/// How long a small message takes to its 250. `None` where it was refused.
fn wait(crew: &Crew) -> Option<Duration> {
    let mut smtp = crew.maddy.smtp();
    let text = message("eve@remote.test", PROBE, "how long", "text");
    let begun = Instant::now();
    let accepted = smtp.try_deliver("eve@remote.test", &[PROBE], &text).unwrap_or(false);
    accepted.then(|| begun.elapsed())
}

/// What is not flat.
pub(crate) fn growth(looks: &[Look], seconds: u64) -> Vec<String> {
    // The first sixth warms up.
    let looks = &looks[looks.len() / 6..];
    let third = looks.len() / 3;
    let (first, last) = (&looks[..third], &looks[looks.len() - third..]);
    let mut wrong = Vec::new();
    let mut judge = |what: &str, slack: u64, of: fn(&Look) -> u64| {
        let (before, after) = (median(first, of), median(last, of));
        println!("{what}: {before} in the first part, {after} in the last");
        // A quarter more is what an allocator may keep; what leaks in proportion to the time doubles and more.
        if after > before + before / 4 + slack {
            wrong.push(format!("{what} grew from {before} to {after}"));
        }
    };
    let slack = if seconds >= LONG { MEMORY_SLACK } else { MEMORY_MAX };
    judge("memory", slack, |look| look.memory);
    judge("handles", HANDLES_SLACK, |look| look.handles);
    judge("threads", HANDLES_SLACK, |look| look.threads);
    let memory = looks.iter().map(|look| look.memory).max().unwrap_or(0);
    if memory > MEMORY_MAX {
        wrong.push(format!("memory reached {memory}"));
    }
    let wal = looks.iter().map(|look| look.wal).max().unwrap_or(0);
    println!("write-ahead log: {wal} at most");
    if wal > WAL_MAX {
        wrong.push(format!("the write-ahead log grew to {wal}"));
    }
    let (before, after) = (waits(first), waits(last));
    println!("waits, median and 99th of 100: {before:?} in the first part, {after:?} in the last");
    if seconds >= LONG && after.0 > before.0 * WAITS_MAX {
        wrong.push(format!("waits grew from {before:?} to {after:?}"));
    }
    wrong
}

fn median(looks: &[Look], of: fn(&Look) -> u64) -> u64 {
    let mut values: Vec<u64> = looks.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn waits(looks: &[Look]) -> (Duration, Duration) {
    let mut waits: Vec<Duration> = looks.iter().filter_map(|look| look.wait).collect();
    waits.sort_unstable();
    let at = |part: usize| waits.get((waits.len() * part / 100).min(waits.len().saturating_sub(1)));
    (at(50).copied().unwrap_or_default(), at(99).copied().unwrap_or_default())
}
