//! Several clients act at random on one mailbox at the same time. Each keeps a model of what it was told; when all
//! have caught up, every model must equal what the store has, and no model was ever told what it may not be told.
//!
//! Half of the clients are of another account, with which the mailbox is shared, and with rights on it that change.
//! Some have said NOTIFY, and hear of it between their commands as well.
//! Half of the clients know mod-sequences: they lose their connection now and then, also in the middle of an answer,
//! and go on from what they know (RFC 7162 §6).

use crate::chat::Stage;
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const CLIENTS: u64 = 4;
const ROUNDS: usize = 8;
const STEPS: usize = 30;
const FLAGS: [&str; 4] = ["\\Seen", "\\Flagged", "\\Deleted", "$x"];

/// A small generator, so that a failure can be run again from its seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }
}

/// Flags of a message as far as the client knows them.
type Flags = Option<BTreeSet<String>>;

/// What a client knows that can resync.
#[derive(Default)]
struct Memory {
    uidvalidity: String,
    modseq: u64,
    /// Highest MODSEQ since the last tagged line; HIGHESTMODSEQ goes before it (RFC 7162 §6).
    seen: u64,
    highest: Option<u64>,
    /// UIDs that it believes to be there.
    cached: BTreeSet<u32>,
    resyncs: usize,
}

/// Who the client is, and how it names the mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Role {
    user: &'static str,
    mailbox: &'static str,
    notify: Notify,
}

/// Whether the client hears things between its commands (RFC 5465).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notify {
    Never,
    Said,
}

const OWNER: Role = Role { user: "alice@example.org", mailbox: "INBOX", notify: Notify::Never };
const GUEST: Role = Role {
    user: "bob@example.org",
    mailbox: "\"Other Users/alice@example.org/INBOX\"",
    notify: Notify::Never,
};

struct Model {
    role: Role,
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    /// `None`: a client that knows nothing of mod-sequences.
    memory: Option<Memory>,
    dice: Dice,
    /// UIDs by number, where they are known.
    messages: Vec<Option<u32>>,
    flags: HashMap<u32, Flags>,
    /// Whether EXPUNGE would be against the rules now (RFC 9051 §7.5.1).
    numbered: bool,
    log: Vec<String>,
}

impl Model {
    async fn connect(role: Role, address: SocketAddr, seed: u64, memory: Option<Memory>) -> Self {
        let stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let mut model = Self {
            role,
            address,
            stream,
            memory,
            dice: Dice(seed),
            messages: Vec::new(),
            flags: HashMap::new(),
            numbered: false,
            log: Vec::new(),
        };
        model.line().await;
        model.run(&format!("LOGIN {} secret", role.user)).await;
        if model.memory.is_some() {
            model.run("ENABLE QRESYNC").await;
        }
        model.run(&format!("SELECT {}", role.mailbox)).await;
        model.watch().await;
        model
    }

    /// NOTIFY, for those that use it; numbers stay what they are between commands.
    async fn watch(&mut self) {
        if self.role.notify == Notify::Said {
            let modseq = if self.memory.is_some() { " MODSEQ" } else { "" };
            let selected =
                format!("(selected-delayed (MessageNew (UID FLAGS{modseq}) MessageExpunge FlagChange))");
            let others = "(MessageNew MessageExpunge FlagChange MailboxName)";
            let set = format!("NOTIFY SET {selected} (personal {others}) (subtree \"Other Users\" {others})");
            assert!(self.run(&set).await.0.starts_with("OK"), "{:#?}", self.log);
        }
    }

