//! Random work against a model: after every step the store holds what the model holds, and tells what changed.

use crate::help::*;
use std::collections::{BTreeMap, BTreeSet};
use storage::*;
use world::Random;
use world::fake::FakeRandom;
use world::system::SystemRandom;

#[derive(Clone, Debug, PartialEq)]
struct Kept {
    flags: Flags,
    keywords: BTreeSet<&'static str>,
    text: String,
}

/// A mailbox as the model has it, and as a client knows it that only ever asks what changed.
struct Model {
    id: MailboxId,
    kept: BTreeMap<Uid, Kept>,
    uidnext: Uid,
    client: BTreeMap<Uid, (Flags, BTreeSet<String>)>,
    modseq: ModSeq,
}

const WORDS: [&str; 4] = ["$label1", "Work", "$Forwarded", "x"];

struct Game {
    bench: Bench,
    random: FakeRandom,
    models: Vec<Model>,
    number: u32,
}

impl Game {
    fn below(&self, end: u64) -> u64 {
        self.random.below(end)
    }

    fn pick_flags(&self) -> (Flags, Vec<&'static str>) {
        let flags = Flags::from_bits(self.below(32) as u8);
        (flags, WORDS.into_iter().filter(|_| self.below(3) == 0).collect())
    }

    fn pick_uids(&self, model: &Model) -> UidSet {
        match self.below(4) {
            0 => UidSet::all(),
            1 => UidSet::one(1 + self.below(u64::from(model.uidnext)) as Uid),
            _ => (0..3).map(|_| 1 + self.below(u64::from(model.uidnext)) as Uid).collect(),
        }
    }

    fn text(&mut self) -> String {
        self.number += 1;
        // Some are the same as others, some are large.
        let number = if self.below(4) == 0 { 0 } else { self.number };
        let size = if self.below(20) == 0 { 60_000 } else { 1 + self.below(30) as usize };
        format!("{number} ").repeat(size)
    }

    async fn step(&mut self) {
        let at = self.below(self.models.len() as u64) as usize;
        let other = self.below(self.models.len() as u64) as usize;
        match self.below(10) {
            0..=2 => self.append(at).await,
            3 => self.accept(at, other).await,
            4..=5 => self.flag(at).await,
            6 => self.copy(at, other).await,
            7 => self.shift(at, other).await,
            8 => self.expunge(at).await,
            _ if self.below(5) == 0 => self.bench.reopen().await,
            _ => {}
        }
    }

    async fn append(&mut self, at: usize) {
        let mut messages = Vec::new();
        for _ in 0..1 + self.below(3) {
            let text = self.text();
            let (flags, keywords) = self.pick_flags();
            let mut new = message(&text);
            new.flags = flags;
            new.keywords = keywords.iter().map(|word| (*word).to_owned()).collect();
            messages.push(new);
            let kept = Kept { flags, keywords: keywords.into_iter().collect(), text };
            self.models[at].put(kept);
        }
        self.bench.store.append(self.models[at].id, messages).await.unwrap();
    }

    async fn accept(&mut self, at: usize, other: usize) {
        let text = self.text();
        let mut mail = acceptance(&text, &["a@a.example", "a@a.example"], &[]);
        for (filing, at) in mail.filings.iter_mut().zip([at, other]) {
            filing.added.clear();
            filing.folder = Folder::Named(format!("m{at}"));
            self.models[at].put(Kept { flags: Flags::NONE, keywords: BTreeSet::new(), text: text.clone() });
        }
        self.bench.store.accept(mail).await.unwrap();
    }

    async fn flag(&mut self, at: usize) {
        let uids = self.pick_uids(&self.models[at]);
        let (flags, keywords) = self.pick_flags();
        let rights = Rights::ALL - Rights::WRITE;
        let modes = [FlagMode::Set, FlagMode::Add, FlagMode::Remove, FlagMode::SetAllowed(rights)];
        let mode = modes[self.below(4) as usize];
        // Who sets what there are rights for names only that.
        let (flags, keywords) = match mode {
            FlagMode::SetAllowed(rights) => (flags & rights.flags(), Vec::new()),
            _ => (flags, keywords),
        };
        let model = &mut self.models[at];
        for (_, kept) in model.kept.iter_mut().filter(|(uid, _)| uids.contains(**uid)) {
            match mode {
                FlagMode::Set => {
                    kept.flags = flags;
                    kept.keywords = keywords.iter().copied().collect();
                }
                FlagMode::SetAllowed(_) => {
                    let others = Flags::ALL - Flags::SEEN - Flags::DELETED;
                    kept.flags = (kept.flags & others) | flags;
                }
                FlagMode::Add => {
                    kept.flags = kept.flags | flags;
                    kept.keywords.extend(&keywords);
                }
                FlagMode::Remove => {
                    kept.flags = kept.flags - flags;
                    kept.keywords.retain(|word| !keywords.contains(word));
                }
            }
        }
        let keywords = keywords.into_iter().map(str::to_owned).collect();
        let change = FlagChange { mode, flags, keywords };
        self.bench.store.store_flags(model.id, &uids, change, None).await.unwrap();
    }

