//! Getting a server into the world, and keeping it there: what belongs into the DNS, what is wrong, and the first
//! steps.

mod apply;
mod compare;
mod compare_host;
mod daily;
mod doctor;
mod finding;
mod here;
mod options;
mod outside;
mod proofs;
mod quickstart;
mod quickstart_config;
mod records;
mod sending;
mod tlsa;

use apply::ApplyArgs;
pub(crate) use daily::{last_look, watch};
pub(crate) use doctor::{DoctorArgs, run as doctor};
use finding::Finding;
pub(crate) use finding::print;
pub(crate) use options::{DoctorOptions, decode as decode_doctor};
pub(crate) use quickstart::{QuickstartArgs, run as quickstart};
pub(crate) use records::Wanted;
use records::{Facts, wanted, zone};

use crate::cli::Trouble;
use crate::cli::args::Global;
use crate::config::Config;
use clap::{Args, Subcommand};
use std::net::{IpAddr, SocketAddr};

/// Where the DNS is asked, and who we are in it.
#[derive(Clone, Debug, Args)]
pub(crate) struct Place {
    /// The address under which the world reaches this server; may be given twice, for IPv4 and IPv6. That of this
    /// machine, if not given and if it has a public one
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) address: Vec<IpAddr>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum DnsCommand {
    /// Print all records that belong into the DNS, as a zone to paste
    Records(Place),
    /// Compare the DNS with what it should say; exit status 1 if something is wrong
    Check {
        #[command(flatten)]
        place: Place,
        /// The name server to ask; those of the configuration, if not given
        #[arg(long, value_name = "ADDRESS:PORT")]
        resolver: Option<SocketAddr>,
        /// Show what is as it should be, too
        #[arg(long)]
        all: bool,
    },
    /// Put the records into our zones, by the name server that `dns { update }` names; shows a plan first
    Apply(ApplyArgs),
}

impl Place {
    /// Our addresses: those that are given, or those of this machine that the world can reach.
    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        if !self.address.is_empty() {
            return self.address.clone();
        }
        net::source_addresses().into_iter().filter(|ip| is_public(*ip)).collect()
    }
}

/// Whether the world can reach an address.
pub(crate) fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let shared = ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || ip.is_unspecified() || shared)
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 == 0x2000,
    }
}

/// All records that belong into the DNS, one by one and as a zone.
pub(crate) fn records(config: &Config, place: &Place) -> Result<(Vec<Wanted>, String), Trouble> {
    let facts = Facts::gather(config, place.addresses())?;
    let list = wanted(config, &facts);
    let text = zone(config, &facts, &list);
    Ok((list, text))
}

/// Puts the records into our zones.
pub(crate) async fn apply(config: &Config, args: &ApplyArgs, global: &Global) -> Result<(), Trouble> {
    apply::run(args, config, &world::system::without_dns(), global).await
}

/// The DNS against what it should say.
pub(crate) async fn check(
    config: &Config,
    place: &Place,
    resolver: Option<SocketAddr>,
) -> Result<Vec<Finding>, Trouble> {
    let facts = Facts::gather(config, place.addresses())?;
    let world = doctor::world_of(config, resolver)?;
    Ok(compare::compare(config, &facts, &world).await)
}