    /// The connection is lost, perhaps in the middle of an answer; another one goes on from what is known.
    async fn reconnect(&mut self) {
        if self.dice.below(2) == 0 {
            let command = ["STORE 1 +FLAGS.SILENT ($x)", "EXPUNGE", "NOOP", "FETCH 1:* (FLAGS MODSEQ)"];
            let command = command[self.dice.below(command.len())];
            self.log.push(format!("(cut off) {command}"));
            self.stream.write_all(format!("t {command}\r\n").as_bytes()).await.unwrap();
            for _ in 0..self.dice.below(3) {
                let line = self.line().await;
                if line.starts_with("t ") {
                    break;
                }
                self.log.push(line.clone());
                self.numbered = !command.starts_with("EXPUNGE") && !command.starts_with("NOOP");
                self.take_in(&line);
            }
        }
        self.stream = BufReader::new(TcpStream::connect(self.address).await.unwrap());
        let stale: Vec<(usize, u32)> =
            (1..).zip(&self.messages).filter_map(|(number, uid)| uid.map(|uid| (number, uid))).collect();
        self.messages.clear();
        let memory = self.memory.as_mut().unwrap();
        (memory.seen, memory.highest) = (0, None);
        memory.resyncs += 1;
        let mut known = String::new();
        if self.dice.below(2) == 0 && !memory.cached.is_empty() {
            known = format!(" {}", list(memory.cached.iter()));
        }
        if self.dice.below(2) == 0 && !stale.is_empty() {
            let (numbers, uids): (Vec<usize>, Vec<u32>) = stale.into_iter().unzip();
            known.push_str(&format!(" ({} {})", list(&numbers), list(&uids)));
        }
        let (validity, modseq) = (&memory.uidvalidity, memory.modseq);
        let resync = format!("SELECT {} (QRESYNC ({validity} {modseq}{known}))", self.role.mailbox);
        self.log.push("(reconnects)".to_owned());
        self.line().await;
        // The server may not know yet that the old connection is lost, and count it.
        let login = format!("LOGIN {} secret", self.role.user);
        while self.run(&login).await.0.starts_with("NO [LIMIT]") {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        self.run("ENABLE QRESYNC").await;
        let (tagged, _) = self.run(&resync).await;
        assert!(tagged.starts_with("OK"), "{:#?}", self.log);
        self.run("UID FETCH 1:* (UID)").await;
        self.watch().await;
    }

    /// Mod-sequences of a line, and where to begin from next time.
    fn remember(&mut self, line: &str) {
        let asked = self.log.iter().rev().find(|line| !line.starts_with("* ")).cloned().unwrap_or_default();
        let Some(memory) = &mut self.memory else { return };
        if let Some(modseq) = between(line, "MODSEQ (", ')') {
            memory.seen = memory.seen.max(modseq.parse().unwrap());
        } else if line.contains(" FETCH (") && !asked.contains("FETCH") {
            panic!("flags without a mod-sequence: {line:?} after {:#?}", self.log);
        }
        if let Some(modseq) = between(line, "[HIGHESTMODSEQ ", ']') {
            memory.highest = Some(modseq.parse().unwrap());
        }
        if let Some(uidvalidity) = between(line, "[UIDVALIDITY ", ']') {
            memory.uidvalidity = uidvalidity.to_owned();
        }
        if line.starts_with("t ") {
            let seen = std::mem::take(&mut memory.seen).max(memory.modseq);
            memory.modseq = memory.highest.take().unwrap_or(seen);
        }
    }

    /// `VANISHED 1,3:5`, with or without EARLIER.
    fn vanish(&mut self, words: &[&str]) {
        let earlier = words[2] == "(EARLIER)";
        assert!(earlier || !self.numbered, "VANISHED too early: {:#?}", self.log);
        for range in words[if earlier { 3 } else { 2 }].split(',') {
            let (from, to) = range.split_once(':').unwrap_or((range, range));
            for uid in from.parse::<u32>().unwrap()..=to.parse().unwrap() {
                self.memory.as_mut().unwrap().cached.remove(&uid);
                self.flags.remove(&uid);
                if earlier {
                    continue;
                }
                let known = self.messages.iter().position(|known| *known == Some(uid));
                // Otherwise it is one whose UID was not learned yet, between its neighbours.
                let at = known.unwrap_or_else(|| {
                    let behind =
                        self.messages.iter().rposition(|known| known.is_some_and(|known| known < uid));
                    behind.map_or(0, |at| at + 1)
                });
                let gone = self.messages.remove(at);
                assert!(
                    gone.is_none_or(|gone| gone == uid),
                    "{uid} vanished, and was not there: {:#?}",
                    self.log
                );
            }
        }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line);
        tokio::time::timeout(std::time::Duration::from_secs(20), read).await.unwrap().unwrap();
        assert!(line.ends_with("\r\n"), "{line:?} after {:?}", self.log);
        line.trim_end().to_owned()
    }

    /// Runs a command, taking in all that is told; gives the tagged line and the UIDs whose flags were told.
    async fn run(&mut self, command: &str) -> (String, BTreeSet<u32>) {
        self.log.push(command.to_owned());
        let first = command.split(' ').next().unwrap();
        self.numbered = ["FETCH", "STORE", "SEARCH"].contains(&first);
        self.stream.write_all(format!("t {command}\r\n").as_bytes()).await.unwrap();
        let mut told = BTreeSet::new();
        loop {
            let line = self.line().await;
            self.log.push(line.clone());
            self.remember(&line);
            if let Some(tagged) = line.strip_prefix("t ") {
                assert!(!tagged.starts_with("BAD"), "{:#?}", self.log);
                return (tagged.to_owned(), told);
            }
            told.extend(self.take_in(&line));
        }
    }

