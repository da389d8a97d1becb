//! What both doors are tested with: a store in a temporary directory, loopback sockets, and a client that says lines.

use delivery::{AliasKey, Aliases, Intake, RouteConfig, Router};
use mail::{Address, Domain};
use net::{
    ClientTls, Conn, Connector, Driven, Family, Gate, Limits, ListenOptions, Listener, Roots, ServerTls,
    Stop, Tls,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::{Columns, Store, UidSet};
use wire::{Machine, Step};
use world::World;
use world::fake::FakeClock;

/// Everything beneath a door. Accounts alice@o.ex and bob@o.ex; sales@o.ex is alice and far@e.ex, *@c.ex is bob.
pub(crate) struct House {
    pub(crate) store: Store,
    pub(crate) intake: Intake,
    pub(crate) world: World,
    pub(crate) clock: FakeClock,
    _dir: tempfile::TempDir,
    ca: PathBuf,
    tls: ServerTls,
}

impl House {
    pub(crate) async fn build() -> Self {
        Self::with_zone("").await
    }

    /// With a DNS that says this and no more.
    pub(crate) async fn with_zone(zone: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = world::fake::world_with(11, zone).unwrap();
        let clock = FakeClock::default();
        world.clock = Arc::new(clock.clone());
        let store = Store::open(storage::Config::new(dir.path()), world.clone()).await.unwrap();
        for account in ["alice@o.ex", "bob@o.ex"] {
            store.create_account(account).await.unwrap();
        }
        let mut aliases = Aliases::default();
        for (alias, targets) in [("sales@o.ex", "alice@o.ex far@e.ex"), ("*@c.ex", "bob@o.ex")] {
            let targets = targets.split(' ').map(|target| Address::parse(target).unwrap()).collect();
            aliases.insert(&AliasKey::parse(alias).unwrap(), targets);
        }
        let config = RouteConfig {
            hostname: Domain::parse("mx.o.ex").unwrap(),
            local_domains: ["o.ex", "c.ex"].map(|name| Domain::parse(name).unwrap()).to_vec(),
            aliases,
            subaddress: Some('+'),
            postmaster: None,
        };
        let router = Router::load(config, store.clone(), world.clone()).await.unwrap();
        let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
        let authority = net::demo_ca(dir.path(), &[], world.clock.as_ref()).unwrap();
        let tls = ServerTls::from_files(&[authority.leaf], world.clock.clone()).unwrap();
        Self { store, intake, world, clock, _dir: dir, ca: authority.ca, tls }
    }

    /// What a door needs.
    pub(crate) fn deps(&self) -> smtp_door::Deps {
        let spool_dir = self.store.spool_dir().to_owned();
        smtp_door::Deps { intake: self.intake.clone(), world: self.world.clone(), spool_dir }
    }

    /// A listener on loopback, with STARTTLS.
    pub(crate) fn listen(&self, stop: Stop) -> Listener {
        let options = ListenOptions {
            name: "door",
            address: "127.0.0.1:0".parse().unwrap(),
            family: Family::default(),
            tls: Tls::StartTls(self.tls.clone()),
            proxy: net::ProxyTrust::default(),
            busy: b"",
        };
        Listener::bind(options, Gate::new(Limits::default()), &self.world, stop).unwrap()
    }

    /// A client of the listener, its greeting read.
    pub(crate) async fn client(&self, listener: &Listener) -> Client {
        let conn = Connector::new(&self.world).connect(listener.local_addr().unwrap()).await.unwrap();
        let tls = ClientTls::authenticated(&Roots::File(self.ca.clone()), self.world.clock.clone()).unwrap();
        let mut client = Client { conn, lines: Lines::default(), tls };
        assert_eq!(client.hear().await, "220 mx.o.ex ESMTP");
        client
    }

    /// The messages in an account's INBOX, one text each.
    pub(crate) async fn inbox(&self, account: &str) -> Vec<String> {
        self.messages(account, "INBOX").await
    }

    /// The messages in a mailbox, one text each.
    pub(crate) async fn messages(&self, account: &str, mailbox: &str) -> Vec<String> {
        let account = self.store.account(account).await.unwrap().unwrap().id;
        let mailbox = self.store.mailbox(account, mailbox).await.unwrap().id;
        let rows = self.store.fetch(mailbox, &UidSet::all(), Columns::MESSAGE, 100).await.unwrap();
        let text = |row: &storage::Row| {
            let message = row.message.as_ref().unwrap();
            String::from_utf8(message.to_vec().unwrap()).unwrap()
        };
        rows.iter().map(text).collect()
    }

    /// The queue: `<sender> recipient`, one line for each recipient.
    pub(crate) async fn queue(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for job in self.store.queue(None, 100).await.unwrap() {
            for one in &job.recipients {
                lines.push(format!("<{}> {}", job.from, one.recipient.address));
            }
        }
        lines
    }
}

/// Says lines and hears replies.
pub(crate) struct Client {
    conn: Conn,
    lines: Lines,
    tls: ClientTls,
}

impl Client {
    /// Says one line and gives the reply: all lines, joined by a slash.
    pub(crate) async fn say(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n")).await
    }

    /// Sends octets as they are and gives the reply.
    pub(crate) async fn send(&mut self, octets: &str) -> String {
        self.lines.out.extend_from_slice(octets.as_bytes());
        self.hear().await
    }

    /// The next reply; `closed` at the end of the connection.
    pub(crate) async fn hear(&mut self) -> String {
        match self.conn.drive(&mut self.lines).await {
            Driven::Ask(reply) => reply,
            Driven::Closed(_) => "closed".to_owned(),
            other => panic!("{other:?}"),
        }
    }

    /// Says all lines of a text, and checks what comes back: `line => beginning of the reply`.
    pub(crate) async fn play(&mut self, script: &str) {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (say, want) = line.split_once(" => ").unwrap();
            let reply = self.say(&say.replace("\\r\\n", "\r\n")).await;
            assert!(reply.starts_with(want), "{say}: wanted {want}, got {reply}");
        }
    }

    pub(crate) async fn start_tls(&mut self) {
        self.play("EHLO c.ex => 250\nSTARTTLS => 220").await;
        self.conn.start_tls_client(&self.tls, "localhost").await.unwrap();
    }
}

/// A machine that says what it is told, and asks its owner to hear each reply.
#[derive(Default)]
struct Lines {
    out: Vec<u8>,
    heard: Vec<u8>,
}

impl Machine for Lines {
    type Question = String;

    fn feed(&mut self, octets: &[u8]) {
        self.heard.extend_from_slice(octets);
    }

    fn step(&mut self) -> Step<String> {
        if !self.out.is_empty() {
            return Step::Write(std::mem::take(&mut self.out));
        }
        let text = String::from_utf8(self.heard.clone()).unwrap();
        let mut reply = Vec::new();
        let mut used = 0;
        for line in text.split_inclusive("\r\n").filter(|line| line.ends_with("\r\n")) {
            used += line.len();
            reply.push(line.trim_end());
            if line.as_bytes().get(3) == Some(&b' ') {
                self.heard.drain(..used);
                return Step::Ask(reply.join("/"));
            }
        }
        Step::Read
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}
