//! A store, an intake and a worker in a temporary directory, with a clock that is set by hand and a DNS of text.

use delivery::config::Config;
use delivery::schedule::Retry;
use delivery::{AliasKey, Aliases, Arrival, Handle, Intake, RouteConfig, Router, Worker};
use mail::{Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, ReversePath};
use std::sync::Arc;
use std::time::Duration;
use storage::{Columns, JobRecipient, RecipientState, Store, UidSet};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use world::fake::{BEGINNING, FakeClock, FakeRandom, FakeResolver};
use world::{Clock, World};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Most jobs that the queue takes.
pub(crate) const QUEUE_MAX: u64 = 40;

pub(crate) const ZONE: &str = "
    e.ex      MX 10 mx1.e.ex
    e.ex      MX 20 mx2.e.ex
    mx1.e.ex  A 127.0.0.2
    mx2.e.ex  A 127.0.0.3
    f.ex      MX 10 mx2.e.ex
    null.ex   MX 0 .
    slow.ex   TIMEOUT
";

pub(crate) struct House {
    pub store: Store,
    pub intake: Intake,
    pub world: World,
    pub clock: FakeClock,
    pub dir: tempfile::TempDir,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

pub(crate) fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

pub(crate) fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

/// Options for tests: the port of the fake hosts, and no patience with idle connections at the end.
pub(crate) fn config(port: u16) -> Config {
    let retry = Retry { first: Duration::from_secs(300), ..Retry::default() };
    Config {
        port,
        retry,
        connect_timeout: Duration::from_secs(5),
        stop_grace: Duration::ZERO,
        ..Config::default()
    }
}

impl House {
    pub(crate) async fn build() -> Self {
        let clock = FakeClock::at(BEGINNING);
        Self { clock: clock.clone(), ..Self::build_with(Arc::new(clock)).await }
    }

    /// With a clock that nobody sets.
    pub(crate) async fn build_with(clock: Arc<dyn Clock>) -> Self {
        let dns = FakeResolver::zone(ZONE).unwrap();
        let world = World {
            clock,
            dns: Arc::new(dns),
            random: Arc::new(FakeRandom::seeded(11)),
            meter: world::Meter::default(),
        };
        let dir = tempfile::tempdir().unwrap();
        let options = storage::Config { queue_max: QUEUE_MAX, ..storage::Config::new(dir.path()) };
        let store = Store::open(options, world.clone()).await.unwrap();
        store.create_account("alice@o.ex").await.unwrap();
        let mut aliases = Aliases::default();
        aliases.insert(&AliasKey::parse("out@o.ex").unwrap(), vec![address("far@e.ex")]);
        let routes = RouteConfig {
            hostname: domain("mx.o.ex"),
            local_domains: vec![domain("o.ex")],
            aliases,
            subaddress: Some('+'),
            postmaster: None,
        };
        let router = Router::load(routes, store.clone(), world.clone()).await.unwrap();
        let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
        Self { store, intake, world, clock: FakeClock::default(), dir, running: None }
    }

    /// Begins to work through the queue.
    pub(crate) fn work(&mut self, config: Config) -> Handle {
        let worker =
            Worker::new(config, self.intake.clone(), self.store.clone(), self.world.clone()).unwrap();
        let handle = worker.handle();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(worker.run(async move {
            let _ = stopped.await;
        }));
        self.running = Some((stop, task));
        handle
    }

    /// Stops the worker and waits for its end.
    pub(crate) async fn stop(&mut self) {
        if let Some((stop, task)) = self.running.take() {
            let _ = stop.send(());
            tokio::time::timeout(PATIENCE, task).await.expect("the worker ends").unwrap();
        }
    }

    pub(crate) async fn send(&self, from: &str, to: &[&str], text: &str) {
        self.send_with(from, to, text, Notify::Default).await;
    }

    pub(crate) async fn send_with(&self, from: &str, to: &[&str], text: &str, notify: Notify) {
        let recipients = to.iter().map(|to| Recipient { notify, ..Recipient::plain(address(to)) }).collect();
        let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
        let envelope = Envelope { from, params: MailParams::default(), recipients };
        let message = Message::new(Blob::from_bytes(text.as_bytes()));
        let arrival = Arrival::own(self.world.random.word(12));
        self.intake.accept(Mail { envelope, message }, arrival).await.unwrap();
    }

    /// Lets time pass, and has all that waits tried again now.
    pub(crate) async fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        self.store.retry_now(None, self.clock.unix()).await.unwrap();
    }

    /// The queue: `<sender> recipient attempts last-reply`, one line for each recipient that is not done.
    pub(crate) async fn queue(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for job in self.store.queue(None, 100).await.unwrap() {
            let waits =
                |one: &JobRecipient| matches!(one.state, RecipientState::Waiting | RecipientState::Trying);
            for one in job.recipients.into_iter().filter(waits) {
                let last = one.last.map_or_else(|| "-".to_owned(), |last| last.reply.to_string());
                lines.push(format!("<{}> {} {} {last}", job.from, one.recipient.address, one.attempts));
            }
        }
        lines
    }

    /// Waits until the queue is as wanted.
    pub(crate) async fn queue_is(&self, want: &[&str]) {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let got = self.queue().await;
            let fits = got.len() == want.len() && got.iter().zip(want).all(|(got, want)| got.contains(want));
            if fits {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "the queue is {got:#?}, not {want:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What alice's INBOX holds.
    pub(crate) async fn inbox(&self) -> Vec<String> {
        let account = self.store.account("alice@o.ex").await.unwrap().unwrap().id;
        let mailbox = self.store.mailbox(account, "INBOX").await.unwrap().id;
        let rows = self.store.fetch(mailbox, &UidSet::all(), Columns::MESSAGE, 100).await.unwrap();
        let text = |message: &Message| String::from_utf8_lossy(&message.to_vec().unwrap()).into_owned();
        rows.iter().map(|row| text(row.message.as_ref().unwrap())).collect()
    }

    /// The per-recipient fields of the notices in alice's INBOX, `Final-Recipient Action Status` each.
    pub(crate) async fn notices(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for text in self.inbox().await {
            let mut fields = Vec::new();
            for line in text.lines() {
                for name in ["Final-Recipient: rfc822; ", "Action: ", "Status: "] {
                    if let Some(value) = line.strip_prefix(name) {
                        fields.push(value.to_owned());
                    }
                }
            }
            lines.extend(fields.chunks(3).map(|three| three.join(" ")));
        }
        lines
    }
}
