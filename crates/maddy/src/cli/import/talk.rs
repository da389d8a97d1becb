//! A conversation with another IMAP server: the connection, TLS, the login, and commands one after the other.

use crate::cli::Trouble;
use auth::Secret;
use mail::Domain;
use mail::mime::decode;
use moving::imap::{Heard, ImapClient, Response, Status, quoted};
use net::{ClientTls, Conn, Connector, Driven, Roots};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use world::World;

/// How the conversation is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Tls,
    StartTls,
    /// To this machine only.
    Clear,
}

pub(super) struct Talk {
    conn: Conn,
    client: ImapClient,
    capabilities: Vec<String>,
    /// Nothing more can be said.
    over: bool,
}

impl Talk {
    pub(super) async fn connect(
        host: &str,
        port: u16,
        way: Way,
        ca: Option<&Path>,
        world: &World,
    ) -> Result<Self, Trouble> {
        let addresses = addresses(host, world).await?;
        if way == Way::Clear && !addresses.iter().all(IpAddr::is_loopback) {
            let words = "a password would go in clear over the network: use TLS, or STARTTLS";
            return Err(Trouble::usage(format!("{host} is not this machine, and {words}")));
        }
        let mut conn = open(host, port, &addresses, world).await?;
        let roots = ca.map_or(Roots::WebPki, |path| Roots::WebPkiAndFile(path.to_owned()));
        let tls = ClientTls::authenticated(&roots, world.clock.clone());
        let tls = tls.map_err(|error| Trouble::new(error.to_string()))?;
        let refused = |error: net::TlsError| Trouble::new(format!("{host}: no TLS: {error}"));
        if way == Way::Tls {
            conn.start_tls_client(&tls, host).await.map_err(refused)?;
        }
        let mut talk = Self { conn, client: ImapClient::new(), capabilities: Vec::new(), over: false };
        match talk.hear().await? {
            Response::Status { status: Status::Ok, .. } => {}
            Response::Status { text, .. } => return Err(said(&text)),
            _ => return Err(Trouble::new(format!("{host} does not speak IMAP"))),
        }
        if way == Way::StartTls {
            talk.run("STARTTLS", |_| {}).await?;
            if !talk.client.is_all_read() {
                return Err(Trouble::new(format!("{host} says something in clear that belongs behind TLS")));
            }
            talk.conn.start_tls_client(&tls, host).await.map_err(refused)?;
        }
        talk.ask_capabilities().await?;
        Ok(talk)
    }

    async fn ask_capabilities(&mut self) -> Result<(), Trouble> {
        let mut found = Vec::new();
        self.run("CAPABILITY", |response| {
            if let Response::Capability(words) = response {
                found = words;
            }
        })
        .await?;
        self.capabilities = found;
        Ok(())
    }

    pub(super) fn can(&self, name: &str) -> bool {
        self.capabilities.iter().any(|word| word.eq_ignore_ascii_case(name))
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &Secret) -> Result<(), Trouble> {
        let refused =
            |trouble: Trouble| Trouble::new(format!("the other server does not let {user} in: {trouble}"));
        if self.can("AUTH=PLAIN") {
            let response = format!("\0{user}\0{}", password.reveal());
            let tag = self.send("AUTHENTICATE PLAIN");
            loop {
                match self.hear().await? {
                    Response::Continue => break,
                    Response::Status { tag: Some(heard), text, .. } if heard == tag => {
                        return Err(refused(said(&text)));
                    }
                    _ => {}
                }
            }
            self.client.line(&decode::to_base64(response.as_bytes()));
            self.until(&tag, |_| {}).await.map_err(refused)?;
        } else {
            if self.can("LOGINDISABLED") {
                return Err(Trouble::new(
                    "the other server takes no password this way; try --security starttls",
                ));
            }
            let is_sayable = |text: &str| text.bytes().all(|octet| (b' '..=b'~').contains(&octet));
            if !is_sayable(user) || !is_sayable(password.reveal()) {
                let why = "the other server knows LOGIN only, which takes no such name or password";
                return Err(Trouble::new(why));
            }
            let command = format!("LOGIN {} {}", quoted(user), quoted(password.reveal()));
            self.run(&command, |_| {}).await.map_err(refused)?;
        }
        self.ask_capabilities().await
    }

    /// Says a command, and does not wait.
    pub(super) fn send(&mut self, command: &str) -> String {
        self.client.command(command)
    }

    pub(super) async fn run(&mut self, command: &str, each: impl FnMut(Response)) -> Result<(), Trouble> {
        let tag = self.send(command);
        self.until(&tag, each).await
    }

    /// Hears everything up to the end of a command.
    pub(super) async fn until(&mut self, tag: &str, mut each: impl FnMut(Response)) -> Result<(), Trouble> {
        loop {
            match self.hear().await? {
                Response::Status { tag: Some(heard), status, text, .. } if heard == tag => {
                    return if status == Status::Ok { Ok(()) } else { Err(said(&text)) };
                }
                Response::Status { tag: None, status: Status::Bye, text, .. } => {
                    self.over = true;
                    return Err(said(&text));
                }
                response => each(response),
            }
        }
    }

    /// A refusal of one command is handed on as `Ok` while the conversation goes on.
    pub(super) fn still_open(&self, trouble: Trouble) -> Result<(), Trouble> {
        if self.over { Err(trouble) } else { Ok(()) }
    }

    pub(super) async fn log_out(&mut self) {
        // Everything is here by now: that it says farewell is courtesy.
        let _ = self.run("LOGOUT", |_| {}).await;
    }

    async fn hear(&mut self) -> Result<Response, Trouble> {
        let why = match self.conn.drive(&mut self.client).await {
            Driven::Ask(Heard::Response(response)) => return Ok(response),
            Driven::Ask(Heard::Broken(why)) => format!("the other server is not to be understood: {why}"),
            Driven::Closed(closed) => format!("the connection to the other server ended: {closed}"),
            Driven::TimedOut => "the other server is silent".to_owned(),
            Driven::Body(_) | Driven::StartTls | Driven::Stopping => {
                "the conversation came to an end".to_owned()
            }
        };
        self.over = true;
        Err(Trouble::new(why))
    }
}

/// What the other server said, for a person.
fn said(text: &str) -> Trouble {
    let text = crate::cli::output::printable(&crate::cli::output::shorten(text, 300));
    Trouble::new(format!("the other server says: {text}"))
}

async fn addresses(host: &str, world: &World) -> Result<Vec<IpAddr>, Trouble> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if host == "localhost" {
        return Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]);
    }
    let domain = Domain::parse(host).map_err(|error| Trouble::usage(format!("{host:?}: {error}")))?;
    world.dns.addresses(&domain).await.map_err(|error| Trouble::new(format!("{host}: {error}")))
}

async fn open(host: &str, port: u16, addresses: &[IpAddr], world: &World) -> Result<Conn, Trouble> {
    let connector = Connector::new(world);
    let mut why = String::new();
    for ip in addresses {
        match connector.connect(SocketAddr::new(*ip, port)).await {
            Ok(conn) => return Ok(conn),
            Err(error) => why = error.to_string(),
        }
    }
    Err(Trouble::new(format!("{host} cannot be reached at port {port}: {why}")))
}
