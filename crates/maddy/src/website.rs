//! The door of the web: what its pages tell follows from the configuration.

use crate::config::Config;
use mail::Address;
use net::{Listen, ListenTls, ServerTls};
use std::net::SocketAddr;
use std::sync::Arc;
use web::{Insight, Service, Site};

/// The door, and what it needs to be told anew.
pub(crate) struct Website {
    door: Arc<web::Door>,
    tls: ServerTls,
}

impl Website {
    pub(crate) fn new(config: &Config, tls: ServerTls, insight: Arc<dyn Insight>) -> Self {
        let door = web::Door::new(config.web.clone(), site(config, Some(&tls)), insight);
        Self { door: Arc::new(door), tls }
    }

    pub(crate) fn change(&self, config: &Config) {
        self.door.reconfigure(config.web.clone(), site(config, Some(&self.tls)));
    }

    pub(crate) fn door(&self) -> Arc<web::Door> {
        self.door.clone()
    }
}

/// What the pages tell. Without `tls` no proofs stand there, and nothing is signed.
pub(crate) fn site(config: &Config, tls: Option<&ServerTls>) -> Site {
    let imap = config.imap.listen.iter().map(|entrance| &entrance.listen);
    let submission = config.submission.door.listen.iter().map(|entrance| &entrance.listen);
    Site {
        hostname: config.hostname.clone(),
        domains: config.domains.iter().filter(|domain| domain.literal().is_none()).cloned().collect(),
        imap: services(imap),
        submission: services(submission),
        sts: config.web.sts.clone(),
        challenges: tls.map(|tls| tls.challenges().clone()).unwrap_or_default(),
        tls: tls.cloned(),
    }
}

/// The profile of an address for devices of Apple, and where they find it.
pub(crate) fn profile(config: &Config, address: &Address) -> Option<(String, String)> {
    let site = site(config, None);
    Some((web::profile(&site, address)?, web::profile_url(&site, address)))
}

/// Where users come in: with TLS at once first (RFC 8314 §3), each port once. Ports that only this machine can reach
/// count where there are no others.
fn services<'a>(listen: impl Iterator<Item = &'a Listen>) -> Vec<Service> {
    let mut all: Vec<(bool, Service)> = listen
        .map(|listen| (is_public(listen.address), Service { port: listen.address.port(), tls: listen.tls }))
        .collect();
    if all.iter().any(|(public, _)| *public) {
        all.retain(|(public, _)| *public);
    }
    let mut services: Vec<Service> = Vec::new();
    for (_, service) in all {
        if !services.contains(&service) {
            services.push(service);
        }
    }
    services.sort_by_key(|service| service.tls != ListenTls::Implicit);
    services
}

fn is_public(address: SocketAddr) -> bool {
    !address.ip().is_loopback()
}
