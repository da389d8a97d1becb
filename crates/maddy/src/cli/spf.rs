//! `maddy check spf`: whoever is typed as the sender has an answer, an address or not.

use crate::cli::Trouble;
use crate::cli::args::Sender;
use crate::cli::evidence::{Said, bare};
use mail::{Address, Domain};
use policy::spf::{self, Question};
use serde_json::json;
use world::World;

/// Asks whether a host may send in the name of a domain.
pub(crate) async fn check(sender: &Sender, hostname: &Domain, world: &World) -> Result<Said, Trouble> {
    let helo = sender.helo.as_deref().map(a_labels);
    let helo = helo.as_deref();
    let typed = bare(sender.from.as_deref().unwrap_or_default());
    let parsed = Address::parse(typed);
    // What is no address has an answer as well (RFC 7208 §4.3).
    let (local, domain) = match (&parsed, typed.rsplit_once('@')) {
        (Ok(from), _) => (from.local(), from.domain().as_str()),
        (Err(_), Some((local, domain))) => (local, domain),
        (Err(_), None) => ("", typed),
    };
    let domain = a_labels(domain);
    let domain = domain.as_str();
    let question = if typed.is_empty() {
        let helo = helo.ok_or_else(|| {
            Trouble::usage("the null sender has no domain to ask about: give --helo (RFC 7208 §2.4)")
        })?;
        Question::helo(sender.ip, helo, hostname)
    } else {
        let local = if local.is_empty() { "postmaster" } else { local };
        let (helo, receiver) = (helo.unwrap_or(domain), hostname.as_str());
        Question { ip: sender.ip, domain, local, helo, receiver }
    };
    let outcome = spf::check_host(&question, world).await;
    let mut reasons = vec![outcome.reason];
    if let (Err(error), false) = (&parsed, typed.is_empty()) {
        reasons.push(format!("{typed} is no address ({error}); it was asked as {local}@{domain}"));
    }
    reasons.extend(outcome.explanation.iter().map(|text| format!("the domain explains: {text}")));
    let more = json!({ "explanation": outcome.explanation });
    Ok(Said { result: outcome.result.word(), reasons, more })
}

/// A name in other scripts as it is asked for; any other as it was typed.
fn a_labels(name: &str) -> String {
    let domain = Domain::parse(name).ok().filter(|_| !name.is_ascii());
    domain.map_or_else(|| name.to_owned(), |domain| domain.to_string())
}
