//! Verifies the signatures of a message (RFC 6376 §6).

use super::canon::{BodyHash, Hashed, signed_header};
use super::key_record::{self, Key, NoKey, Service};
use super::signature::{Signature, without_signature};
use super::{CLOCK_SKEW_MAX, DkimResult, Outcome, SIGNATURES_MAX};
use crate::head::{Head, RawField, RawFields};
use futures_util::future::join_all;
use mail::{Domain, Message};
use mail_auth::common::crypto::Algorithm;
use std::io;
use world::World;

/// Name of the field, lower case.
const FIELD: &str = "dkim-signature";

/// A signature that is worth a key.
struct Candidate {
    /// Where it stands among the fields.
    at: usize,
    signature: Signature,
}

/// Verifies up to [`SIGNATURES_MAX`] signatures, those of `authors` and their parents first.
///
/// One outcome for each signature, those that cannot be read included; empty if there is none. Asks the DNS
/// for all keys at once.
pub async fn verify(message: &Message, authors: &[Domain], world: &World) -> io::Result<Vec<Outcome>> {
    let head = Head::read(message)?;
    let (mut outcomes, candidates) = candidates(&head.fields(), authors, world.clock.unix());
    if candidates.is_empty() {
        return Ok(outcomes);
    }
    let service = service_of(&head.fields());
    let names: Vec<String> = candidates
        .iter()
        .map(|one| format!("{}._domainkey.{}", one.signature.selector, one.signature.domain))
        .collect();
    let keys = candidates
        .iter()
        .zip(&names)
        .map(|(one, name)| key_record::fetch(world.dns.as_ref(), name, one.signature.algorithm, service));
    let keys = join_all(keys).await;
    let (head, candidates, bodies) = hash_bodies(message.clone(), head, candidates).await?;
    let fields = head.fields();
    for ((candidate, key), body) in candidates.iter().zip(keys).zip(bodies) {
        outcomes.push(judge(candidate, key, &body, &fields));
    }
    Ok(outcomes)
}

/// What the message is about: a TLS report says so twice in its header (RFC 8460 §5.3).
fn service_of(fields: &RawFields<'_>) -> Service {
    let is_multipart = fields.named("content-type").iter().any(|at| {
        let value = String::from_utf8_lossy(fields.all[*at].value).to_ascii_lowercase();
        value.contains("multipart/report") && value.contains("tlsrpt")
    });
    let has_domain = !fields.named("tls-report-domain").is_empty();
    if is_multipart && has_domain { Service::TlsReport } else { Service::Mail }
}

/// Sorts signatures into those that are settled without a key and those that need one.
fn candidates(fields: &RawFields<'_>, authors: &[Domain], now: i64) -> (Vec<Outcome>, Vec<Candidate>) {
    let mut outcomes = Vec::new();
    let mut candidates = Vec::new();
    for &at in fields.named(FIELD) {
        match Signature::parse(fields.all[at].value) {
            Ok(signature) => match refusal(&signature, now) {
                Some((result, reason)) => outcomes.push(outcome(&signature, result, reason)),
                None => candidates.push(Candidate { at, signature }),
            },
            Err(reason) => outcomes.push(unreadable(format!("the signature cannot be read: {reason}"))),
        }
    }
    let of_author = |domain: &Domain| authors.iter().any(|author| author.is_within(domain));
    candidates.sort_by_key(|one| !of_author(&one.signature.domain));
    let over = (outcomes.len() + candidates.len()).saturating_sub(SIGNATURES_MAX);
    candidates.truncate(SIGNATURES_MAX);
    outcomes.truncate(SIGNATURES_MAX - candidates.len());
    if over > 0 {
        outcomes.push(unreadable(format!("{over} more signatures were not looked at")));
    }
    (outcomes, candidates)
}

/// What can be said against a signature without its key.
pub(crate) fn refusal(signature: &Signature, now: i64) -> Option<(DkimResult, String)> {
    if signature.algorithm == Algorithm::RsaSha1 {
        return Some((DkimResult::Policy, "SHA-1 is no longer accepted".to_owned()));
    }
    let now = u64::try_from(now).unwrap_or(0);
    if signature.expires_at.is_some_and(|at| at <= now) {
        return Some((DkimResult::Fail, "the signature has expired".to_owned()));
    }
    if signature.made_at.is_some_and(|at| at > now.saturating_add(CLOCK_SKEW_MAX.as_secs())) {
        return Some((DkimResult::Policy, "the signature is from the future".to_owned()));
    }
    None
}

fn unreadable(reason: String) -> Outcome {
    Outcome {
        result: DkimResult::Neutral,
        reason,
        domain: None,
        selector: None,
        identity: None,
        algorithm: None,
        mark: None,
        testing: false,
    }
}

fn outcome(signature: &Signature, result: DkimResult, reason: impl Into<String>) -> Outcome {
    Outcome {
        result,
        reason: reason.into(),
        domain: Some(signature.domain.clone()),
        selector: Some(signature.selector.clone()),
        identity: signature.identity.clone(),
        algorithm: Some(signature.algorithm.name()),
        mark: Some(signature.mark.clone()),
        testing: false,
    }
}

/// Reads the body once for all signatures; off the async threads, because it may be in a file.
async fn hash_bodies(
    message: Message,
    head: Head,
    candidates: Vec<Candidate>,
) -> io::Result<(Head, Vec<Candidate>, Vec<Hashed>)> {
    let work = move || {
        let new = |one: &Candidate| BodyHash::new(one.signature.body_form, one.signature.body_length);
        let mut hashes: Vec<BodyHash> = candidates.iter().map(new).collect();
        head.each_piece_of_body(&message, |piece| hashes.iter_mut().for_each(|hash| hash.push(piece)))?;
        let hashed = hashes.into_iter().map(BodyHash::finish).collect();
        Ok((head, candidates, hashed))
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn judge(candidate: &Candidate, key: Result<Key, NoKey>, body: &Hashed, fields: &RawFields<'_>) -> Outcome {
    let signature = &candidate.signature;
    let key = match key {
        Ok(key) => key,
        Err(NoKey { result, reason }) => return outcome(signature, result, reason),
    };
    let mut judged = judge_with(candidate.at, signature, &key, body, fields);
    judged.testing = key.testing;
    judged
}

/// What the signature in the field at `at` comes to, with its key and the hash of the body.
pub(crate) fn judge_with(
    at: usize,
    signature: &Signature,
    key: &Key,
    body: &Hashed,
    fields: &RawFields<'_>,
) -> Outcome {
    if key.same_domain && signature.identity_domain != signature.domain {
        return outcome(signature, DkimResult::PermError, "i= must name the very domain of d=");
    }
    if signature.body_length.is_some_and(|length| length > body.length) {
        return outcome(signature, DkimResult::PermError, "l= is longer than the body");
    }
    if body.digest != signature.body_hash {
        return outcome(signature, DkimResult::Fail, "the body is not what was signed");
    }
    let field = &fields.all[at];
    let own = without_signature(field.value);
    let input = signed_header(
        fields,
        &signature.names,
        signature.header_form,
        Some(at),
        RawField { name: field.name, value: &own },
    );
    if key.public.p.verify_bytes(&input, &signature.octets, signature.algorithm).is_err() {
        return outcome(signature, DkimResult::Fail, "the header is not what was signed");
    }
    match signature.body_length {
        Some(length) if length < body.length => {
            let open = body.length - length;
            outcome(signature, DkimResult::Policy, format!("l= leaves {open} octets of the body unsigned"))
        }
        _ => outcome(signature, DkimResult::Pass, "the signature is good"),
    }
}
