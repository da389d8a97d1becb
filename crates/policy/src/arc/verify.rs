//! Validates a chain (RFC 8617 §5.2).

use super::chain::{self, Link};
use super::{ArcResult, Outcome, Set};
use crate::dkim::DkimResult;
use crate::dkim::canon::{BodyHash, Hashed};
use crate::dkim::key_record::{self, Key, NoKey, Service};
use crate::dkim::signature::without_signature;
use crate::dkim::verify::{judge_with, refusal};
use crate::head::{Head, RawFields};
use futures_util::future::join_all;
use mail::Message;
use mail_auth::common::crypto::Algorithm;
use mail_auth::dkim::Canonicalization;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use world::World;

/// Validates the chain of a message; `None` if it has none. `peer` brought the message.
///
/// All keys are asked for at once, and each ends within [`crate::dkim::KEY_TIME_MAX`].
pub async fn verify(message: &Message, peer: IpAddr, world: &World) -> io::Result<Option<Outcome>> {
    let head = Head::read(message)?;
    let links = match chain::read(&head.fields()) {
        Ok(links) if links.is_empty() => return Ok(None),
        Ok(links) => links,
        Err(reason) => return Ok(Some(Outcome { reason, ..failed(peer) })),
    };
    let keys = Keys::fetch(&links, world).await;
    let (head, bodies) = hash_bodies(message.clone(), head, &links).await?;
    let validator = Validator { fields: head.fields(), keys, bodies, now: world.clock.unix() };
    Ok(Some(validator.outcome(links, peer)))
}

fn failed(peer: IpAddr) -> Outcome {
    Outcome {
        result: ArcResult::Fail,
        reason: String::new(),
        is_unanswered: false,
        oldest_pass: None,
        sets: Vec::new(),
        peer,
    }
}

/// Why something is not good.
struct Broken {
    reason: String,
    is_unanswered: bool,
}

