//! `check mta-sts`: the policy of a domain, and whether it is true.

use crate::cli::Trouble;
use crate::cli::evidence::Said;
use crate::sts::{Found, Inspector};
use mail::Domain;
use policy::mtasts::{Harm, StsPolicy};
use serde_json::{Value, json};

pub(crate) async fn check(domain: &str, inspector: &Inspector) -> Result<Said, Trouble> {
    let domain =
        Domain::parse(domain).map_err(|error| Trouble::usage(format!("{domain} is no domain: {error}")))?;
    Ok(said(inspector.inspect(&domain).await))
}

fn said(found: Found) -> Said {
    match found {
        Found::NoRecord => plain("none", "the domain has no MTA-STS record".to_owned()),
        Found::Unknown(why) => plain("temperror", why),
        Found::NoPolicy { id, why } => Said {
            more: json!({ "id": id }),
            ..plain("permerror", format!("the record has the id {id}, but senders find no policy: {why}"))
        },
        Found::Policy { id, policy, warnings } => {
            let is_bad = warnings.iter().any(|warning| warning.harm != Harm::Later);
            let mut reasons = vec![describe(&policy)];
            reasons.extend(warnings.iter().map(|warning| warning.text.clone()));
            let told: Vec<Value> = warnings
                .iter()
                .map(|warning| json!({ "harm": word(warning.harm), "text": warning.text }))
                .collect();
            let hosts: Vec<String> = policy.hosts.iter().map(ToString::to_string).collect();
            Said {
                result: if is_bad { "fail" } else { "pass" },
                reasons,
                more: json!({
                    "id": id,
                    "mode": policy.mode.word(),
                    "max_age": policy.max_age.as_secs(),
                    "mx": hosts,
                    "warnings": told,
                }),
            }
        }
    }
}

fn plain(result: &'static str, reason: String) -> Said {
    Said { result, reasons: vec![reason], more: json!({}) }
}

fn describe(policy: &StsPolicy) -> String {
    let hosts: Vec<String> = policy.hosts.iter().map(ToString::to_string).collect();
    format!("mode {}, kept for {} s, mx: {}", policy.mode, policy.max_age.as_secs(), hosts.join(", "))
}

fn word(harm: Harm) -> &'static str {
    match harm {
        Harm::NoMail => "no-mail",
        Harm::HostUnused => "host-unused",
        Harm::Later => "later",
    }
}
