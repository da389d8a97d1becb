//! Things go wrong under load, for a while: no room, a disk that cannot be written, flushed or read, no descriptors, a clock
//! that jumps, a daemon that is killed. Whatever was promised meanwhile must be there in the end, and all must go on by itself.

use crate::judge::judge;
use crate::ledger::Ledger;
use crate::load::ALICE;
use crate::log::{Event, Log, Pen, Place};
use crate::scene::{CLIENTS, PATIENT, add_accounts, client, fault_file, kill, recorded};
use crate::sink::Sink;
use nix::errno::Errno;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tests::{Chat, Daemon, PASSWORD, PATIENCE, eventually};
use world::Random;
use world::fake::FakeRandom;

/// What can go wrong: its name, the calls that fail (`recorder.c` says which letter is which), and how.
const FAULTS: [(&str, &str, Errno); 9] = [
    ("no room", "wn", Errno::ENOSPC),
    ("no quota", "wn", Errno::EDQUOT),
    ("read-only", "wcn", Errno::EROFS),
    ("writing fails", "w", Errno::EIO),
    ("flushing fails", "f", Errno::EIO),
    ("reading fails", "r", Errno::EIO),
    ("opening fails", "o", Errno::EIO),
    ("renaming fails", "n", Errno::EIO),
    ("no descriptors", "oa", Errno::EMFILE),
];
/// More calls than there are: the fault lasts until it is lifted.
const FOR_GOOD: u64 = 1_000_000_000;
/// Most milliseconds of a fault.
const FAULT_MS: u64 = 400;
/// Most milliseconds of quiet between two.
const QUIET_MS: u64 = 150;
/// Most milliseconds of a start that is killed: less and more than one takes until it serves.
const START_MS: u64 = 600;
/// One start in so many is let be; the others are killed.
const SPARED: u64 = 3;
/// Most seconds that the clock jumps by, to and fro: less than any message waits in the queue.
const JUMP: u64 = 2 * 24 * 3600;

/// An account that nobody judges.
pub(crate) const PROBE: &str = "probe@example.org";

/// What happens to the daemon in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Fault(usize),
    Jump,
    Kill,
    Stop,
}

/// How blows are dealt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Faults, jumps of the clock, kills and stops in turn.
    Faults,
    /// Only what a daemon lives through.
    Disturbances,
    /// SIGKILL at any moment.
    Kills,
}

/// How it ended.
pub(crate) struct Story {
    /// Not read where the daemon may have been killed while it was written.
    pub(crate) log: Option<Log>,
    pub(crate) ledger: Ledger,
    /// What is wrong with the state directory that was left.
    pub(crate) losses: Vec<String>,
    /// How often a call failed.
    pub(crate) failures: usize,
    /// How often the daemon was killed.
    pub(crate) kills: usize,
}

/// Plays so many rounds with the recorder's log in `file`.
pub(crate) fn play(file: &Path, seed: u64, kind: Kind, rounds: u64) -> Story {
    let mut crew = Crew::start(file, seed);
    for round in 0..rounds {
        crew.round(kind, round);
    }
    crew.end(file, kind)
}

/// The daemon and its clients.
pub(crate) struct Crew {
    pub(crate) maddy: Daemon,
    pen: Pen,
    random: FakeRandom,
    ledger: Ledger,
    clients: Vec<Option<JoinHandle<Ledger>>>,
    born: usize,
    kills: usize,
    sink: Sink,
    log: PathBuf,
    faults: PathBuf,
}

/// Waits for a queue to empty by itself.
pub(crate) fn queue_empties(maddy: &Daemon) {
    let begun = Instant::now();
    loop {
        let listing = maddy.cli(&["queue", "list", "--json"]).ok();
        let jobs: serde_json::Value = serde_json::from_str(&listing).unwrap();
        if jobs.as_array().is_some_and(Vec::is_empty) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the queue does not empty: {listing}");
        thread::sleep(Duration::from_millis(50));
    }
    println!("the queue was empty after {} ms", begun.elapsed().as_millis());
}

