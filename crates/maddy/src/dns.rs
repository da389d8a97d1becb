//! How the DNS is asked: its options, and a resolver that can be exchanged while others hold it, so that new name servers
//! need no restart.

use ::config::Section;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tracing::debug;
use world::resolver::Asking;
use world::{DnsName, DnsOptions, Dnssec, Kind, Proof, Reply, Resolver, Security};

pub(crate) struct Exchangeable(RwLock<Arc<dyn Resolver>>);

impl Exchangeable {
    pub(crate) fn new(resolver: Arc<dyn Resolver>) -> Self {
        Self(RwLock::new(resolver))
    }

    pub(crate) fn set(&self, resolver: Arc<dyn Resolver>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = resolver;
    }

    fn get(&self) -> Arc<dyn Resolver> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Resolver for Exchangeable {
    fn ask<'a>(&'a self, name: &'a DnsName, kind: Kind, proof: Proof) -> Asking<'a, Reply> {
        let resolver = self.get();
        Box::pin(async move {
            let reply = resolver.ask(name, kind, proof).await;
            // Kept with the message that it was asked for, if it was for one (`maddy trace`).
            debug!(answer = %Said { name, kind, reply: &reply }, "the DNS says");
            reply
        })
    }
}

/// A question with its answer, on one line.
struct Said<'a> {
    name: &'a DnsName,
    kind: Kind,
    reply: &'a Reply,
}

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kind, reply } = self;
        write!(f, "{name} {kind}:")?;
        match &reply.answer {
            Ok(records) => records.data.iter().try_for_each(|data| write!(f, " {data}"))?,
            Err(error) => write!(f, " {error}")?,
        }
        match reply.security {
            Security::Unchecked => Ok(()),
            security => write!(f, " ({security})"),
        }
    }
}

/// Reads the node `dns`.
pub(crate) fn decode(section: &mut Section<'_>) -> DnsOptions {
    let usual = DnsOptions::default();
    let seconds = Duration::from_secs;
    DnsOptions {
        servers: section
            .socket(
                "server",
                "A name server with its port, may repeat; those of /etc/resolv.conf if not given.",
            )
            .many(),
        timeout: section
            .duration("timeout", "How long one try at one name server may take.")
            .within(Duration::from_millis(10)..=seconds(60))
            .or(usual.timeout),
        retries: section.count("retries", "Tries after the first.").within(0..=10).or(usual.retries),
        patience: section
            .duration("patience", "How long one question may take in all.")
            .within(Duration::from_millis(10)..=seconds(300))
            .or(usual.patience),
        cache: section
            .count("cache", "Most answers that are kept in memory.")
            .within(0..=10_000_000)
            .or(usual.cache),
        dnssec: section
            .choice(
                "dnssec",
                &[("off", Dnssec::Off), ("wanted", Dnssec::Wanted), ("all", Dnssec::All)],
                "What is validated: nothing, what must be proven (TLSA records and what leads to them), or every answer.",
            )
            .or(usual.dnssec),
        trust_anchor: section
            .path("trust-anchor", "A file of DNSKEY and DS records to trust in place of the keys of the root that are built in.")
            .optional(),
    }
}
