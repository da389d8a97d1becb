//! What all attempts share, made of the options.

use crate::attempt::Courier;
use crate::config::Config;
use crate::intake::Intake;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::protect::TlsChoice;
use crate::proven::Validation;
use crate::sts::StsPolicies;
use crate::unreachable::Unreachable;
use crate::ways::Ways;
use net::{ClientTls, Connector, Fetcher, Roots, TlsError};
use std::sync::Arc;
use storage::Store;
use world::World;

/// Fails if `ca-file` cannot be used.
pub(crate) fn courier(
    config: Config,
    intake: &Intake,
    store: &Store,
    world: &World,
    validation: &Arc<Validation>,
) -> Result<Courier, TlsError> {
    let roots = config.ca_file.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
    let tls = TlsChoice {
        opportunistic: ClientTls::opportunistic(&roots, world.clock.clone())?,
        authenticated: ClientTls::authenticated(&roots, world.clock.clone())?,
    };
    let mut connector = Connector::new(world).patience(config.connect_timeout);
    for ip in &config.source_addresses {
        connector = connector.source(*ip);
    }
    let sts = config.tls.mta_sts.then(|| {
        let fetcher = Fetcher::new(world.dns.clone(), connector.clone(), tls.authenticated.clone())
            .within(config.tls.reach(config.tls.policy_port));
        Arc::new(StsPolicies::new(store.clone(), world.clone(), fetcher, config.tls.policy_port))
    });
    let us = intake.router().hostname().clone();
    let hello = config.hostname.clone().unwrap_or_else(|| us.clone());
    let unreachable = Unreachable::new(config.retry.wait(1));
    let pace = Pace::new(config.per_provider, config.retry.wait(1));
    let ways = Ways::new(&config, &connector);
    Ok(Courier {
        config,
        tls,
        sts,
        seen: intake.counters().tls().clone(),
        hello,
        us,
        pool: Pool::default(),
        validation: validation.clone(),
        unreachable,
        pace,
        ways,
        world: world.clone(),
    })
}
