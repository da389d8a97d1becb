//! Plays chats of several clients against a door.

use imap::{Config, Door, InsecureAuth};
use mail::Domain;
use net::{Gate, ListenOptions, Listener, Stop, Stopper};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long a client waits before the test fails.
const WAIT: Duration = Duration::from_secs(20);

type Step = Result<(), String>;

/// A door, its store, and clients by name.
pub(crate) struct Stage {
    pub(crate) store: Store,
    pub(crate) address: std::net::SocketAddr,
    clients: HashMap<String, BufReader<TcpStream>>,
    stopper: Stopper,
    pub(crate) dir: TempDir,
}

impl Stage {
    /// In clear text, with logins allowed.
    pub(crate) async fn new() -> Self {
        Self::with(InsecureAuth::Allowed, net::Tls::None, |_| {}).await
    }

    /// The same with other options.
    pub(crate) async fn configured(change: impl FnOnce(&mut Config)) -> Self {
        Self::with(InsecureAuth::Allowed, net::Tls::None, change).await
    }

    /// As it is on port 143.
    pub(crate) async fn with_tls(certificate: &net::CertFiles) -> Self {
        let clock = world::fake::world(7).clock;
        let tls = net::ServerTls::from_files(std::slice::from_ref(certificate), clock).unwrap();
        Self::with(InsecureAuth::Refused, net::Tls::StartTls(tls), |_| {}).await
    }

    async fn with(insecure_auth: InsecureAuth, tls: net::Tls, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = world::fake::world(7);
        let store = Store::open(storage::Config::new(dir.path()), world.clone()).await.unwrap();
        store.create_account("alice@example.org").await.unwrap();
        let logins = ["alice", "bob", "carol", "ghost"].map(|name| format!("{name}@example.org"));
        let accounts =
            auth::fake::accounts_with_tokens(&logins.each_ref().map(|name| (name.as_str(), "secret")));
        let mut config = Config {
            insecure_auth,
            append_limit: 30 * 1024 * 1024,
            connections_per_account: 5,
            login_failures: 3,
            failure_delay: Duration::ZERO,
            server_admin: Some("mailto:postmaster@example.org".to_owned()),
            ..Config::default()
        };
        change(&mut config);
        let hostname = Domain::parse("mx.example.org").unwrap();
        let door = Arc::new(Door::new(config, hostname, store.clone(), accounts, world.clone()));
        let (stopper, stop) = Stopper::new();
        let address = listen(door, tls, &world, stop);
        Self { store, address, clients: HashMap::new(), stopper, dir }
    }

    pub(crate) async fn play(&mut self, chat: &str) -> Step {
        for (at, line) in split(chat) {
            self.line(line).await.map_err(|error| format!("line {at}: {line}\n  {error}"))?;
        }
        Ok(())
    }

    async fn line(&mut self, line: &str) -> Step {
        if let Some(what) = line.strip_prefix("! ") {
            return self.act(what).await;
        }
        let (who, rest) = line.split_at(1);
        let (sign, text) = rest.split_at(1);
        let text = text.strip_prefix(' ').unwrap_or(text);
        match (sign, text) {
            (":", "dial") => self.dial(who).await,
            (":", "connect") => {
                self.dial(who).await?;
                self.send(who, b"login LOGIN alice@example.org secret\r\n").await?;
                self.until(who, "login OK").await
            }
            (":", text) if text.starts_with("connect ") => {
                let name = format!("{}@example.org", &text["connect ".len()..]);
                if self.store.account(&name).await.unwrap().is_none() {
                    self.store.create_account(&name).await.unwrap();
                }
                self.dial(who).await?;
                self.send(who, format!("login LOGIN {name} secret\r\n").as_bytes()).await?;
                self.until(who, "login OK").await
            }
            (":", "hang up") => self.clients.remove(who).map(drop).ok_or("no such client".to_owned()),
            (":", text) => self.send(who, format!("{}\r\n", unescape(text)).as_bytes()).await,
            (">", text) => {
                self.send(who, format!("{}\r\n", unescape(text)).as_bytes()).await?;
                let tag = text.split(' ').next().unwrap_or_default();
                self.until(who, &format!("{tag} OK")).await
            }
            ("+", text) => self.send(who, unescape(text).as_bytes()).await,
            ("<", "CLOSED") => match self.read_line(who).await {
                Err(error) if error == "closed" => Ok(()),
                other => Err(format!("not closed: {other:?}")),
            },
            ("<", want) => {
                let got = self.read_line(who).await?;
                let want = unescape(want);
                if fits(&want, &got) { Ok(()) } else { Err(format!("heard: {got}")) }
            }
            _ => Err("not a line of a chat".to_owned()),
        }
    }