    async fn copy(&mut self, at: usize, to: usize) {
        let uids = self.pick_uids(&self.models[at]);
        let pairs = self.bench.store.copy(self.models[at].id, &uids, self.models[to].id).await.unwrap().pairs;
        let picked: Vec<(Uid, Kept)> = self.models[at]
            .kept
            .iter()
            .filter(|(uid, _)| uids.contains(**uid))
            .map(|(u, k)| (*u, k.clone()))
            .collect();
        let want: Vec<(Uid, Uid)> =
            picked.into_iter().map(|(uid, kept)| (uid, self.models[to].put(kept))).collect();
        assert_eq!(pairs, want);
    }

    async fn shift(&mut self, at: usize, to: usize) {
        let uids = self.pick_uids(&self.models[at]);
        let store = &self.bench.store;
        let pairs = store.move_messages(self.models[at].id, &uids, self.models[to].id).await.unwrap().pairs;
        let picked: Vec<Uid> =
            self.models[at].kept.keys().copied().filter(|uid| uids.contains(*uid)).collect();
        let mut want = Vec::new();
        for uid in picked {
            let kept = self.models[at].kept.remove(&uid).unwrap();
            want.push((uid, self.models[to].put(kept)));
        }
        assert_eq!(pairs, want);
    }

    async fn expunge(&mut self, at: usize) {
        let uids = self.pick_uids(&self.models[at]);
        let model = &mut self.models[at];
        let gone: UidSet = model
            .kept
            .iter()
            .filter(|(uid, kept)| uids.contains(**uid) && kept.flags.contains(Flags::DELETED))
            .map(|(uid, _)| *uid)
            .collect();
        model.kept.retain(|uid, _| !gone.contains(*uid));
        let told = self.bench.store.expunge(model.id, &uids, Which::Deleted).await.unwrap();
        assert_eq!(told.uids, gone);
    }

    async fn compare(&mut self) {
        for model in &mut self.models {
            let snapshot = self.bench.store.snapshot(model.id).await.unwrap();
            let name = |keywords: Keywords| -> BTreeSet<String> {
                keywords.iter().map(|bit| snapshot.keywords[bit].clone()).collect()
            };
            let found: BTreeMap<Uid, (Flags, BTreeSet<String>)> =
                snapshot.marks.iter().map(|mark| (mark.uid, (mark.flags, name(mark.keywords)))).collect();
            let want: BTreeMap<Uid, (Flags, BTreeSet<String>)> = model
                .kept
                .iter()
                .map(|(uid, kept)| {
                    (*uid, (kept.flags, kept.keywords.iter().map(|w| (*w).to_owned()).collect()))
                })
                .collect();
            assert_eq!(found, want);
            assert_eq!(snapshot.mailbox.uidnext, model.uidnext);
            let changes = self.bench.store.changes_since(model.id, model.modseq).await.unwrap();
            assert!(changes.mailbox.modseq >= model.modseq);
            model.modseq = changes.mailbox.modseq;
            model.client.retain(|uid, _| !changes.vanished.contains(*uid));
            for mark in changes.changed {
                model.client.insert(mark.uid, (mark.flags, name(mark.keywords)));
            }
            assert_eq!(model.client, want, "a client that only hears of changes knows the same");
        }
    }

    async fn compare_texts(&self) {
        for model in &self.models {
            for (uid, kept) in &model.kept {
                assert_eq!(self.bench.text(model.id, *uid).await.as_deref(), Some(kept.text.as_str()));
            }
        }
        assert_eq!(self.bench.store.verify().await.unwrap(), Vec::<String>::new());
    }
}

impl Model {
    fn put(&mut self, kept: Kept) -> Uid {
        let uid = self.uidnext;
        self.uidnext += 1;
        self.kept.insert(uid, kept);
        uid
    }
}

#[tokio::test]
async fn a_model_agrees() {
    for _ in 0..4 {
        let seed = SystemRandom.u64();
        println!("seed {seed}");
        play(seed, 120).await;
    }
}

async fn play(seed: u64, steps: usize) {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    let mut models = Vec::new();
    for number in 0..3 {
        let id = bench.store.create_mailbox(account, &format!("m{number}"), None).await.unwrap();
        models.push(Model { id, kept: BTreeMap::new(), uidnext: 1, client: BTreeMap::new(), modseq: 0 });
    }
    let mut game = Game { bench, random: FakeRandom::seeded(seed), models, number: 0 };
    for step in 0..steps {
        game.step().await;
        // A client that comes seldom has more to catch up with.
        if step % 3 == 0 {
            game.compare().await;
        }
    }
    game.compare().await;
    game.compare_texts().await;
}
