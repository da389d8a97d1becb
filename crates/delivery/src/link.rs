//! One connection to a mail host, ready for transactions: greeting, EHLO, TLS and login are behind it.

use crate::config::{Smarthost, Tells};
use crate::judge::Said;
use crate::protect::{Protection, Start};
use mail::{Client, Domain, Message, Reply, Status, TlsLevel, TlsUsed, TlsWhy};
use net::{Conn, Connector, Driven, Peer, ProxiedClient, TlsFault};
use smtp_proto::client::{
    Connection, Credentials, Event, Loss, Next, Options, Outcome, Protocol, Question, Report, Session, Stage,
    Timeouts, Transaction,
};
use smtp_proto::{Extension, Offers, Secret};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use world::meter;

/// How far the words of the peer are followed before a connection is given up, in events of one set-up.
const EVENTS_MAX: usize = 16;
/// Longest password in octets.
const PASSWORD_MAX: usize = 1024;

/// How a connection is to be made.
pub(crate) struct Way<'a> {
    pub connector: &'a Connector,
    /// The name for EHLO.
    pub hello: &'a Domain,
    pub protection: &'a Protection,
    pub login: Option<&'a Credentials>,
    pub protocol: Protocol,
    pub speaks_for: SpeaksFor<'a>,
}

/// For whom we speak, and how the peer hears of it.
#[derive(Clone, Copy)]
pub(crate) struct SpeaksFor<'a> {
    pub tells: Tells,
    /// `None`: for ourselves.
    pub client: Option<&'a Client>,
}

/// A host and one of its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub host: Domain,
    pub address: SocketAddr,
    /// A Unix socket instead of the address.
    pub socket: Option<PathBuf>,
}

impl fmt::Display for Place {
    /// Where it is, without its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(path) => write!(f, "unix:{}", path.display()),
            None => self.address.fmt(f),
        }
    }
}

/// Why there is no link.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Nobody answers at this address.
    Unreachable(Reply),
    /// TLS began and failed: without it, a new connection may work.
    Handshake { reply: Reply, fault: TlsFault },
    /// TLS is demanded, and the peer does not offer it or will not have it.
    NoTls(Said),
    /// The peer sends us away, in its own words.
    Refused(Reply),
    /// The connection is of no use for mail; the words are ours.
    Unfit(Reply),
}

impl OpenError {
    pub(crate) fn said(self) -> Said {
        match self {
            Self::Refused(reply) => Said::ByHost(reply),
            Self::NoTls(said) => said,
            Self::Unreachable(reply) | Self::Handshake { reply, .. } | Self::Unfit(reply) => {
                Said::ByUs(reply)
            }
        }
    }
}

/// A connection whose peer waits for a transaction.
pub(crate) struct Link {
    conn: Conn,
    session: Session,
    pub place: Place,
    /// STARTTLS was said: what breaks from then on may work without it.
    tls_asked: bool,
    why: TlsWhy,
}

impl Link {
    /// Connects and comes as far as the first MAIL.
    pub(crate) async fn open(way: &Way<'_>, place: &Place) -> Result<Self, OpenError> {
        let conn = match &place.socket {
            Some(path) => way.connector.connect_local(path).await,
            None => way.connector.connect(place.address).await,
        };
        let mut conn = conn.map_err(|error| {
            OpenError::Unreachable(unreachable(4, 1, format!("{} at {place}: {error}", place.host)))
        })?;
        if let Tells::Proxy(version) = way.speaks_for.tells {
            let proxied = way.speaks_for.client.map(|client| ProxiedClient {
                client: SocketAddr::new(client.address, client.port),
                here: client.here,
            });
            conn.speak_for(version, proxied)
                .await
                .map_err(|closed| OpenError::Unfit(unreachable(4, 2, format!("{}: {closed}", place.host))))?;
        }
        if way.protection.start == Start::AtOnce {
            handshake(&mut conn, way.protection, place).await?;
        }
        let options =
            Options { hello: way.hello.clone(), timeouts: Timeouts::default(), protocol: way.protocol };
        let mut link = Self {
            conn,
            session: Session::new(options),
            place: place.clone(),
            tls_asked: false,
            why: way.protection.why,
        };
        link.set_up(way).await?;
        Ok(link)
    }

