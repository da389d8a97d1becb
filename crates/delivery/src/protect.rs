//! How the way to each host of a destination is protected: what is known is gathered, decided on
//! ([`crate::tls_policy`]), and made into what a connection needs.

use crate::attempt::Courier;
use crate::config::{Security, Smarthost};
use crate::dane::{self, Found};
use crate::mx::{self, Ask, Cause, Hop};
use crate::sts::{Looked, Lost};
use crate::tell::Told;
use crate::tls_policy::{
    self, Demand, Inputs, Known, Minimum, Names, Proof, Refusal, Sts, Tlsa, Trusted, Wish,
};
use crate::work::{Work, no_tls};
use mail::{Domain, Reply, Status, TlsWhy};
use net::dane::usable;
use net::{BesideDane, ClientTls};
use policy::mtasts::{HostPattern, Mode, StsPolicy};
use std::net::IpAddr;
use tracing::debug;

/// Both kinds of TLS towards other servers.
pub(crate) struct TlsChoice {
    pub opportunistic: ClientTls,
    pub authenticated: ClientTls,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the first octet.
    AtOnce,
    /// After STARTTLS, where that is offered.
    OnOffer,
    Never,
}

/// What a connection must have before mail goes over it.
#[derive(Clone)]
pub(crate) struct Protection {
    pub start: Start,
    pub proof: Proof,
    pub tls: ClientTls,
    /// The name in the handshake; for DANE, the one under which the TLSA records stand (RFC 7672 §8.1).
    pub name: String,
    pub why: TlsWhy,
    /// What is to be told of the connection; `None`: nothing.
    pub told: Option<Told>,
}

impl Protection {
    pub(crate) fn is_demanded(&self) -> bool {
        self.proof != Proof::Nothing
    }

    /// The same without TLS, after it has failed; only where nobody demands it.
    pub(crate) fn in_clear(&self) -> Self {
        Self { start: Start::Never, why: TlsWhy::Fallback, ..self.clone() }
    }
}

/// Where a message goes next, and what holds for all of its hosts.
pub(crate) struct Way {
    pub hop: Hop,
    pub port: u16,
    /// `None` where the configuration names the next hop: then it says how, and nobody else.
    pub rules: Option<DomainRules>,
    /// What the configuration says of a next hop that it names.
    named: (Security, Reach),
}

/// How far octets go to a next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    Net,
    /// They stay on this machine.
    Machine,
}

/// What is demanded for a destination that the DNS leads to.
pub(crate) struct DomainRules {
    minimum: Minimum,
    trusted: Vec<HostPattern>,
    /// What is known of the domain's policy.
    pub looked: Looked,
}

impl DomainRules {
    fn policy(&self) -> Option<&StsPolicy> {
        self.looked.policy.as_ref().map(|held| &held.policy)
    }
}

/// How one host is to be reached.
pub(crate) struct Plan {
    pub addresses: Vec<IpAddr>,
    pub protection: Protection,
}

impl Courier {
    /// The hosts for a message, and the rules for them.
    pub(crate) async fn way(&self, work: &Work<'_>, next: Option<&Smarthost>) -> Result<Way, Reply> {
        let world = &self.world;
        if let Some(next) = next {
            let hop = Hop::certain(next.host.clone());
            let reach = if next.socket.is_some() { Reach::Machine } else { Reach::Net };
            return Ok(Way { hop, port: next.port, rules: None, named: (next.security, reach) });
        }
        let ask = match self.config.tls.dane && work.wish != Wish::NotRequired {
            true => Ask::Proven,
            false => Ask::Plain,
        };
        let hop = mx::hosts(work.domain, &self.us, world, ask, &self.validation).await;
        let hop = hop.map_err(|lost| {
            if lost.cause == Cause::Forged {
                self.tell_of_mx(work);
            }
            lost.reply
        })?;
        let (minimum, trusted) = self.config.tls.of(work.domain);
        let looked = match &self.sts {
            Some(sts) if work.wish != Wish::NotRequired => sts.look(work.domain).await.map_err(unreadable)?,
            _ => Looked::default(),
        };
        if let Some(trouble) = &looked.trouble {
            self.tell_of_policy(work, trouble);
        }
        let rules = DomainRules { minimum, trusted: trusted.to_vec(), looked };
        let named = (Security::Opportunistic, Reach::Net);
        Ok(Way { hop, port: self.config.port, rules: Some(rules), named })
    }

