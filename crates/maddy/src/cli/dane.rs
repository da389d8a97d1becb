//! `check dane`: the TLSA records of a mail host, and whether it shows a certificate that they name.

use crate::cli::Trouble;
use crate::cli::evidence::Said;
use delivery::dane::Found;
use delivery::probe::{Probe, Prober};
use mail::{Domain, TlsLevel};
use serde_json::{Value, json};

pub(crate) async fn check(host: &str, port: u16, prober: &Prober) -> Result<Said, Trouble> {
    let host = Domain::parse(host).map_err(|error| Trouble::usage(format!("{host} is no host: {error}")))?;
    let probe = prober.look(&host, port).await.map_err(|error| Trouble::new(error.to_string()))?;
    Ok(said(&host, &probe))
}

fn said(host: &Domain, probe: &Probe) -> Said {
    let good = probe.tried.iter().filter(|(_, seen)| is_dane(seen)).count();
    let (result, first) = match (&probe.facts.tlsa, &probe.facts.addresses) {
        (_, Err(error)) if error.is_temporary() => ("temperror", format!("{host}: {error}")),
        (_, Err(error)) => ("permerror", format!("{host}: {error}")),
        (Found::Unknown, _) => {
            ("temperror", format!("it cannot be found out whether {host} has TLSA records: mail would wait"))
        }
        (Found::None, _) => ("none", format!("{host} has no TLSA records, or its zone is not signed")),
        (Found::Records { .. }, _) if probe.usable.is_empty() => {
            ("permerror", format!("none of the TLSA records of {host} can be used for mail"))
        }
        (Found::Records { base, .. }, _) if good == probe.tried.len() => {
            ("pass", format!("every address of {host} shows a certificate that the records of {base} name"))
        }
        (Found::Records { base, .. }, _) => (
            "fail",
            format!("not every address of {host} shows a certificate that the records of {base} name"),
        ),
    };
    let mut reasons = vec![first];
    if let Found::Records { records, .. } = &probe.facts.tlsa {
        reasons.extend(records.iter().map(|record| match probe.usable.contains(record) {
            true => format!("record {record}"),
            false => format!("record {record} (does not count)"),
        }));
    }
    reasons.extend(probe.tried.iter().map(|(at, seen)| match seen {
        Ok(tls) => format!("{at}: {tls}"),
        Err(why) => format!("{at}: {why}"),
    }));
    let tried: Vec<Value> = probe
        .tried
        .iter()
        .map(|(at, seen)| {
            json!({
                "address": at.to_string(),
                "tls": seen.as_ref().ok().map(ToString::to_string),
                "trouble": seen.as_ref().err(),
            })
        })
        .collect();
    let records: Vec<String> = match &probe.facts.tlsa {
        Found::Records { records, .. } => records.iter().map(ToString::to_string).collect(),
        Found::None | Found::Unknown => Vec::new(),
    };
    Said { result, reasons, more: json!({ "records": records, "addresses": tried }) }
}

fn is_dane(seen: &Result<mail::TlsUsed, String>) -> bool {
    seen.as_ref().is_ok_and(|tls| tls.level == TlsLevel::Dane)
}