/// The keys of all seals and signatures, each fetched once.
struct Keys(BTreeMap<(String, &'static str), Result<Key, NoKey>>);

impl Keys {
    async fn fetch(links: &[Link], world: &World) -> Self {
        let mut wanted: BTreeMap<(String, &'static str), Algorithm> = BTreeMap::new();
        for link in links {
            let seal = (key_name(&link.seal.selector, &link.seal.domain), link.seal.algorithm);
            let message = (key_name(&link.message.selector, &link.message.domain), link.message.algorithm);
            for (name, algorithm) in [seal, message] {
                wanted.insert((name, algorithm.name()), algorithm);
            }
        }
        let asked = wanted.iter().map(|((name, _), algorithm)| {
            key_record::fetch(world.dns.as_ref(), name, *algorithm, Service::Mail)
        });
        let found = join_all(asked).await;
        Self(wanted.into_keys().zip(found).collect())
    }

    fn get(&self, selector: &str, domain: &mail::Domain, algorithm: Algorithm) -> Result<&Key, Broken> {
        match self.0.get(&(key_name(selector, domain), algorithm.name())) {
            Some(Ok(key)) => Ok(key),
            Some(Err(none)) => {
                let is_unanswered = none.result == DkimResult::TempError;
                Err(Broken { reason: none.reason.clone(), is_unanswered })
            }
            None => Err(Broken { reason: "the key was not asked for".to_owned(), is_unanswered: false }),
        }
    }
}

fn key_name(selector: &str, domain: &mail::Domain) -> String {
    format!("{selector}._domainkey.{domain}")
}

/// Bodies as they are hashed: whole, in both forms, and as the newest signature wants it.
struct Bodies {
    relaxed: Hashed,
    simple: Hashed,
    newest: Hashed,
}

/// Reads the body once; off the async threads, because it may be in a file.
async fn hash_bodies(message: Message, head: Head, links: &[Link]) -> io::Result<(Head, Bodies)> {
    let newest = links.last().map(|link| (link.message.body_form, link.message.body_length));
    let (form, length) = newest.unwrap_or((Canonicalization::Relaxed, None));
    let work = move || {
        let mut hashes = [
            BodyHash::new(Canonicalization::Relaxed, None),
            BodyHash::new(Canonicalization::Simple, None),
            BodyHash::new(form, length),
        ];
        head.each_piece_of_body(&message, |piece| hashes.iter_mut().for_each(|hash| hash.push(piece)))?;
        let [relaxed, simple, newest] = hashes.map(BodyHash::finish);
        Ok((head, Bodies { relaxed, simple, newest }))
    };
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

struct Validator<'a> {
    fields: RawFields<'a>,
    keys: Keys,
    bodies: Bodies,
    now: i64,
}

impl Validator<'_> {
    fn outcome(&self, links: Vec<Link>, peer: IpAddr) -> Outcome {
        let (oldest_pass, verified) = self.validate(&links);
        let sets = links.into_iter().map(|link| Set {
            instance: link.instance,
            sealer: link.seal.domain,
            selector: link.seal.selector,
            claims: link.claims,
            remote_ip: link.remote_ip,
        });
        let outcome = Outcome { sets: sets.collect(), oldest_pass, ..failed(peer) };
        match verified {
            Ok(()) => {
                let last = outcome.sets.last().map_or_else(String::new, |set| set.sealer.to_string());
                let reason = format!("a chain of {}, last sealed by {last}", outcome.sets.len());
                Outcome { result: ArcResult::Pass, reason, ..outcome }
            }
            Err(Broken { reason, is_unanswered }) => Outcome { reason, is_unanswered, ..outcome },
        }
    }

    /// Steps 4 to 6 of RFC 8617 §5.2.
    fn validate(&self, links: &[Link]) -> (Option<u8>, Result<(), Broken>) {
        let Some((newest, older)) = links.split_last() else { return (None, Ok(())) };
        if let Err(broken) = self.check_message(newest, &self.bodies.newest) {
            return (None, Err(broken));
        }
        let mut oldest_pass = newest.instance;
        for link in older.iter().rev() {
            let body = match link.message.body_form {
                Canonicalization::Relaxed => &self.bodies.relaxed,
                Canonicalization::Simple => &self.bodies.simple,
            };
            // What is signed in part may have had anything added.
            if link.message.body_length.is_some() || self.check_message(link, body).is_err() {
                break;
            }
            oldest_pass = link.instance;
        }
        let all_pass = oldest_pass == 1;
        let seals = (0..links.len()).rev().try_for_each(|at| self.check_seal(&links[..=at]));
        (Some(if all_pass { 0 } else { oldest_pass }), seals)
    }

    fn check_message(&self, link: &Link, body: &Hashed) -> Result<(), Broken> {
        let signature = &link.message;
        let broken = |reason: &str, is_unanswered| {
            let (instance, domain) = (link.instance, &signature.domain);
            let reason = format!("the message signature i={instance} of {domain} is not good: {reason}");
            Broken { reason, is_unanswered }
        };
        if let Some((_, reason)) = refusal(signature, self.now) {
            return Err(broken(&reason, false));
        }
        let key = self.keys.get(&signature.selector, &signature.domain, signature.algorithm);
        let key = key.map_err(|none| broken(&none.reason, none.is_unanswered))?;
        let judged = judge_with(link.message_at, signature, key, body, &self.fields);
        if judged.result == DkimResult::Pass { Ok(()) } else { Err(broken(&judged.reason, false)) }
    }

    /// The newest seal of the links up to it, which covers all of their fields (RFC 8617 §5.1.1).
    fn check_seal(&self, links: &[Link]) -> Result<(), Broken> {
        let Some(newest) = links.last() else { return Ok(()) };
        let seal = &newest.seal;
        let broken = |reason: &str, is_unanswered| {
            let reason = format!("the seal i={} of {} is not good: {reason}", newest.instance, seal.domain);
            Broken { reason, is_unanswered }
        };
        let key = self.keys.get(&seal.selector, &seal.domain, seal.algorithm);
        let key = key.map_err(|none| broken(&none.reason, none.is_unanswered))?;
        let own = without_signature(self.fields.all[newest.seal_at].value);
        let places = links.iter().flat_map(|link| [link.results_at, link.message_at, link.seal_at]);
        let signed = places.map(|at| {
            let field = &self.fields.all[at];
            let is_own = at == newest.seal_at;
            (field.name, if is_own { own.as_slice() } else { field.value })
        });
        let mut input = Vec::new();
        Canonicalization::Relaxed.canonicalize_headers(signed, &mut input);
        let verified = key.public.p.verify_bytes(&input, &seal.octets, seal.algorithm);
        verified.map_err(|_| broken("the chain is not what was sealed", false))
    }
}
