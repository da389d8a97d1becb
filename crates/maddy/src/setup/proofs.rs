//! Whether proofs that names are ours can be put into the DNS (ACME, dns-01 by `dns-update`): by whom, and where.

use crate::certificates;
use crate::config::Config;
use crate::setup::finding::{Finding, State};
use net::{ChallengeKind, DnsUpdater, Plan};
use std::collections::BTreeSet;
use world::update::UpdateError;
use world::{DnsName, World};

const WHY: &str = "no certificate comes for the name, and none is renewed";

/// One finding for each name whose proof is a record that our name server must make.
pub(super) async fn look(config: &Config, world: &World) -> Vec<Finding> {
    let Some(plan) = certificates::plan(config) else { return Vec::new() };
    let Some(update) = plan.update.clone() else { return Vec::new() };
    let server = update.server;
    let updater = DnsUpdater::new(update, world);
    let mut findings = Vec::new();
    for record in records(&plan) {
        let Ok(name) = DnsName::parse(&record) else { continue };
        let finding = match updater.place_of(&name).await {
            Ok((place, zone)) if place == name => {
                Finding::good("acme-dns", &record, format!("{server} can make it, in the zone {zone}"))
            }
            Ok((place, zone)) => Finding::good(
                "acme-dns",
                &record,
                format!("it leads to {place}, which {server} can make in the zone {zone}"),
            ),
            Err(UpdateError::NotHere) => {
                let what = format!("{server} does not hold the zone of it, or of where it leads");
                let fix = format!(
                    "let `dns {{ update }}` name the primary name server of that zone; or put a CNAME there that leads into a zone \
                     which it holds: {record}. IN CNAME {record}.ZONE."
                );
                Finding::new("acme-dns", &record, State::Bad, what, WHY, fix)
            }
            Err(error @ UpdateError::Trouble(_)) => {
                let fix = "see that it runs and that a firewall lets us ask it over TCP";
                Finding::new("acme-dns", &record, State::Unknown, error.to_string(), WHY, fix)
            }
            Err(error) => {
                let fix = "compare the key of `dns { update }` with the one that the name server knows";
                Finding::new("acme-dns", &record, State::Bad, error.to_string(), WHY, fix)
            }
        };
        findings.push(finding);
    }
    findings
}

/// The records of the names that are proven so, each once: a name and its wildcard share theirs.
fn records(plan: &Plan) -> BTreeSet<String> {
    let always = plan.options.challenges.contains(&ChallengeKind::Dns);
    let names = plan.names.iter().filter(|name| always || name.is_wildcard());
    names.map(|name| format!("_acme-challenge.{}", name.base())).collect()
}
