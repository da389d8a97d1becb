//! What the search index finds is what a scan of all messages finds, whatever happened to the messages and to the index.

use super::mails;
use super::*;
use crate::gallery::Pictures;
use mail::mime;
use std::path::PathBuf;
use std::time::Duration;
use storage::{
    AccountId, Config, FlagChange, FlagMode, MailboxId, NewMessage, PAGE_MAX, Search, Store, Which,
};
use world::fake;

const ACCOUNT: &str = "ann@here.example";
const MAILBOXES: [&str; 3] = ["INBOX", "Archive", "Trash"];
/// Messages that each mailbox of importance has at the start: more than are read in any case.
const AT_FIRST: usize = 50;
const STEPS: usize = 16;

struct Scene {
    store: Store,
    dir: tempfile::TempDir,
    account: AccountId,
    dice: Dice,
    /// How often the index knew something.
    asked: usize,
    found: usize,
}

impl Scene {
    async fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(Self::config(&dir), fake::world(seed)).await.unwrap();
        let account = store.create_account(ACCOUNT).await.unwrap();
        Self { store, dir, account, dice: Dice(seed), asked: 0, found: 0 }
    }

    fn config(dir: &tempfile::TempDir) -> Config {
        let search = Search { index: true, messages_min: 0, delay: Duration::from_millis(1) };
        Config { search, ..Config::new(dir.path()) }
    }

    async fn mailbox(&mut self) -> MailboxId {
        let name = self.dice.one(&MAILBOXES);
        self.store.mailbox(self.account, name).await.unwrap().id
    }

    async fn fill(&mut self, mailbox: MailboxId, count: usize) {
        let messages = (0..count).map(|_| message(&mut self.dice)).collect();
        self.store.append(mailbox, messages).await.unwrap();
    }

    async fn uids(&mut self, mailbox: MailboxId, most: usize) -> UidSet {
        let marks = self.store.snapshot(mailbox).await.unwrap().marks;
        if marks.is_empty() {
            return UidSet::new();
        }
        (0..self.dice.below(most + 1)).map(|_| marks[self.dice.below(marks.len())].uid).collect()
    }

    /// Something happens.
    async fn step(&mut self) {
        let from = self.mailbox().await;
        let to = self.mailbox().await;
        match self.dice.below(12) {
            0..=2 => {
                let count = 1 + self.dice.below(12);
                self.fill(from, count).await;
            }
            3 | 4 => {
                let uids = self.uids(from, 12).await;
                drop(self.store.copy(from, &uids, to).await.unwrap());
            }
            5 | 6 => {
                let uids = self.uids(from, 12).await;
                drop(self.store.move_messages(from, &uids, to).await.unwrap());
            }
            7 => {
                let uids = self.uids(from, 8).await;
                self.store.expunge(from, &uids, Which::Any).await.unwrap();
            }
            8 => {
                let uids = self.uids(from, 30).await;
                let change = FlagChange { mode: FlagMode::Add, flags: Flags::SEEN, keywords: Vec::new() };
                self.store.store_flags(from, &uids, change, None).await.unwrap();
            }
            9 => self.hurt_index().await,
            10 => self.store.rebuild_index(self.account).await.unwrap(),
            _ => self.settle().await,
        }
    }

    /// The file goes, or what is in it, or the store is opened anew.
    async fn hurt_index(&mut self) {
        let path = self.index();
        match self.dice.below(3) {
            0 => drop(std::fs::remove_file(path)),
            1 if path.exists() => {
                let len = usize::try_from(path.metadata().unwrap().len()).unwrap();
                std::fs::write(path, vec![0x5a; len]).unwrap();
            }
            _ => {
                self.store.close().await;
                self.store = Store::open(Self::config(&self.dir), fake::world(1)).await.unwrap();
            }
        }
    }

    fn index(&self) -> PathBuf {
        self.dir.path().join(format!("search/{}.db", self.account))
    }

    /// Waits until everything is in the index.
    async fn settle(&self) {
        loop {
            let status = self.store.index_status(self.account).await.unwrap();
            if status.indexed >= status.messages {
                return;
            }
            // What was hurt behind the back of the store is found when it is asked or fed.
            for name in MAILBOXES {
                let mailbox = self.store.mailbox(self.account, name).await.unwrap().id;
                self.store.search_candidates(mailbox, &["ABC".to_owned()]).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !self.index().exists() {
                self.store.rebuild_index(self.account).await.unwrap();
            }
        }
    }

    async fn compare(&mut self, seed: u64) {
        let mailbox = self.mailbox().await;
        let pictures = Pictures::default();
        let found = self.store.mailbox_by_id(mailbox).await.unwrap();
        let shared = pictures.open(&self.store, &found, 0).await.unwrap();
        let view = View::new(&shared.look());
        let saved = UidSet::new();
        let known = self.store.search_candidates(mailbox, &[]).await;
        if known.is_some_and(|known| known.upto > 16) {
            self.asked += 1;
        }
        let place = Place {
            store: &self.store,
            mailbox,
            view: &view,
            shared: &shared,
            saved: &saved,
            now: 0,
            progress: None,
        };
        let key = key(&mut self.dice, 0);
        let found: Vec<u32> =
            place.find_among(&key, view.all()).await.unwrap().iter().map(|target| target.uid).collect();
        let test = Test::new(&key, &view, &shared.look(), &saved, 0);
        let mut want = Vec::new();
        let mut rest = UidSet::all();
        loop {
            let columns = Columns::MESSAGE | Columns::PARTS;
            let rows = self.store.fetch(mailbox, &rest, columns, PAGE_MAX).await.unwrap();
            let Some(last) = rows.last().map(|row| row.uid) else { break };
            rest = rest.after(last);
            want.extend(rows.iter().filter(|row| in_one(&test, row)).map(|row| row.uid));
        }
        self.found += want.len();
        assert_eq!(found, want, "seed {seed}: {key:?} in mailbox {mailbox}");
    }
}