impl Crew {
    /// A fresh daemon whose calls are recorded in `file`.
    pub(crate) fn start(file: &Path, seed: u64) -> Self {
        let mut setup = recorded(file);
        setup.expect_errors();
        setup.option("storage", r#"checkpoint-size "1MiB""#);
        // Nothing is given up or told of for a jump of the clock.
        setup.replace_option("delivery", PATIENT);
        // More is sent here in an hour than by anybody in a day, and whoever reaches a limit gets a notice, which nobody sent.
        setup.option("delivery", "daily-limits { messages 0; new-recipients 0; }");
        setup.zone("mx.remote.test A 127.0.0.2\nremote.test MX 10 mx.remote.test");
        let pen = Pen::new(file);
        let sink = Sink::start(Ipv4Addr::new(127, 0, 0, 2), setup.ports().remote, &pen);
        let maddy = setup.start();
        let ledger = Ledger { accounts: add_accounts(&maddy, &pen), ..Ledger::default() };
        maddy.cli_with(&["account", "add", PROBE], &format!("{PASSWORD}\n")).ok();
        Self {
            maddy,
            sink,
            pen,
            random: FakeRandom::seeded(seed),
            ledger,
            clients: (0..CLIENTS).map(|_| None).collect(),
            born: 0,
            kills: 0,
            log: file.to_owned(),
            faults: fault_file(file),
        }
    }

    /// Lets the queue empty, stops the daemon, and judges what is there.
    pub(crate) fn end(mut self, file: &Path, kind: Kind) -> Story {
        self.wait_for_the_queue();
        self.maddy.stop();
        self.gather(|_| true);
        let notes = self.sink.notes();
        let mut ledger = self.ledger;
        (ledger.taken, ledger.refused) = (notes.taken, notes.refused);
        let log = (kind != Kind::Kills).then(|| Log::read(file));
        let is_failure = |(_, event): &(Place, Event<'_>)| matches!(event, Event::Fault);
        let failures = log.as_ref().map_or(0, |log| log.events().filter(is_failure).count());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let losses = runtime.block_on(judge(&self.maddy.setup.state_dir(), &ledger, Place::MAX));
        Story { log, ledger, losses, failures, kills: self.kills }
    }

    pub(crate) fn round(&mut self, kind: Kind, round: u64) {
        self.fill();
        thread::sleep(Duration::from_millis(self.random.below(QUIET_MS)));
        let blow = match kind {
            Kind::Kills => Blow::Kill,
            Kind::Disturbances => Blow::Fault(round as usize % FAULTS.len()),
            Kind::Faults => match (round as usize) % (FAULTS.len() + 3) {
                n if n < FAULTS.len() => Blow::Fault(n),
                n if n == FAULTS.len() => Blow::Jump,
                n if n == FAULTS.len() + 1 => Blow::Kill,
                _ => Blow::Stop,
            },
        };
        match blow {
            Blow::Fault(which) => self.fail(which),
            Blow::Jump => {
                let by = self.random.below(2 * JUMP) as i64 - JUMP as i64;
                self.tell(&format!("t 0 {by} 0"));
                thread::sleep(Duration::from_millis(self.random.below(FAULT_MS)));
                self.tell("t 0 0 0");
            }
            Blow::Kill => {
                self.kills += 1;
                match kind {
                    Kind::Kills => self.maddy.kill(),
                    Kind::Faults | Kind::Disturbances => kill(&mut self.maddy, &self.log),
                }
                self.gather(|_| true);
                // What a killed process left is put in order at the start, which may be killed as well.
                while kind == Kind::Kills && self.random.below(SPARED) > 0 {
                    self.maddy.spawn();
                    thread::sleep(Duration::from_millis(self.random.below(START_MS)));
                    self.maddy.kill();
                    self.kills += 1;
                }
                self.maddy.start();
            }
            Blow::Stop => {
                self.maddy.stop();
                self.gather(|_| true);
                self.maddy.start();
            }
        }
        if let Some(status) = self.maddy.has_ended() {
            println!("round {round}, {blow:?}: the daemon ended with {status}, and is started again");
            self.gather(|_| true);
            self.maddy.start();
        }
    }

    /// A fault for some calls, or for some time.
    fn fail(&mut self, which: usize) {
        let (_, kinds, error) = FAULTS[which];
        let from = self.random.below(60);
        let count = if self.random.below(2) == 0 { FOR_GOOD } else { 1 + self.random.below(20) };
        self.tell(&format!("{kinds} {} {from} {count}", error as i32));
        thread::sleep(Duration::from_millis(50 + self.random.below(FAULT_MS)));
        self.tell("- 0 0 0");
    }

    /// Tells the recorder.
    fn tell(&mut self, what: &str) {
        let draft = self.faults.with_extension("fault-draft");
        std::fs::write(&draft, what).unwrap();
        std::fs::rename(draft, &self.faults).unwrap();
        let (maddy, faults) = (&mut self.maddy, &self.faults);
        eventually("the recorder hears of a fault", || {
            // Who has ended hears nothing.
            (!faults.exists() || !maddy.is_running()).then_some(())
        });
        let _ = std::fs::remove_file(&self.faults);
    }

    /// Sees to it that each place has a client; those who were refused something have gone.
    pub(crate) fn fill(&mut self) {
        self.gather(JoinHandle::is_finished);
        if self.clients.iter().any(Option::is_none) {
            self.wait_until_well();
        }
        for place in 0..CLIENTS {
            if self.clients[place].is_none() {
                self.born += 1;
                let name = format!("{}s{place}", self.born);
                let client = client(place, &self.maddy, &self.pen, &name, &self.random);
                self.clients[place] = Some(client);
            }
        }
    }

    /// Takes over what clients were promised.
    fn gather(&mut self, which: impl Fn(&JoinHandle<Ledger>) -> bool) {
        for place in &mut self.clients {
            if let Some(client) = place.take_if(|client| which(client)) {
                self.ledger.join(client.join().unwrap());
            }
        }
    }

    /// All that was wrong is right again by itself: people can log in and are shown their mail.
    fn wait_until_well(&self) {
        eventually("the daemon serves again", || self.is_well().then_some(()));
    }

    fn is_well(&self) -> bool {
        let mut chat = Chat::connect(self.maddy.ports().imap);
        let login = format!("a LOGIN \"{ALICE}\" \"{PASSWORD}\"\r\n");
        for (command, answer) in
            [("", "* OK"), (login.as_str(), "a OK"), ("b STATUS INBOX (MESSAGES)\r\n", "b OK")]
        {
            if chat.try_send(command.as_bytes()).is_err() {
                return false;
            }
            loop {
                match chat.try_hear() {
                    Ok(Some(line)) if line.starts_with(answer) => break,
                    Ok(Some(line)) if line.starts_with("* ") && !line.starts_with("* BYE") => {}
                    _ => return false,
                }
            }
        }
        true
    }

    /// What is in the queue goes out, now that nothing is in its way.
    fn wait_for_the_queue(&mut self) {
        self.wait_until_well();
        // The clients go on as long as the daemon is there: it is started anew without them.
        self.maddy.stop();
        self.gather(|_| true);
        self.maddy.start();
        queue_empties(&self.maddy);
    }
}
