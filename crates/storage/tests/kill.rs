//! A process that is killed in the middle of its work, again and again, on one state directory: whatever it had
//! acknowledged is there afterwards, whole, and nothing is there by half.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "this is all test code")]

use mail::{Address, Blob, Envelope, MailParams, Message, Recipient, ReversePath};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use storage::{
    Acceptance, Config, Filing, Flags, Folder, JobId, MailboxId, NewJob, NewMessage, Shape, Store, Uid,
    UidSet, Which,
};
use world::Random;
use world::fake::FakeRandom;
use world::system::{SystemRandom, without_dns};

/// Tells the second process that it is the one to be killed, and where to work.
const ROLE: &str = "STORE_TO_BE_KILLED";
const ACCOUNT: &str = "a@a.example";
const ROUNDS: usize = 6;

/// Octets that follow from a number, so that both processes know them.
fn octets(number: u64) -> Vec<u8> {
    let size = match number % 16 {
        0 => 300_000,
        1..=3 => 20_000,
        _ => 600,
    };
    let mut octets = vec![0; size];
    FakeRandom::seeded(number).fill(&mut octets);
    octets
}

#[tokio::test]
async fn what_was_acknowledged_survives_the_process() {
    match std::env::var(ROLE) {
        Ok(dir) => work(Path::new(&dir)).await,
        Err(_) => judge().await,
    }
}

// ---- the process that is killed ----

async fn work(dir: &Path) {
    let mut config = Config::new(dir);
    config.checkpoint_octets = 1024 * 1024;
    let store = Store::open(config, without_dns()).await.unwrap();
    let account = match store.account(ACCOUNT).await.unwrap() {
        Some(account) => account.id,
        None => store.create_account(ACCOUNT).await.unwrap(),
    };
    let inbox = store.mailbox(account, "INBOX").await.unwrap().id;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        tasks.spawn(append(store.clone(), inbox));
        tasks.spawn(accept(store.clone()));
    }
    tasks.spawn(expunge(store, inbox));
    tasks.join_all().await;
}

async fn append(store: Store, inbox: MailboxId) {
    loop {
        let number = SystemRandom.u64() >> 1;
        let new = NewMessage {
            message: Message::new(Blob::from_bytes(octets(number))),
            shape: Shape::default(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: 0,
        };
        let uid = store.append(inbox, vec![new]).await.unwrap().uids[0];
        println!("kept {uid} {number}");
    }
}

async fn accept(store: Store) {
    loop {
        let number = SystemRandom.u64() >> 1;
        let acceptance = Acceptance {
            mail_id: number.to_string(),
            received: Blob::from_bytes(octets(number)),
            shape: Shape::default(),
            filings: vec![Filing {
                account: ACCOUNT.to_owned(),
                folder: Folder::Inbox,
                added: Vec::new(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                date: 0,
                space: storage::Space::Needed,
            }],
            jobs: vec![NewJob {
                envelope: Envelope {
                    from: ReversePath::Null,
                    params: MailParams::default(),
                    recipients: vec![Recipient::plain(Address::parse("x@far.example").unwrap())],
                },
                added: Vec::new(),
                arrived: 0,
                due: 0,
                client: None,
            }],
            charge: None,
        };
        let accepted = store.accept(acceptance).await.unwrap();
        println!("kept {} {number}", accepted.filed[0].uid);
        println!("queued {} {number}", accepted.jobs[0]);
    }
}

async fn expunge(store: Store, inbox: MailboxId) {
    loop {
        let marks = store.snapshot(inbox).await.unwrap().marks;
        if let Some(mark) = marks.get(SystemRandom.below(marks.len() as u64) as usize) {
            println!("goes {}", mark.uid);
            store.expunge(inbox, &UidSet::one(mark.uid), Which::Any).await.unwrap();
            println!("gone {}", mark.uid);
        }
    }
}

// ---- the process that kills, and looks ----

#[derive(Default)]
struct Told {
    kept: BTreeMap<Uid, u64>,
    queued: BTreeMap<i64, u64>,
    /// Asked to go; it may have gone or not.
    goes: BTreeSet<Uid>,
    gone: BTreeSet<Uid>,
}

impl Told {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["kept", uid, number] => {
                let old = self.kept.insert(uid.parse().unwrap(), number.parse().unwrap());
                assert_eq!(old, None, "UID {uid} was given out twice");
            }
            ["queued", job, number] => {
                self.queued.insert(job.parse().unwrap(), number.parse().unwrap());
            }
            ["goes", uid] => {
                self.goes.insert(uid.parse().unwrap());
            }
            ["gone", uid] => {
                self.gone.insert(uid.parse().unwrap());
            }
            // What the test harness itself prints.
            _ => {}
        }
    }
}

async fn judge() {
    let dir = tempfile::tempdir().unwrap();
    let mut told = Told::default();
    for round in 0..ROUNDS {
        let lines = 50 + SystemRandom.below(400) as usize;
        println!("round {round}: killed after {lines} lines");
        run_and_kill(dir.path(), lines, &mut told);
        check(dir.path(), &told).await;
    }
    assert!(told.kept.len() > 100 && !told.queued.is_empty() && !told.gone.is_empty());
}

fn run_and_kill(dir: &Path, lines: usize, told: &mut Told) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "what_was_acknowledged_survives_the_process", "--nocapture"])
        .env(ROLE, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    for (number, line) in output.lines().enumerate() {
        if number == lines {
            child.kill().unwrap();
        }
        // What it said before it died counts as well.
        told.hear(&line.unwrap());
    }
    let status = child.wait().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&status),
        Some(9),
        "it was to be killed: {status}"
    );
}

async fn check(dir: &Path, told: &Told) {
    let store = Store::open(Config::new(dir), without_dns()).await.unwrap();
    assert_eq!(store.verify().await.unwrap(), Vec::<String>::new());
    let account = store.account(ACCOUNT).await.unwrap().unwrap().id;
    let inbox = store.mailbox(account, "INBOX").await.unwrap();
    for (uid, number) in &told.kept {
        let found = store.message(inbox.id, *uid).await.unwrap();
        match found {
            Some(message) => {
                assert!(!told.gone.contains(uid), "UID {uid} came back");
                assert!(message.to_vec().unwrap() == octets(*number), "UID {uid} has other octets");
            }
            None => assert!(told.goes.contains(uid), "UID {uid} was promised and is gone"),
        }
        assert!(*uid < inbox.uidnext);
    }
    for (job, number) in &told.queued {
        let message = store.job_message(JobId::from_number(*job)).await.unwrap();
        assert!(message.to_vec().unwrap() == octets(*number), "job {job} has other octets");
    }
    store.close().await;
}
