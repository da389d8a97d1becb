//! Identifier alignment and the result: pure (RFC 9989, "Identifier Alignment Evaluation").

use super::record::{Alignment, Record};
use super::walk::Evidence;
use super::{Applied, DmarcResult, Outcome, Policy};
use crate::author::Author;
use mail::Domain;

/// Who vouches for a message, and who may yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identifiers {
    /// Domains whose DKIM signatures are good.
    pub dkim: Vec<Domain>,
    /// The domain of MAIL FROM if SPF passed it; that of HELO for the null path. One at most.
    pub spf: Vec<Domain>,
    /// Domains whose check got no answer from the DNS.
    pub unanswered: Vec<Unanswered>,
}

/// A domain that may vouch for the message when it is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unanswered {
    pub domain: Domain,
    /// What was asked for.
    pub reason: String,
}

impl Identifiers {
    /// Domains that may be aligned without being the very domain of the author.
    pub(super) fn relaxed(&self, record: &Record) -> Vec<Domain> {
        let unanswered: Vec<Domain> = self.unanswered.iter().map(|one| one.domain.clone()).collect();
        let dkim = [&self.dkim[..], &unanswered[..]].concat();
        match (record.adkim, record.aspf) {
            (Alignment::Relaxed, Alignment::Relaxed) => [&dkim[..], &self.spf[..]].concat(),
            (Alignment::Relaxed, Alignment::Strict) => dkim,
            (Alignment::Strict, Alignment::Relaxed) => [&self.spf[..], &unanswered[..]].concat(),
            (Alignment::Strict, Alignment::Strict) => Vec::new(),
        }
    }
}

/// Says what DMARC comes to.
pub fn judge(evidence: &Evidence, identifiers: &Identifiers) -> Outcome {
    let author = match &evidence.author {
        Author::One(domain) => domain,
        other => return unclear(other),
    };
    let outcome = |result, reason: String| Outcome {
        result,
        reason,
        author: Some(author.clone()),
        published: None,
        wanted: Policy::None,
        record_at: None,
        applied: None,
    };
    let applicable = match &evidence.policy {
        Ok(Some(applicable)) => applicable,
        Ok(None) => return outcome(DmarcResult::None, format!("{author} has no DMARC record")),
        Err(trouble) => return outcome(DmarcResult::TempError, trouble.clone()),
    };
    let record = &applicable.record;
    let testing = record.testing;
    let any_aligned = |domains: &[Domain], alignment| {
        domains.iter().any(|domain| is_aligned(evidence, author, domain, alignment) == Ok(true))
    };
    let applied = Applied {
        record: record.clone(),
        dkim: any_aligned(&identifiers.dkim, record.adkim),
        spf: any_aligned(&identifiers.spf, record.aspf),
    };
    let with_policy = |result, reason| Outcome {
        published: Some(applicable.policy),
        wanted: if testing { applicable.policy.one_step_milder() } else { applicable.policy },
        record_at: Some(applicable.at.clone()),
        applied: Some(Box::new(applied.clone())),
        ..outcome(result, reason)
    };
    let mut trouble = None;
    let checks = [("DKIM", record.adkim, &identifiers.dkim), ("SPF", record.aspf, &identifiers.spf)];
    for (name, alignment, domains) in checks {
        for domain in domains {
            match is_aligned(evidence, author, domain, alignment) {
                Ok(true) => {
                    return with_policy(DmarcResult::Pass, format!("{name} vouches for {domain}"));
                }
                Ok(false) => {}
                Err(text) => trouble = trouble.or(Some(text)),
            }
        }
    }
    let may_vouch =
        |one: &&Unanswered| is_aligned(evidence, author, &one.domain, Alignment::Relaxed).unwrap_or(true);
    let unanswered = || identifiers.unanswered.iter().find(may_vouch).map(|one| one.reason.clone());
    match trouble.or_else(unanswered) {
        Some(text) => with_policy(DmarcResult::TempError, text),
        None => with_policy(DmarcResult::Fail, "neither DKIM nor SPF vouches for the domain".to_owned()),
    }
}

fn unclear(author: &Author) -> Outcome {
    let reason = match author {
        Author::One(_) | Author::Missing => "there is no From field",
        Author::Several(_) => "From names several authors",
        Author::Unreadable => "From cannot be read",
    };
    Outcome {
        result: DmarcResult::PermError,
        reason: reason.to_owned(),
        author: None,
        published: None,
        wanted: Policy::None,
        record_at: None,
        applied: None,
    }
}

fn is_aligned(
    evidence: &Evidence,
    author: &Domain,
    domain: &Domain,
    alignment: Alignment,
) -> Result<bool, String> {
    if author == domain {
        return Ok(true);
    }
    if alignment == Alignment::Strict {
        return Ok(false);
    }
    let Some(own) = evidence.organizational.get(author) else { return Ok(false) };
    let own = own.as_ref().map_err(Clone::clone)?;
    match evidence.organizational.get(domain) {
        Some(other) => Ok(other.as_ref().map_err(Clone::clone)? == own),
        // Not looked for, because it lies elsewhere.
        None => Ok(false),
    }
}
