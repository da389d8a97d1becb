//! `dns`, `doctor` and `quickstart`: what belongs into the DNS, and what is wrong.

use crate::cli::args::Global;
use crate::cli::{Trouble, output};
use crate::config::{Config, Source};
use crate::setup::{self, DnsCommand, DoctorArgs};
use serde_json::Value;

pub(crate) async fn run(command: &DnsCommand, source: &Source, global: &Global) -> Result<(), Trouble> {
    let config = read(source)?;
    match command {
        DnsCommand::Records(place) => {
            let (list, zone) = setup::records(&config, place)?;
            if global.json {
                let items: Vec<Value> = list.iter().map(setup::Wanted::json).collect();
                return output::json(&items);
            }
            output::octets(zone.as_bytes())
        }
        DnsCommand::Check { place, resolver, all } => {
            let findings = setup::check(&config, place, *resolver).await?;
            setup::print(&findings, *all, global)
        }
        DnsCommand::Apply(args) => setup::apply(&config, args, global).await,
    }
}

pub(crate) async fn doctor(args: &DoctorArgs, source: &Source, global: &Global) -> Result<(), Trouble> {
    setup::doctor(args, &read(source)?, &source.config, global).await
}

fn read(source: &Source) -> Result<Config, Trouble> {
    if source.state_dir.is_some() {
        return Err(Trouble::usage(
            "this goes by a configuration, which names host and domains: use --config",
        ));
    }
    // Certificates that are missing or wrong are something to be told, not a reason to say nothing.
    Ok(source.read_settings()?)
}
