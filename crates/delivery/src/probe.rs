//! One look at a mail host as a delivery would take it, without mail: what the signed DNS says, and what the host shows.

use crate::config::{Protocol, Tells};
use crate::dane::{self, Found, HostFacts};
use crate::link::{Link, Place, SpeaksFor, Way};
use crate::mx;
use crate::protect::{Protection, Start};
use crate::proven::Validation;
use crate::tls_policy::Proof;
use mail::{Domain, TlsUsed, TlsWhy};
use net::dane::usable;
use net::{BesideDane, ClientTls, Connector, Roots, TlsError};
use std::net::SocketAddr;
use std::time::Duration;
use world::{Tlsa, World};

/// How long a connection may take to come about.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Probe {
    pub facts: HostFacts,
    /// The records that count.
    pub usable: Vec<Tlsa>,
    /// Each address, and how a connection would be protected, or why there is none.
    pub tried: Vec<(SocketAddr, Result<TlsUsed, String>)>,
}

/// Who looks, and with whose authorities.
pub struct Prober {
    hello: Domain,
    connector: Connector,
    authenticated: ClientTls,
    opportunistic: ClientTls,
    world: World,
}

impl Prober {
    /// `hello` is the name for EHLO.
    pub fn new(hello: Domain, roots: &Roots, world: &World) -> Result<Self, TlsError> {
        Ok(Self {
            hello,
            connector: Connector::new(world).patience(CONNECT_TIME_MAX),
            authenticated: ClientTls::authenticated(roots, world.clock.clone())?,
            opportunistic: ClientTls::opportunistic(roots, world.clock.clone())?,
            world: world.clone(),
        })
    }

    /// Looks at a host, and says EHLO, STARTTLS and QUIT at each of its addresses.
    pub async fn look(&self, host: &Domain, port: u16) -> Result<Probe, TlsError> {
        let facts = dane::look_up(host, port, self.world.dns.as_ref(), &Validation::default()).await;
        let (records, protection) = self.protection(host, &facts.tlsa)?;
        let mut tried = Vec::new();
        for ip in mx::understand(host, facts.addresses.clone()).unwrap_or_default() {
            let place = Place { host: host.clone(), address: SocketAddr::new(ip, port), socket: None };
            let way = Way {
                connector: &self.connector,
                hello: &self.hello,
                protection: &protection,
                login: None,
                protocol: Protocol::Smtp,
                speaks_for: SpeaksFor { tells: Tells::Nobody, client: None },
            };
            let seen = match Link::open(&way, &place).await {
                Ok(mut link) => {
                    let tls = link.tls();
                    link.quit().await;
                    Ok(tls)
                }
                Err(error) => Err(error.said().reply().text.clone()),
            };
            tried.push((place.address, seen));
        }
        Ok(Probe { facts, usable: records, tried })
    }

    fn protection(&self, host: &Domain, found: &Found) -> Result<(Vec<Tlsa>, Protection), TlsError> {
        let (base, records) = match found {
            Found::Records { base, records } => (base.clone(), usable(records)),
            Found::None | Found::Unknown => (host.clone(), Vec::new()),
        };
        let (proof, why, tls) = match (found, records.is_empty()) {
            (Found::Records { .. }, true) => {
                (Proof::Encryption, TlsWhy::DaneUnusable, self.opportunistic.clone())
            }
            (_, true) => (Proof::Nothing, TlsWhy::Opportunistic, self.opportunistic.clone()),
            (_, false) => {
                let names = [base.clone()];
                let tls = self.authenticated.dane(&records, &names, BesideDane::Nobody)?;
                (Proof::Dane, TlsWhy::Dane, tls)
            }
        };
        let name = base.literal().map_or_else(|| base.to_string(), |ip| ip.to_string());
        Ok((records, Protection { start: Start::OnOffer, proof, tls, name, why, told: None }))
    }
}
