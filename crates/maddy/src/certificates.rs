//! Which certificates the server shows, and which it gets from an authority.

use crate::config::Config;
use crate::daemon::StartError;
use net::{AcmeFiles, AcmeName, CertFiles, Plan, TlsOptions};
use std::path::PathBuf;
use world::World;

/// Directory of the certificate that we made ourselves, in the state directory.
const SELF_SIGNED_DIR: &str = "tls";
/// Directory of what we have from an authority, in the state directory.
const ACME_DIR: &str = "acme";

/// The hosts of a domain whose pages we serve: its MTA-STS policy, settings for Thunderbird and for Outlook.
pub(crate) const WEB_HOSTS: [&str; 3] = ["mta-sts", "autoconfig", "autodiscover"];

/// What is to be had from an authority, if there is one.
pub(crate) fn plan(config: &Config) -> Option<Plan> {
    let TlsOptions::Acme(options) = &config.tls else { return None };
    let mut names: Vec<AcmeName> = AcmeName::parse(config.hostname.as_str()).into_iter().collect();
    let is_public = |entrance: &web::Entrance| {
        entrance.shows == web::Shows::Pages && entrance.listen.tls == net::ListenTls::Implicit
    };
    if config.web.listen.iter().any(is_public) {
        let hosts = config.domains.iter().flat_map(|domain| WEB_HOSTS.map(|host| format!("{host}.{domain}")));
        names.extend(hosts.filter_map(|host| AcmeName::parse(&host).ok()));
    }
    for name in &options.names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let files = AcmeFiles::new(&config.state_dir().join(ACME_DIR), options);
    let update = config.dns_update.clone().filter(|_| options.dns_update);
    Some(Plan { options: (**options).clone(), names, files, update })
}

/// What is shown now: the certificates that the configuration names, those of an authority, or one of our own.
pub(crate) fn shown(config: &Config, world: &World) -> Result<Vec<CertFiles>, StartError> {
    let bad = |error: net::TlsError| StartError::Other(format!("no certificate can be made: {error}"));
    if let Some(plan) = plan(config) {
        return plan.shown(world.clock.as_ref()).map_err(bad);
    }
    match &config.tls {
        TlsOptions::Files(files) => Ok(files.clone()),
        TlsOptions::SelfSigned | TlsOptions::Acme(_) => {
            let dir: PathBuf = config.state_dir().join(SELF_SIGNED_DIR);
            let mut names = vec![config.hostname.to_string()];
            names.extend(config.domains.iter().map(ToString::to_string));
            Ok(vec![net::self_signed(&dir, &names, world.clock.as_ref()).map_err(bad)?])
        }
    }
}

/// The files of the certificate that is for the name of our host, if others may believe in it.
pub(crate) fn of_hostname(config: &Config) -> Option<CertFiles> {
    let is_ours = |files: &CertFiles| {
        net::certificate_facts(&files.chain).is_ok_and(|facts| facts.covers(config.hostname.as_str()))
    };
    match &config.tls {
        TlsOptions::SelfSigned => None,
        TlsOptions::Files(files) => files.iter().find(|files| is_ours(files)).cloned(),
        TlsOptions::Acme(_) => {
            let plan = plan(config)?;
            plan.names.iter().map(|name| plan.files.of(name)).find(is_ours)
        }
    }
}

/// The names of the certificates that others believe in at `now` (seconds since 1970): neither signed by themselves alone
/// nor over.
pub(crate) fn believed_names(config: &Config, now: i64) -> Result<Vec<String>, net::TlsError> {
    let names_of = |files: &CertFiles| {
        let facts = net::certificate_facts(&files.chain)?;
        let is_believed = !facts.is_self_signed && (facts.not_before..facts.not_after).contains(&now);
        Ok::<_, net::TlsError>(if is_believed { facts.names } else { Vec::new() })
    };
    match &config.tls {
        TlsOptions::SelfSigned => Ok(Vec::new()),
        TlsOptions::Files(files) => Ok(files.iter().map(names_of).collect::<Result<Vec<_>, _>>()?.concat()),
        TlsOptions::Acme(_) => {
            let Some(plan) = plan(config) else { return Ok(Vec::new()) };
            // Those that are not there yet will come.
            Ok(plan.names.iter().filter_map(|name| names_of(&plan.files.of(name)).ok()).flatten().collect())
        }
    }
}