    /// Things that happen without a client.
    async fn act(&mut self, what: &str) -> Step {
        let account = self.store.account("alice@example.org").await.unwrap().unwrap().id;
        let (verb, rest) = match what {
            "close the store" => (what, ""),
            _ => what.split_once(' ').unwrap_or((what, "")),
        };
        match verb {
            "stop" => self.stopper.stop(),
            "close the store" => self.store.close().await,
            "quota" => {
                let mut numbers = rest.split(' ').map(|number| storage::Limit::At(number.parse().unwrap()));
                let limits =
                    storage::Limits { octets: numbers.next().unwrap(), messages: numbers.next().unwrap() };
                self.store.set_limits("alice@example.org", limits).await.unwrap();
            }
            "delete" => self.store.delete_mailbox(account, rest).await.map_err(|error| error.to_string())?,
            "deliver" | "file" => {
                let (mailbox, text) = rest.split_once(' ').unwrap();
                let id = self.store.mailbox(account, mailbox).await.unwrap().id;
                let octets = unescape(text).into_bytes();
                let shape = match verb {
                    "deliver" => storage::Shape::of(&mail::mime::analyse(&mut octets.as_slice()).unwrap()),
                    _ => storage::Shape::default(),
                };
                let mut message = mail::Message::new(mail::Blob::from_bytes(octets));
                message.prepend("Delivered-To: alice@example.org");
                let new = storage::NewMessage {
                    message,
                    shape,
                    flags: storage::Flags::NONE,
                    keywords: Vec::new(),
                    received: 1_000_000_000,
                };
                self.store.append(id, vec![new]).await.map_err(|error| error.to_string())?;
            }
            other => return Err(format!("unknown action {other}")),
        }
        Ok(())
    }

    async fn dial(&mut self, who: &str) -> Step {
        let stream = TcpStream::connect(self.address).await.map_err(|error| error.to_string())?;
        self.clients.insert(who.to_owned(), BufReader::new(stream));
        let greeting = self.read_line(who).await?;
        if fits("* OK [CAPABILITY …] mx.example.org is ready.", &greeting) {
            Ok(())
        } else {
            Err(format!("greeted: {greeting}"))
        }
    }

    fn client(&mut self, who: &str) -> Result<&mut BufReader<TcpStream>, String> {
        self.clients.get_mut(who).ok_or(format!("there is no client {who}"))
    }

    pub(crate) async fn send(&mut self, who: &str, octets: &[u8]) -> Step {
        self.client(who)?.write_all(octets).await.map_err(|error| error.to_string())
    }

    pub(crate) async fn read_line(&mut self, who: &str) -> Result<String, String> {
        let mut line = Vec::new();
        let read = self.client(who)?.read_until(b'\n', &mut line);
        match tokio::time::timeout(WAIT, read).await {
            Err(_) => Err("heard nothing".to_owned()),
            Ok(Err(_)) | Ok(Ok(0)) => Err("closed".to_owned()),
            Ok(Ok(_)) => match line.strip_suffix(b"\r\n") {
                Some(line) => Ok(String::from_utf8_lossy(line).into_owned()),
                None => Err(format!("a line without end: {line:?}")),
            },
        }
    }

    /// Reads up to the line that begins with `start`.
    pub(crate) async fn until(&mut self, who: &str, start: &str) -> Step {
        loop {
            let line = self.read_line(who).await?;
            if line.starts_with(start) {
                return Ok(());
            }
            if !line.starts_with("* ")
                && !line.starts_with(")")
                && line.contains(" NO ") | line.contains(" BAD ")
            {
                return Err(format!("heard: {line}"));
            }
        }
    }

    pub(crate) async fn octets(&mut self, who: &str, count: usize) -> Result<Vec<u8>, String> {
        let mut octets = vec![0; count];
        let client = self.client(who)?;
        match tokio::time::timeout(WAIT, client.read_exact(&mut octets)).await {
            Ok(Ok(_)) => Ok(octets),
            other => Err(format!("{other:?}")),
        }
    }
}

fn listen(door: Arc<Door>, tls: net::Tls, world: &world::World, stop: Stop) -> std::net::SocketAddr {
    let options = ListenOptions {
        name: "imap",
        address: "127.0.0.1:0".parse().unwrap(),
        family: net::Family::default(),
        tls,
        proxy: net::ProxyTrust::default(),
        busy: imap::BUSY,
    };
    let listener = Listener::bind(options, Gate::new(net::Limits::default()), world, stop).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(listener.run(move |conn| {
        let door = Arc::clone(&door);
        async move { door.serve(conn).await }
    }));
    address
}

/// The lines of a chat with their numbers; a line that is sent may hold line breaks of its own.
fn split(chat: &str) -> Vec<(usize, &str)> {
    let is_start = |line: &str| {
        let octets = line.as_bytes();
        line.starts_with("! ")
            || line.starts_with('#')
            || (octets.first().is_some_and(u8::is_ascii_uppercase)
                && matches!(octets.get(1), Some(b':' | b'+' | b'<' | b'>'))
                && octets.get(2).is_none_or(|octet| *octet == b' '))
    };
    let mut out: Vec<(usize, usize, usize)> = Vec::new();
    let mut start = 0;
    for (at, line) in chat.split_inclusive('\n').enumerate() {
        let end = start + line.len();
        if is_start(line.trim_end_matches('\n')) || out.is_empty() {
            out.push((at + 1, start, end));
        } else if let Some(last) = out.last_mut() {
            last.2 = end;
        }
        start = end;
    }
    out.into_iter()
        .map(|(at, start, end)| (at, chat[start..end].trim_end_matches('\n')))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

fn unescape(text: &str) -> String {
    text.replace("\\r", "\r").replace("\\n", "\n").replace("\\0", "\0")
}

/// Whether `got` is `want`, where `…` stands for anything.
pub(crate) fn fits(want: &str, got: &str) -> bool {
    let mut parts = want.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = got.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}