fn message(dice: &mut Dice) -> NewMessage {
    let octets = mails::mail(dice, 0);
    let shape = Shape::of(&mime::analyse(&mut octets.as_slice()).unwrap());
    let mut message = Message::new(Blob::from_bytes(octets));
    if dice.below(2) == 0 {
        message.prepend("X-Added: in front of all");
    }
    NewMessage {
        message,
        // Some were filed by a version that did not look.
        shape: if dice.below(6) == 0 { Shape::default() } else { shape },
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: 1_767_225_600,
    }
}

fn key(dice: &mut Dice, depth: usize) -> Key {
    let pair = |dice: &mut Dice| (0..2 + dice.below(2)).map(|_| key(dice, depth + 1)).collect();
    match dice.below(if depth < 3 { 15 } else { 11 }) {
        0 => Key::Flag("\\Seen".to_owned()),
        1 => Key::Larger(dice.below(900) as u64),
        2 => Key::SentSince(Day { year: 2026, month: 1, day: 2 }),
        3 => Key::Header(dice.one(mails::NAMES).to_owned(), mails::term(dice)),
        4 => Key::Header(dice.one(mails::NAMES).to_owned(), String::new()),
        5 | 6 => Key::Header("SUBJECT".to_owned(), mails::term(dice)),
        7 | 8 => Key::Body(mails::term(dice)),
        9 | 10 => Key::Text(mails::term(dice)),
        11 | 12 => Key::And(pair(dice)),
        13 => Key::Or(pair(dice)),
        _ => Key::Not(Box::new(key(dice, depth + 1))),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_finds_what_a_scan_finds() {
    let (mut asked, mut found) = (0, 0);
    for seed in 1..=5 {
        let mut scene = Scene::new(seed).await;
        for name in &MAILBOXES[..2] {
            let mailbox = scene.store.mailbox(scene.account, name).await.unwrap().id;
            scene.fill(mailbox, AT_FIRST).await;
        }
        if seed % 2 == 0 {
            scene.settle().await;
        }
        for _ in 0..STEPS {
            scene.step().await;
            for _ in 0..6 {
                scene.compare(seed).await;
            }
        }
        scene.settle().await;
        for _ in 0..30 {
            scene.compare(seed).await;
        }
        asked += scene.asked;
        found += scene.found;
        scene.store.close().await;
    }
    assert!(asked > 100 && found > 1000, "{asked} {found}: the searches say nothing about the index");
}

/// What was expunged is no longer in the file, and what is left of the account neither.
#[tokio::test]
async fn what_is_expunged_leaves_the_index() {
    let scene = Scene::new(1).await;
    let inbox = scene.store.mailbox(scene.account, "INBOX").await.unwrap().id;
    let octets = b"Subject: secretword\r\n\r\nhidden\r\n".to_vec();
    let new = |octets: &[u8]| NewMessage {
        message: Message::new(Blob::from_bytes(octets)),
        shape: Shape::of(&mime::analyse(&mut &*octets).unwrap()),
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: 0,
    };
    let uid = scene.store.append(inbox, vec![new(&octets)]).await.unwrap().uids[0];
    scene.settle().await;
    let ask = || async {
        let terms = ["SECRETWORD".to_owned()];
        scene.store.search_candidates(inbox, &terms).await.map(|c| c.sets[0].clone().unwrap().len())
    };
    assert_eq!(ask().await, Some(1));
    scene.store.expunge(inbox, &UidSet::one(uid), Which::Any).await.unwrap();
    while scene
        .store
        .search_texts(inbox, &UidSet::all(), |_, _| ())
        .await
        .is_none_or(|texts| !texts.is_empty())
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ask().await, Some(0));
    scene.store.remove_account(ACCOUNT).await.unwrap();
    while scene.index().exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scene.store.close().await;
}