    async fn set_up(&mut self, way: &Way<'_>) -> Result<(), OpenError> {
        let mut tls_refused = false;
        let mut logged_in = false;
        let mut to_name = way.speaks_for.client.filter(|_| way.speaks_for.tells == Tells::Xclient);
        for _ in 0..EVENTS_MAX {
            let event = self.event(way).await?;
            match event {
                Event::Hello => self.tls_asked = false,
                Event::Authenticated(_) => logged_in = true,
                Event::Refused { at: Stage::StartTls, reply } if way.protection.is_demanded() => {
                    self.quit().await;
                    return Err(OpenError::NoTls(Said::ByHost(reply)));
                }
                Event::Refused { at: Stage::StartTls, reply } => {
                    tracing::info!(host = %self.place.host, %reply, "STARTTLS was refused; going on in clear");
                    tls_refused = true;
                    self.why = TlsWhy::Fallback;
                }
                Event::Refused { at: Stage::Auth, reply } => {
                    // A wrong password is our mistake, not the message's: it waits until somebody has put it right.
                    tracing::warn!(host = %self.place.host, %reply, "the smarthost refuses our login, so no mail leaves \
                        here; it waits: look at `user` and the `password-file` of the smarthost");
                    self.quit().await;
                    return Err(OpenError::Unfit(not_logged_in(&self.place, &reply)));
                }
                Event::Refused { at: Stage::Xclient, reply } => {
                    // It is about the trust between us, and not about the message.
                    self.quit().await;
                    let text = format!("{} does not take XCLIENT from us: {reply}", self.place.host);
                    return Err(OpenError::Unfit(unreachable(7, 0, text)));
                }
                Event::Refused { reply, .. } => {
                    self.quit().await;
                    return Err(OpenError::Refused(reply));
                }
                Event::Broken(breach) => return Err(self.broken(&breach.to_string())),
                Event::Sent(_) => {
                    return Err(OpenError::Unfit(unreachable(3, 0, "out of order".to_owned())));
                }
            }
            if self.conn.tls().is_none() && !tls_refused && self.wants_tls(way).await? {
                self.session.next(Next::StartTls);
                self.tls_asked = true;
                continue;
            }
            // Before a login, which would be forgotten with it.
            if let Some(client) = to_name.take() {
                if !self.session.takes_xclient() {
                    self.quit().await;
                    return Err(OpenError::Unfit(no_xclient(&self.place)));
                }
                self.session.next(Next::Xclient(client.clone()));
                continue;
            }
            match way.login.filter(|_| !logged_in) {
                Some(credentials) => self.session.next(Next::Auth(credentials.clone())),
                None => return Ok(()),
            }
        }
        Err(OpenError::Unfit(unreachable(5, 0, format!("{} goes in circles", self.place.host))))
    }

    /// Whether STARTTLS comes next.
    async fn wants_tls(&mut self, way: &Way<'_>) -> Result<bool, OpenError> {
        let offered = self.offers().has(Extension::StartTls);
        match way.protection.start {
            Start::Never | Start::AtOnce => Ok(false),
            Start::OnOffer if offered || !way.protection.is_demanded() => Ok(offered),
            Start::OnOffer => {
                self.quit().await;
                let text = format!("{} does not offer the STARTTLS that is demanded of it", self.place.host);
                Err(OpenError::NoTls(Said::ByUs(Reply::new(451, Status::transient(7, 10), text))))
            }
        }
    }

    /// Drives the session to its next event, with TLS on the way.
    async fn event(&mut self, way: &Way<'_>) -> Result<Event, OpenError> {
        loop {
            match self.conn.drive(&mut self.session).await {
                Driven::Ask(Question::Next(event)) => return Ok(event),
                Driven::StartTls => {
                    handshake(&mut self.conn, way.protection, &self.place).await?;
                    self.session.tls_started();
                }
                Driven::Closed(closed) => return Err(self.broken(&closed.to_string())),
                Driven::TimedOut => return Err(self.broken("it said nothing for too long")),
                Driven::Stopping => {}
                Driven::Ask(Question::Body { .. }) => self.session.body_failed(),
                Driven::Body(_) => {}
            }
        }
    }

    fn broken(&self, why: &str) -> OpenError {
        let reply = unreachable(4, 2, format!("{}: {why}", self.place.host));
        match self.tls_asked {
            true => OpenError::Handshake { reply, fault: TlsFault::Other },
            false => OpenError::Unfit(reply),
        }
    }

    /// What the peer's last EHLO said.
    pub(crate) fn offers(&self) -> &Offers {
        self.session.offers()
    }

    /// Leaves an extension alone that the peer offers.
    pub(crate) fn forgo(&mut self, extension: Extension) {
        self.session.forgo(extension);
    }

    /// What the peer calls itself.
    pub(crate) fn peer_name(&self) -> &str {
        self.session.peer_name()
    }

    pub(crate) fn id(&self) -> &str {
        self.conn.id()
    }

    /// Our own address.
    pub(crate) fn local(&self) -> IpAddr {
        self.conn.local().ip()
    }

    /// Why its certificate proves nothing, if it does not.
    pub(crate) fn fault(&self) -> Option<TlsFault> {
        match &self.conn.tls()?.peer {
            Peer::Unverified { fault, .. } => Some(*fault),
            Peer::None | Peer::Verified | Peer::Dane => None,
        }
    }

    /// How well it is protected, and why so.
    /// The protection as it is counted.
    pub(crate) fn counted_tls(&self) -> meter::TlsLevel {
        self.conn.tls().map_or(meter::TlsLevel::Clear, net::TlsFacts::level)
    }

