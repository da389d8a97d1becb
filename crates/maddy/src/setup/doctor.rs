//! `maddy doctor`: all looks together.

use crate::cli::Trouble;
use crate::cli::args::Global;
use crate::config::Config;
use crate::setup::finding::{self, Finding};
use crate::setup::here::{self, Depth, Repair};
use crate::setup::{Facts, Place, compare, outside, proofs, sending};
use clap::Args;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use world::World;

#[derive(Clone, Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) place: Place,
    /// The name server to ask; those of the configuration, if not given
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) resolver: Option<SocketAddr>,
    /// Show what is as it should be, too
    #[arg(long)]
    pub(crate) all: bool,
    /// Read the whole database, which takes its time
    #[arg(long)]
    pub(crate) full: bool,
    /// Repair what can be repaired here: rights of files
    #[arg(long)]
    pub(crate) fix: bool,
}

/// Longest wait for one answer of the DNS.
const PATIENCE: Duration = Duration::from_secs(8);

/// Looks at everything but the inside of the server, which is asked in one way by the command line and in another by
/// itself.
pub(crate) struct Doctor<'a> {
    pub(crate) config: &'a Config,
    /// Where the configuration stands.
    pub(crate) file: &'a Path,
    pub(crate) world: &'a World,
}

/// The world as a configuration sees it, or as another name server does.
pub(crate) fn world_of(config: &Config, resolver: Option<SocketAddr>) -> Result<World, Trouble> {
    let mut dns = config.dns.clone();
    // Somebody waits for many answers in a row.
    dns.patience = dns.patience.min(PATIENCE);
    if let Some(resolver) = resolver {
        dns.servers = vec![resolver];
    }
    world::system::system(&dns).map_err(Trouble::new)
}

impl Doctor<'_> {
    /// What others see of us: nothing here is opened, so that it can be done before the server has run.
    pub(crate) async fn examine_outside(&self, place: &Place) -> Result<Vec<Finding>, Trouble> {
        let facts = self.facts(place).await?;
        Ok(compare::compare(self.config, &facts, self.world).await)
    }

    pub(crate) async fn examine(&self, place: &Place, repair: Repair) -> Result<Vec<Finding>, Trouble> {
        let Self { config, file, world } = *self;
        let facts = self.facts(place).await?;
        let (settings, path) = (config.clone(), file.to_owned());
        let files = tokio::task::spawn_blocking(move || here::files(&settings, &path, repair)).await;
        let mut findings = files.map_err(|error| Trouble::new(error.to_string()))?;
        let dns = compare::compare(config, &facts, world).await;
        // A name server that does not answer was waited for once, and that is enough.
        let is_silent = finding::is_silent(&dns);
        findings.extend(dns);
        if is_silent {
            findings.extend(outside::look_without_dns(config, world).await);
        } else {
            findings.extend(sending::look(config, world).await);
            findings.extend(outside::look(config, &facts.addresses, world).await);
            findings.extend(proofs::look(config, world).await);
            findings.push(here::clock(config, world).await);
        }
        Ok(findings)
    }

    async fn facts(&self, place: &Place) -> Result<Facts, Trouble> {
        let (config, place) = (self.config.clone(), place.clone());
        let gathered = tokio::task::spawn_blocking(move || Facts::gather(&config, place.addresses())).await;
        gathered.map_err(|error| Trouble::new(error.to_string()))?
    }
}

pub(crate) async fn run(
    args: &DoctorArgs,
    config: &Config,
    file: &Path,
    global: &Global,
) -> Result<(), Trouble> {
    let repair = if args.fix { Repair::Yes } else { Repair::No };
    let depth = if args.full { Depth::Full } else { Depth::Usual };
    let world = world_of(config, args.resolver)?;
    let doctor = Doctor { config, file, world: &world };
    let mut findings = doctor.examine(&args.place, repair).await?;
    // Last: to ask the server may mean to become its user.
    findings.extend(here::server(config, depth, &world, global).await);
    finding::print(&findings, args.all, global)
}