    fn take_in(&mut self, line: &str) -> Option<u32> {
        let words: Vec<&str> = line.split(' ').collect();
        if words.get(1) == Some(&"VANISHED") {
            self.vanish(&words);
            return None;
        }
        let number: usize = words.get(1)?.parse().ok()?;
        match *words.get(2)? {
            "EXISTS" => {
                assert!(number >= self.messages.len(), "EXISTS shrinks: {:#?}", self.log);
                self.messages.resize(number, None);
                None
            }
            "EXPUNGE" => {
                assert!(!self.numbered, "EXPUNGE too early: {:#?}", self.log);
                assert!(self.memory.is_none(), "EXPUNGE, not VANISHED: {:#?}", self.log);
                assert!((1..=self.messages.len()).contains(&number), "{:#?}", self.log);
                self.messages.remove(number - 1);
                None
            }
            "FETCH" => {
                assert!((1..=self.messages.len()).contains(&number), "{:#?}", self.log);
                let uid: u32 =
                    between(line, "UID ", ' ').or_else(|| between(line, "UID ", ')'))?.parse().unwrap();
                let known = self.messages[number - 1].get_or_insert(uid);
                assert_eq!(*known, uid, "another UID for a number: {:#?}", self.log);
                if let Some(memory) = &mut self.memory {
                    memory.cached.insert(uid);
                }
                let flags = between(line, "FLAGS (", ')')?;
                let flags = flags.split_whitespace().map(str::to_owned).collect();
                self.flags.insert(uid, Some(flags));
                Some(uid)
            }
            _ => None,
        }
    }

    async fn step(&mut self) {
        let mailbox = self.role.mailbox;
        if self.role.user == OWNER.user && self.dice.below(12) == 0 {
            // What the guest may do changes; to read the mailbox is not taken away.
            let rights = ["lrswipkxtea", "-w", "+w", "-s", "+s", "-te", "+te", "-i", "+i", "lr"];
            let rights = rights[self.dice.below(rights.len())];
            self.run(&format!("SETACL INBOX {} {rights}", GUEST.user)).await;
            return;
        }
        let flag = FLAGS[self.dice.below(FLAGS.len())];
        let sign = ["+", "-", ""][self.dice.below(3)];
        if self.memory.is_some() && self.dice.below(8) == 0 {
            return self.reconnect().await;
        }
        if self.messages.is_empty() || self.dice.below(6) == 0 {
            let more = " {7+}\r\nA: d\r\n\r".repeat(self.dice.below(3));
            self.run(&format!("APPEND {mailbox} ({flag}) {{7+}}\r\nA: b\r\n\r{more}")).await;
            return;
        }
        let number = self.dice.below(self.messages.len()) + 1;
        match self.dice.below(15) {
            14 => drop(self.run(&format!("REPLACE {number} {mailbox} ({flag}) {{7+}}\r\nA: c\r\n\r")).await),
            12 => drop(self.run(&format!("STORE {number} (UNCHANGEDSINCE 40) +FLAGS ({flag})")).await),
            13 => drop(self.run(&format!("UID FETCH 1:* (FLAGS) (CHANGEDSINCE {number})")).await),
            0 => drop(self.run("NOOP").await),
            1 => drop(self.run("EXPUNGE").await),
            2 => drop(self.run(&format!("COPY {number} {mailbox}")).await),
            3 => drop(self.run(&format!("MOVE {number} Trash")).await),
            4 => drop(self.run(&format!("FETCH {number}:* (UID FLAGS)")).await),
            5 => drop(self.run(&format!("FETCH {number} (UID BODY[]<0.1>)")).await),
            6 => drop(self.run(&format!("UID FETCH {number}:* (FLAGS RFC822.SIZE)")).await),
            7 => drop(self.run("SEARCH UNSEEN").await),
            8 | 9 => drop(self.run(&format!("STORE {number} {sign}FLAGS ({flag})")).await),
            10 => drop(self.run(&format!("UID STORE {number}:* {sign}FLAGS ({flag})")).await),
            _ => self.store_silently(number, sign, flag).await,
        }
    }

