//! How the DNS is asked: its options, and a resolver that can be exchanged while others hold it, so that new name servers
//! need no restart.

use ::config::Section;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use world::resolver::Asking;
use world::{DnsName, DnsOptions, Dnssec, Kind, Proof, Reply, Resolver};

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
        Box::pin(async move { resolver.ask(name, kind, proof).await })
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