    pub(crate) fn tls(&self) -> TlsUsed {
        let (level, version) = match self.conn.tls() {
            None => (TlsLevel::Clear, ""),
            Some(facts) => match facts.peer {
                Peer::Dane => (TlsLevel::Dane, facts.version),
                Peer::Verified => (TlsLevel::Verified, facts.version),
                Peer::None | Peer::Unverified { .. } => (TlsLevel::Encrypted, facts.version),
            },
        };
        TlsUsed { level, version: version.to_owned(), why: self.why }
    }

    /// One transaction. The report has one outcome for each of its recipients.
    pub(crate) async fn send(&mut self, transaction: Transaction, message: &Message) -> Report {
        let recipients = transaction.envelope.recipients.len();
        self.session.next(Next::Send(transaction));
        let mut offset = 0;
        loop {
            match self.conn.drive(&mut self.session).await {
                Driven::Ask(Question::Next(Event::Sent(report))) => return report,
                Driven::Ask(Question::Body { max }) => match octets(message, offset, max).await {
                    Ok(octets) if !octets.is_empty() => {
                        offset += octets.len() as u64;
                        self.session.body(&octets);
                    }
                    Ok(_) => self.session.body_failed(),
                    Err(error) => {
                        tracing::error!(%error, "the message cannot be read while it is sent");
                        self.session.body_failed();
                    }
                },
                Driven::Stopping | Driven::Body(_) => {}
                Driven::Ask(Question::Next(_)) | Driven::StartTls | Driven::Closed(_) | Driven::TimedOut => {
                    return self.lost(recipients);
                }
            }
        }
    }

    fn lost(&mut self, recipients: usize) -> Report {
        self.session.abandon().unwrap_or_else(|| Report {
            outcomes: vec![Outcome::Lost { at: Stage::Mail, why: Loss::Connection }; recipients],
            connection: Connection::Over,
        })
    }

    /// Says QUIT and waits shortly for the answer.
    pub(crate) async fn quit(&mut self) {
        self.session.next(Next::Quit);
        for _ in 0..EVENTS_MAX {
            match self.conn.drive(&mut self.session).await {
                Driven::Closed(_) | Driven::TimedOut => return,
                _ => {}
            }
        }
    }
}

async fn handshake(conn: &mut Conn, protection: &Protection, place: &Place) -> Result<(), OpenError> {
    conn.start_tls_client(&protection.tls, &protection.name).await.map_err(|error| {
        let text = format!("TLS with {} failed: {error}", place.host);
        let reply = Reply::new(454, Status::transient(7, 5), text);
        OpenError::Handshake { reply, fault: error.fault() }
    })
}

/// The next octets of a message. Those in memory are at hand; the others are read on a thread that may wait.
async fn octets(message: &Message, offset: u64, most: usize) -> std::io::Result<Vec<u8>> {
    let added = message.added.len() as u64;
    if offset < added {
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(message.added.len());
        let end = start.saturating_add(most).min(message.added.len());
        return Ok(message.added[start..end].to_vec());
    }
    let received = message.received.clone();
    if received.as_memory().is_some() {
        return received.read_at(offset - added, most);
    }
    tokio::task::spawn_blocking(move || received.read_at(offset - added, most))
        .await
        .map_err(std::io::Error::other)?
}

/// A reply of ours, for a peer that said nothing useful.
pub(crate) fn unreachable(subject: u16, detail: u16, text: String) -> Reply {
    Reply::new(451, Status::transient(subject, detail), text)
}

/// A next host that would take the client's mail for ours.
fn no_xclient(place: &Place) -> Reply {
    tracing::warn!(host = %place.host, "the next host does not offer XCLIENT, so mail that others brought waits: have it trust \
        this server (smtpd_authorized_xclient_hosts of Postfix), or leave out client=\"xclient\"");
    unreachable(7, 0, format!("{} does not offer the XCLIENT that is set for it", place.host))
}

fn not_logged_in(place: &Place, reply: &Reply) -> Reply {
    let text = format!("The login at {} was refused: {reply}", place.host);
    Reply::new(454, Status::transient(7, 8), text)
}

/// Name and password for a smarthost; the password is the first line of its file.
pub(crate) async fn credentials(smarthost: Option<&Smarthost>) -> Result<Option<Credentials>, Reply> {
    let Some(login) = smarthost.and_then(|smarthost| smarthost.login.as_ref()) else { return Ok(None) };
    let text = tokio::fs::read(&login.password_file).await.map_err(|error| {
        tracing::error!(file = %login.password_file.display(), %error, "the smarthost's password cannot be read");
        unreachable(3, 5, "the password for the smarthost cannot be read".to_owned())
    })?;
    let line = text.split(|octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    let password = Secret::new(&line[..line.len().min(PASSWORD_MAX)]);
    Ok(Some(Credentials { user: login.user.clone(), password }))
}