    /// How a host is to be reached, or why not.
    pub(crate) async fn plan(&self, work: &Work<'_>, way: &Way, host: &Domain) -> Result<Plan, Reply> {
        let Some(rules) = &way.rules else { return self.plan_for_next(work, way, host).await };
        let wants_dane = self.config.tls.dane && work.wish != Wish::NotRequired;
        let (addresses, found) = match wants_dane {
            true => {
                let facts = dane::look_up(host, way.port, self.world.dns.as_ref(), &self.validation).await;
                (mx::understand(host, facts.addresses), facts.tlsa)
            }
            false => (mx::addresses(host, self.world.dns.as_ref()).await, Found::None),
        };
        let inputs = Inputs {
            wish: work.wish,
            minimum: rules.minimum,
            known: known(way, host, work.domain),
            is_ours_to_trust: trusted(rules, host, work.domain),
            tlsa: match &found {
                Found::None => Tlsa::None,
                Found::Unknown => Tlsa::Unknown,
                Found::Records { records, .. } if usable(records).is_empty() => Tlsa::Unusable,
                Found::Records { .. } => Tlsa::Usable,
            },
            sts: sts(rules.policy(), host),
        };
        let decided = tls_policy::decide(&inputs);
        let Inputs { wish, minimum, known, tlsa, sts, .. } = inputs;
        let demand = match decided {
            Ok(Demand { proof, why }) => format!("{proof:?}, for {why}"),
            Err(refusal) => format!("not to be used: {refusal:?}"),
        };
        debug!(mail = work.mail_id, %host, ?wish, ?minimum, ?known, ?tlsa, ?sts, demand, "how a host must be protected");
        let told = Told::of(work, rules, &inputs, &found, host);
        let demand = decided.map_err(|refusal: Refusal| {
            self.tell_of_refusal(work, told.as_ref(), refusal, host);
            refusal.reply(host, work.domain)
        })?;
        let protection = self.protection(demand, &found, &way.hop, host)?;
        Ok(Plan { addresses: addresses?, protection: Protection { told, ..protection } })
    }

    /// A next hop from the configuration, which says how it is protected; REQUIRETLS may demand more.
    async fn plan_for_next(&self, work: &Work<'_>, way: &Way, host: &Domain) -> Result<Plan, Reply> {
        let (security, reach) = way.named;
        let (start, proof) = match security {
            Security::None if reach == Reach::Machine => (Start::Never, Proof::Nothing),
            Security::Implicit => (Start::AtOnce, Proof::Root),
            Security::Required => (Start::OnOffer, Proof::Root),
            Security::Opportunistic if work.wish == Wish::Required => (Start::OnOffer, Proof::Root),
            Security::None if work.wish == Wish::Required => (Start::OnOffer, Proof::Root),
            Security::Opportunistic => (Start::OnOffer, Proof::Nothing),
            Security::None => (Start::Never, Proof::Nothing),
        };
        let why = if work.wish == Wish::Required { TlsWhy::RequireTls } else { TlsWhy::Smarthost };
        let tls = match proof {
            Proof::Root => self.tls.authenticated.clone(),
            _ => self.tls.opportunistic.clone(),
        };
        let protection = Protection { start, proof, tls, name: tls_name(host), why, told: None };
        let addresses = mx::addresses(host, self.world.dns.as_ref()).await?;
        Ok(Plan { addresses, protection })
    }

    fn protection(
        &self,
        demand: Demand,
        found: &Found,
        hop: &Hop,
        host: &Domain,
    ) -> Result<Protection, Reply> {
        let Demand { proof, why } = demand;
        let by_records = |beside| match found {
            Found::Records { base, records } => {
                // RFC 7672 §3.2.2.
                let names: Vec<Domain> = std::iter::once(base).chain(&hop.names).cloned().collect();
                let tls = self.tls.authenticated.dane(records, &names, beside);
                tls.map(|tls| (tls, base.to_string())).map_err(|error| no_tls(error.to_string()))
            }
            Found::None | Found::Unknown => Ok((self.tls.authenticated.clone(), tls_name(host))),
        };
        let (tls, name) = match proof {
            Proof::Nothing | Proof::Encryption => (self.tls.opportunistic.clone(), tls_name(host)),
            Proof::Root => (self.tls.authenticated.clone(), tls_name(host)),
            Proof::Dane => by_records(BesideDane::Nobody)?,
            Proof::DaneAndRoot => by_records(BesideDane::TrustedRoot)?,
        };
        Ok(Protection { start: Start::OnOffer, proof, tls, name, why, told: None })
    }
}

/// A policy is kept, and what it demands is not known.
fn unreadable(lost: Lost) -> Reply {
    let text = format!("The MTA-STS policy that is kept for {} cannot be read: {}", lost.domain, lost.why);
    Reply::new(451, Status::transient(7, 5), text)
}

fn tls_name(host: &Domain) -> String {
    host.literal().map_or_else(|| host.to_string(), |ip| ip.to_string())
}

/// Nobody else can have put the recipients' domain itself in the place of the right host.
fn known(way: &Way, host: &Domain, domain: &Domain) -> Known {
    if host == domain { Known::Certain } else { way.hop.known }
}

fn trusted(rules: &DomainRules, host: &Domain, domain: &Domain) -> Trusted {
    let is_named = rules.trusted.iter().any(|pattern| pattern.matches(host));
    if is_named || host.is_within(domain) { Trusted::Yes } else { Trusted::No }
}

fn sts(policy: Option<&StsPolicy>, host: &Domain) -> Sts {
    let Some(policy) = policy else { return Sts::None };
    let names = if policy.allows(host) { Names::Host } else { Names::OthersOnly };
    match policy.mode {
        Mode::Enforce => Sts::Enforce(names),
        Mode::Testing => Sts::Testing(names),
        Mode::None => Sts::None,
    }
}
