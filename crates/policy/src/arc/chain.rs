//! The sets of a message in order, each with its three fields, or what is wrong with them (RFC 8617 §4, §5.2).

use super::{Claim, INSTANCES_MAX, SETS_MAX};
use crate::dkim::signature::{Signature, read_algorithm, read_base64, read_domain, read_selector};
use crate::head::RawFields;
use crate::results::{self, MethodResult};
use crate::tags::{Tags, is_blank};
use mail::Domain;
use mail_auth::common::crypto::Algorithm;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) const RESULTS: &str = "arc-authentication-results";
pub(super) const MESSAGE: &str = "arc-message-signature";
pub(super) const SEAL: &str = "arc-seal";

/// The three fields of one instance, and where they stand.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) instance: u8,
    pub(super) results_at: usize,
    pub(super) message_at: usize,
    pub(super) seal_at: usize,
    pub(super) message: Signature,
    pub(super) seal: Seal,
    pub(super) claims: Vec<Claim>,
    pub(super) remote_ip: Option<IpAddr>,
}

/// An ARC-Seal field, read (RFC 8617 §4.1.3).
#[derive(Debug)]
pub(super) struct Seal {
    pub(super) algorithm: Algorithm,
    pub(super) octets: Vec<u8>,
    pub(super) domain: Domain,
    pub(super) selector: String,
    status: Status,
}

/// `cv=`: what the chain was worth when it came to the sealer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    None,
    Pass,
    Fail,
}

/// The links, oldest first; none if there is no chain. The error says why there is no valid one.
pub(super) fn read(fields: &RawFields<'_>) -> Result<Vec<Link>, String> {
    let named = [RESULTS, MESSAGE, SEAL].map(|name| fields.named(name));
    if named.iter().all(|places| places.is_empty()) {
        return Ok(Vec::new());
    }
    if named.iter().any(|places| places.len() > usize::from(INSTANCES_MAX)) {
        return Err(format!("there are more than {INSTANCES_MAX} ARC sets"));
    }
    let [results, messages, seals] = named;
    let mut seals = by_instance(fields, seals, "ARC-Seal", read_seal)?;
    if seals.last_key_value().is_some_and(|(_, (_, seal))| seal.status == Status::Fail) {
        return Err("the last who sealed it says that the chain was broken before".to_owned());
    }
    let mut messages = by_instance(fields, messages, "ARC-Message-Signature", read_message)?;
    let mut results = by_instance(fields, results, "ARC-Authentication-Results", read_results)?;
    let count = seals.len().max(messages.len()).max(results.len());
    if count > SETS_MAX {
        return Err(format!("a chain of {count} sets is longer than the {SETS_MAX} that are looked at"));
    }
    let mut links = Vec::with_capacity(count);
    for instance in (1..=INSTANCES_MAX).take(count) {
        let missing = |what: &str| format!("the set i={instance} has no {what}");
        let (seal_at, seal) = seals.remove(&instance).ok_or_else(|| missing("ARC-Seal"))?;
        let (message_at, message) =
            messages.remove(&instance).ok_or_else(|| missing("ARC-Message-Signature"))?;
        let (results_at, said) =
            results.remove(&instance).ok_or_else(|| missing("ARC-Authentication-Results"))?;
        check_status(instance, seal.status)?;
        let (claims, remote_ip) = (claims_of(&said), remote_ip_of(&said));
        links.push(Link { instance, results_at, message_at, seal_at, message, seal, claims, remote_ip });
    }
    Ok(links)
}

/// RFC 8617 §5.2, step 3 C.
fn check_status(instance: u8, status: Status) -> Result<(), String> {
    match (instance, status) {
        (1, Status::None) => Ok(()),
        (1, _) => Err("the seal i=1 must say cv=none".to_owned()),
        (_, Status::Pass) => Ok(()),
        (n, _) => Err(format!("the seal i={n} must say cv=pass")),
    }
}

type Places<T> = BTreeMap<u8, (usize, T)>;

fn by_instance<T>(
    fields: &RawFields<'_>,
    places: &[usize],
    name: &str,
    read: impl Fn(&[u8]) -> Result<(u8, T), String>,
) -> Result<Places<T>, String> {
    let mut found = Places::new();
    for &at in places {
        let (instance, value) =
            read(fields.all[at].value).map_err(|why| format!("a field {name} cannot be read: {why}"))?;
        if found.insert(instance, (at, value)).is_some() {
            return Err(format!("there are two fields {name} with i={instance}"));
        }
    }
    Ok(found)
}

fn read_instance(text: &str) -> Result<u8, String> {
    let text = text.trim_matches(is_blank);
    let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|n| is_number && (1..=INSTANCES_MAX).contains(n));
    number.ok_or_else(|| format!("i= is no number from 1 to {INSTANCES_MAX}"))
}

fn read_seal(value: &[u8]) -> Result<(u8, Seal), String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not UTF-8")?;
    let tags = Tags::parse(text)?;
    if tags.get("h").is_some() {
        return Err("a seal has no h=".to_owned());
    }
    let instance = read_instance(tags.required("i")?)?;
    let status = match tags.required("cv")?.to_ascii_lowercase().as_str() {
        "none" => Status::None,
        "pass" => Status::Pass,
        "fail" => Status::Fail,
        _ => return Err("cv= is neither none nor pass nor fail".to_owned()),
    };
    let algorithm = read_algorithm(tags.required("a")?)?;
    if algorithm == Algorithm::RsaSha1 {
        return Err("SHA-1 is no longer accepted".to_owned());
    }
    let seal = Seal {
        algorithm,
        octets: read_base64(tags.required("b")?)?,
        domain: read_domain(&tags)?,
        selector: read_selector(&tags)?,
        status,
    };
    Ok((instance, seal))
}

fn read_message(value: &[u8]) -> Result<(u8, Signature), String> {
    let text = std::str::from_utf8(value).map_err(|_| "it is not UTF-8")?;
    let tags = Tags::parse(text)?;
    let instance = read_instance(tags.required("i")?)?;
    let signature = Signature::of_tags(&tags, read_domain(&tags)?)?;
    // RFC 8617 §4.1.2: a signature that covers them breaks with the next set.
    if let Some(name) = signature.names.iter().find(|name| [RESULTS, MESSAGE, SEAL].contains(&name.as_str()))
    {
        return Err(format!("it signs {name}"));
    }
    Ok((instance, signature))
}

fn read_results(value: &[u8]) -> Result<(u8, Vec<MethodResult>), String> {
    let text = results::without_comments(value);
    let (instance, payload) = text.split_once(';').ok_or("there is nothing behind i=")?;
    let (name, number) = instance.split_once('=').ok_or("it does not begin with i=")?;
    if name.trim_matches(is_blank) != "i" {
        return Err("it does not begin with i=".to_owned());
    }
    Ok((read_instance(number)?, results::read(payload)))
}

fn claims_of(said: &[MethodResult]) -> Vec<Claim> {
    let domain = |text: Option<&str>| {
        let text = text?;
        Domain::parse(text.rsplit_once('@').map_or(text, |(_, domain)| domain)).ok()
    };
    let claim = |one: &MethodResult| match one.method.as_str() {
        "dmarc" => domain(one.property("header.from")).map(Claim::Dmarc),
        "dkim" => domain(one.property("header.d").or_else(|| one.property("header.i"))).map(Claim::Dkim),
        _ => None,
    };
    said.iter().filter(|one| one.result == "pass").filter_map(claim).collect()
}

fn remote_ip_of(said: &[MethodResult]) -> Option<IpAddr> {
    said.iter().find_map(|one| one.property("smtp.remote-ip")?.parse().ok())
}