    /// `.SILENT`: the model works out the flags by itself, unless it is told of them meanwhile.
    async fn store_silently(&mut self, number: usize, sign: &str, flag: &str) {
        let Some(uid) = self.messages[number - 1] else { return };
        let (tagged, told) = self.run(&format!("UID STORE {uid} {sign}FLAGS.SILENT ({flag})")).await;
        let Some(flags) = self.flags.get_mut(&uid) else { return };
        match flags {
            Some(flags) if tagged.starts_with("OK") && !told.contains(&uid) => match sign {
                "+" => drop(flags.insert(flag.to_owned())),
                "-" => drop(flags.remove(flag)),
                _ => *flags = [flag.to_owned()].into(),
            },
            unknown => *unknown = None,
        }
    }

    /// Catches up, and says what it believes.
    async fn belief(&mut self) -> Vec<(Option<u32>, Flags)> {
        self.run("NOOP").await;
        let flags = |uid: &u32| self.flags.get(uid).cloned().flatten();
        self.messages.iter().map(|uid| (*uid, uid.as_ref().and_then(flags))).collect()
    }
}

/// `1,2,5`
fn list<T: ToString>(numbers: impl IntoIterator<Item = T>) -> String {
    numbers.into_iter().map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

fn between<'a>(text: &'a str, start: &str, end: char) -> Option<&'a str> {
    let rest = &text[text.find(start)? + start.len()..];
    let found = &rest[..rest.find(end)?];
    (!found.contains('(')).then_some(found)
}

async fn truth(stage: &Stage) -> Vec<(u32, BTreeSet<String>)> {
    let account = stage.store.account("alice@example.org").await.unwrap().unwrap();
    let mailbox = stage.store.mailbox(account.id, "INBOX").await.unwrap();
    let snapshot = stage.store.snapshot(mailbox.id).await.unwrap();
    let bits = [storage::Flags::SEEN, storage::Flags::FLAGGED, storage::Flags::DELETED];
    let flags = |mark: &storage::Mark| {
        let system =
            FLAGS.iter().zip(bits).filter(|(_, bit)| mark.flags.contains(*bit)).map(|(name, _)| *name);
        let keywords = mark.keywords.iter().map(|bit| snapshot.keywords[bit].as_str());
        system.chain(keywords).map(str::to_owned).collect()
    };
    snapshot.marks.iter().map(|mark| (mark.uid, flags(mark))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_never_disagree() {
    let seed = 0x5851_f42d_4c95_7f2d;
    let mut stage = Stage::new().await;
    stage.play("A: connect\nB: connect bob\nA> a SETACL INBOX bob@example.org lrswipkxtea").await.unwrap();
    let mut models = Vec::new();
    for client in 1..=CLIENTS {
        let memory = (client % 2 == 0).then(Memory::default);
        let role = if client <= CLIENTS / 2 { OWNER } else { GUEST };
        let notify = if client == 2 || client == 3 { Notify::Said } else { Notify::Never };
        let role = Role { notify, ..role };
        models.push(Model::connect(role, stage.address, seed ^ (client << 32), memory).await);
    }
    for round in 0..ROUNDS {
        let tasks: Vec<_> = models
            .drain(..)
            .map(|mut model| {
                tokio::spawn(async move {
                    for _ in 0..STEPS {
                        model.step().await;
                    }
                    model
                })
            })
            .collect();
        for task in tasks {
            models.push(task.await.unwrap());
        }
        let truth = truth(&stage).await;
        for model in &mut models {
            let belief = model.belief().await;
            let log = std::mem::take(&mut model.log);
            let there: BTreeSet<u32> = truth.iter().map(|(uid, _)| *uid).collect();
            if let Some(memory) = &model.memory {
                let lost: Vec<&u32> = memory.cached.difference(&there).collect();
                assert!(
                    lost.is_empty(),
                    "seed {seed:x}, round {round}: never told that {lost:?} vanished: {log:#?}"
                );
            }
            let uids: Vec<Option<u32>> = belief.iter().map(|(uid, _)| *uid).collect();
            assert_eq!(
                belief.len(),
                truth.len(),
                "seed {seed:x}, round {round}: {uids:?} {truth:?} {log:#?}"
            );
            for ((uid, flags), (true_uid, true_flags)) in belief.iter().zip(&truth) {
                assert!(uid.is_none_or(|uid| uid == *true_uid), "seed {seed:x}, round {round}: {log:#?}");
                assert!(
                    flags.as_ref().is_none_or(|flags| flags == true_flags),
                    "seed {seed:x}, round {round}: UID {true_uid} has {true_flags:?}, believed {flags:?}: {log:#?}"
                );
            }
        }
    }
    let resyncs: usize = models.iter().filter_map(|model| model.memory.as_ref()).map(|m| m.resyncs).sum();
    assert!(resyncs >= ROUNDS, "only {resyncs} resyncs");
}
