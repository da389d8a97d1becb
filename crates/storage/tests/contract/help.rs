//! What the suite needs again and again: a store in a temporary directory, and short ways to say things.

use mail::{Address, Blob, Envelope, MailParams, Message, Recipient, ReversePath};
use storage::{
    Acceptance, AccountId, Config, Filing, Flags, Folder, MailboxId, NewJob, NewMessage, Shape, Store, Uid,
    UidSet,
};
use tempfile::TempDir;
use world::fake::FakeClock;
use world::{World, fake};

/// Where the clock of every test stands.
pub(crate) const NOW: i64 = fake::BEGINNING as i64;

/// Takes away all that later versions of the schema brought: what is left is of the first. Each new step adds to it.
pub(crate) const BACK_TO_FIRST: &str = "DROP INDEX mailbox_changed; ALTER TABLE mailbox DROP COLUMN vanished_entries; \
                ALTER TABLE mailbox DROP COLUMN forgotten; DROP TABLE known_recipient; DROP TABLE sender; ALTER TABLE job DROP COLUMN client; ALTER TABLE job DROP COLUMN release_for; \
                DROP TABLE trace; DROP TABLE trace_name; DROP TABLE trace_size; DROP TABLE tls_seen; DROP TABLE tls_domain; DROP TABLE sts_policy; DROP TRIGGER job_recipient_came; DROP TRIGGER job_recipient_changed; DROP TRIGGER job_recipient_went; \
                DROP TABLE lane; DROP TABLE attempt; DROP TABLE failing; DROP INDEX job_mail; \
                DROP INDEX job_held; DROP INDEX job_recipient_due; DROP INDEX job_recipient_lane; \
                ALTER TABLE job_recipient DROP COLUMN lane; ALTER TABLE job_recipient DROP COLUMN priority; ALTER TABLE job DROP COLUMN priority; \
                ALTER TABLE job DROP COLUMN by_seconds; ALTER TABLE job DROP COLUMN by_mode; \
                ALTER TABLE job DROP COLUMN release_at; ALTER TABLE job DROP COLUMN held; \
                CREATE INDEX job_recipient_due ON job_recipient (max(due, lease_until)) WHERE state = 0; \
                DROP TABLE acl; DROP TRIGGER mailbox_usage; DROP TABLE annotation; ALTER TABLE account DROP COLUMN quota_octets; \
                ALTER TABLE account DROP COLUMN quota_messages; ALTER TABLE account DROP COLUMN used_octets; \
                ALTER TABLE account DROP COLUMN used_messages; DROP TABLE grey_triplet; DROP TABLE grey_client; \
                DROP TABLE app_password; DROP TABLE login_certificate; DROP INDEX credential_without_scram; \
                ALTER TABLE credential DROP COLUMN scram_salt; ALTER TABLE credential DROP COLUMN scram_iterations; \
                ALTER TABLE credential DROP COLUMN scram_sha_1; ALTER TABLE credential DROP COLUMN scram_sha_256; \
                DROP TABLE dmarc_seen; DROP TABLE dmarc_domain; DROP TABLE report_row; DROP TABLE report; \
                DROP TABLE body_key_fields; DROP TABLE imported; DROP TABLE body_header; PRAGMA user_version = 1";

pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) clock: FakeClock,
    pub(crate) world: World,
    pub(crate) store: Store,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other options than the defaults.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = FakeClock::default();
        let mut world = fake::world(1);
        world.clock = std::sync::Arc::new(clock.clone());
        let mut config = Config::new(dir.path());
        change(&mut config);
        let store = Store::open(config, world.clone()).await.unwrap();
        Self { dir, clock, world, store }
    }

    /// Closes the store and opens it again.
    pub(crate) async fn reopen(&mut self) {
        self.reopen_with(|_| {}).await;
    }

    /// The same with other options than the defaults.
    pub(crate) async fn reopen_with(&mut self, change: impl FnOnce(&mut Config)) {
        self.store.close().await;
        let mut config = Config::new(self.dir.path());
        change(&mut config);
        self.store = Store::open(config, self.world.clone()).await.unwrap();
    }

    /// The account, made if it is not there.
    pub(crate) async fn account(&self, name: &str) -> AccountId {
        match self.store.account(name).await.unwrap() {
            Some(account) => account.id,
            None => self.store.create_account(name).await.unwrap(),
        }
    }

    pub(crate) async fn inbox(&self, name: &str) -> MailboxId {
        let account = self.account(name).await;
        self.store.mailbox(account, "INBOX").await.unwrap().id
    }

    pub(crate) async fn append(&self, mailbox: MailboxId, text: &str) -> Uid {
        self.store.append(mailbox, vec![message(text)]).await.unwrap().uids[0]
    }

    /// Names of the files of large bodies.
    pub(crate) fn body_files(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.dir.path().join("bodies")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    names.push(entry.file_name().into_string().unwrap());
                }
            }
        }
        names.sort();
        names
    }

    /// Waits until what goes on in the background has come to this.
    pub(crate) async fn settle_down(&self, there: impl Fn(&Self) -> bool) {
        while !there(self) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    /// The whole message as text.
    pub(crate) async fn text(&self, mailbox: MailboxId, uid: Uid) -> Option<String> {
        let message = self.store.message(mailbox, uid).await.unwrap()?;
        Some(String::from_utf8(message.to_vec().unwrap()).unwrap())
    }

    /// Everything in a mailbox, one message a line: `uid flags keywords text`.
    pub(crate) async fn show(&self, mailbox: MailboxId) -> String {
        let snapshot = self.store.snapshot(mailbox).await.unwrap();
        let mut out = String::new();
        for mark in &snapshot.marks {
            let words: Vec<&str> = mark.keywords.iter().map(|bit| snapshot.keywords[bit].as_str()).collect();
            let text = self.text(mailbox, mark.uid).await.unwrap();
            let flags = letters(mark.flags);
            out += &format!("{} {flags} {} {}\n", mark.uid, words.join(","), text.trim_end());
        }
        out
    }
}

/// System flags as letters: `S` seen, `A` answered, `F` flagged, `D` deleted, `T` draft, `-` none.
pub(crate) fn letters(flags: Flags) -> String {
    let all = [
        (Flags::SEEN, 'S'),
        (Flags::ANSWERED, 'A'),
        (Flags::FLAGGED, 'F'),
        (Flags::DELETED, 'D'),
        (Flags::DRAFT, 'T'),
    ];
    let letters: String = all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, c)| *c).collect();
    if letters.is_empty() { "-".to_owned() } else { letters }
}

pub(crate) fn shape(text: &str) -> Shape {
    let part = |name: &str| format!("{name} of {text}").into_bytes().into();
    Shape {
        envelope: part("envelope"),
        bodystructure: part("structure"),
        parts: part("parts"),
        key_fields: part("key fields"),
    }
}

pub(crate) fn message(text: &str) -> NewMessage {
    NewMessage {
        message: Message::new(Blob::from_bytes(text.as_bytes())),
        shape: shape(text),
        flags: Flags::NONE,
        keywords: Vec::new(),
        received: NOW,
    }
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

/// A message for some local accounts and one job with some remote recipients.
pub(crate) fn acceptance(text: &str, local: &[&str], remote: &[&str]) -> Acceptance {
    let filings = local
        .iter()
        .map(|account| Filing {
            account: (*account).to_owned(),
            folder: Folder::Inbox,
            added: format!("Delivered-To: {account}\r\n").into_bytes(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            date: NOW,
            space: storage::Space::Needed,
        })
        .collect();
    let jobs = if remote.is_empty() { vec![] } else { vec![job("sender@here.example", remote)] };
    Acceptance {
        mail_id: "m1".to_owned(),
        received: Blob::from_bytes(text.as_bytes()),
        shape: shape(text),
        filings,
        jobs,
        charge: None,
    }
}

pub(crate) fn job(from: &str, to: &[&str]) -> NewJob {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
    NewJob {
        envelope: Envelope {
            from,
            params: MailParams::default(),
            recipients: to.iter().map(|to| Recipient::plain(address(to))).collect(),
        },
        added: b"Received: by us\r\n".to_vec(),
        arrived: NOW,
        due: NOW,
        client: None,
    }
}

pub(crate) fn set(ranges: &[(Uid, Uid)]) -> UidSet {
    ranges.iter().copied().collect()
}
