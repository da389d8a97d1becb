//! What the checks make of a message: whether it is taken, where it goes, and what readers are told of it.

use crate::early::Blot;
use crate::filters::{Found, changed};
use delivery::owed::Observed;
use delivery::{Intake, refusal};
use mail::{ByMode, DeliverBy, Domain, Message, Reply, ReversePath};
use policy::dmarc::DmarcResult;
use policy::spf::SpfResult;
use policy::{Action, Authorship, Facts, Finding, Judgement, Pipeline, Verdict, authres, filter};
use std::io;
use std::path::Path;
use storage::{Folder, SpecialUse};
use tracing::{Span, error, info};
use world::meter;

/// A message with the evidence and the verdict.
pub(crate) struct Judged {
    pub(crate) message: Message,
    judgement: Judgement,
    client: Client,
    /// Fields that filters put in front.
    fields: Vec<String>,
}

/// Whether a client has to prove what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Stranger,
    /// The configuration believes it.
    Believed,
}

/// Runs all checks. The error is trouble of our own disk.
pub(crate) async fn judge(pipeline: &Pipeline, facts: &Facts, message: Message) -> Result<Judged, Reply> {
    let judgement = pipeline.judge(facts, &message).await.map_err(|cause| not_read(&cause))?;
    if let Verdict::Mark(reasons) | Verdict::Quarantine(reasons) = &judgement.verdict {
        info!(verdict = judgement.verdict.word(), reasons = reasons.join("; "), "judged");
    }
    if let Some(change) = judgement.disposition.as_ref().and_then(|one| one.changed.as_ref()) {
        info!(because = change.comment, "the policy of the author's domain was overridden");
    }
    let client = if pipeline.is_exempt(facts) { Client::Believed } else { Client::Stranger };
    Ok(Judged { message, judgement, client, fields: Vec::new() })
}

impl Judged {
    /// A message from our own networks, which nobody judges.
    pub(crate) fn trusted(message: Message) -> Self {
        let judgement = Judgement { findings: Vec::new(), verdict: Verdict::Accept, disposition: None };
        Self { message, judgement, client: Client::Believed, fields: Vec::new() }
    }

    /// The verdict as it is counted.
    pub(crate) fn label(&self) -> meter::Judged {
        match self.judgement.verdict {
            Verdict::Accept => meter::Judged::Accept,
            Verdict::Mark(_) => meter::Judged::Mark,
            Verdict::Quarantine(_) => meter::Judged::Quarantine,
            Verdict::Reject(_) => meter::Judged::Reject,
            Verdict::Defer(_) => meter::Judged::Defer,
        }
    }

    /// The same with what is held against the connection; what is refused or put off stays so.
    pub(crate) fn blotted(mut self, blot: &Blot) -> Self {
        let why = vec![blot.why.clone()];
        let verdict = std::mem::replace(&mut self.judgement.verdict, Verdict::Accept);
        self.judgement.verdict = match verdict {
            Verdict::Accept if blot.action == Action::Quarantine => Verdict::Quarantine(why),
            Verdict::Accept => Verdict::Mark(why),
            Verdict::Mark(reasons) if blot.action == Action::Quarantine => {
                Verdict::Quarantine([reasons, why].concat())
            }
            Verdict::Mark(reasons) => Verdict::Mark([reasons, why].concat()),
            Verdict::Quarantine(reasons) => Verdict::Quarantine([reasons, why].concat()),
            other => other,
        };
        self
    }

    /// Whether the checks alone refuse it, so that no filter need look at it.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.judgement.verdict, Verdict::Reject(_))
    }

    /// The same with what filters say, and with the header that they want.
    pub(crate) async fn filtered(self, found: Found, spool_dir: &Path) -> Result<Self, Reply> {
        let Found { outcomes, changes, fields } = found;
        let verdict = filter::join(self.judgement.verdict, &outcomes);
        let message = changed(self.message, changes, spool_dir).await?;
        let judgement = Judgement { verdict, ..self.judgement };
        Ok(Self { message, judgement, client: self.client, fields })
    }

    /// Whether the sender of the envelope is who it says: by SPF, or because the author, whom DMARC vouches for, is of
    /// its domain; or because the configuration believes the client. Checks that are switched off prove nothing.
    pub(crate) fn vouches_for(&self, from: &ReversePath) -> bool {
        let Some(sender) = from.address() else { return false };
        self.client == Client::Believed
            || self.judgement.findings.iter().any(|finding| match finding {
                Finding::Spf(one) => {
                    one.identity == policy::Identity::MailFrom && one.outcome.result == SpfResult::Pass
                }
                Finding::Dmarc(one) => {
                    one.result == DmarcResult::Pass && one.author.as_ref() == Some(sender.domain())
                }
                _ => false,
            })
    }

    /// The bare results with the verdict, for the log.
    pub(crate) fn brief(&self) -> String {
        format!("{} -> {}", policy::brief(&self.judgement.findings), self.judgement.verdict.word())
    }

    /// What vouches for the author.
    pub(crate) fn authorship(&self) -> Authorship {
        match self.client {
            Client::Believed => Authorship::Own,
            Client::Stranger => Authorship::of(&self.judgement.findings),
        }
    }

    /// Where the message goes. The error is what the client hears of a message that is not taken.
    pub(crate) fn folder(&self) -> Result<Folder, Reply> {
        match &self.judgement.verdict {
            Verdict::Accept | Verdict::Mark(_) => Ok(Folder::Inbox),
            Verdict::Quarantine(_) => Ok(Folder::Special(SpecialUse::Junk)),
            Verdict::Reject(reply) | Verdict::Defer(reply) => Err(reply.clone()),
        }
    }

    /// Counts the message for the reports that its author's domain may want.
    pub(crate) fn count(&self, facts: &Facts, intake: &Intake, now: i64) {
        // A report names the client, and this one nobody knows.
        if facts.client().is_none() {
            return;
        }
        let router = intake.router();
        let observed = Observed {
            facts,
            findings: &self.judgement.findings,
            verdict: &self.judgement.verdict,
            disposition: self.judgement.disposition.as_ref(),
            message: &self.message,
            hostname: router.hostname(),
        };
        intake.counters().observe(observed, now);
    }

    /// The name of the client that leads back to it.
    pub(crate) fn name(&self) -> Option<&Domain> {
        policy::verified_name(&self.judgement.findings)
    }

    /// The same without what others say in our name. The checks have seen it, since it may be signed; filters do not, and
    /// what they say in our name themselves stays.
    pub(crate) async fn cleaned(self, hostname: &Domain, spool_dir: &Path) -> Result<Self, Reply> {
        let Self { message, judgement, client, fields } = self;
        let (ours, dir) = ([hostname.clone()], spool_dir.to_owned());
        let is_here = message.received.as_memory().is_some();
        let work = move || {
            let clean = authres::without_forged(&message, &ours, &dir)?;
            Ok((clean.is_some(), clean.unwrap_or(message)))
        };
        // What is in memory is looked at on the spot: handing it over would take longer.
        let done = match is_here {
            true => work(),
            false => tokio::task::spawn_blocking(work).await.map_err(io::Error::other).and_then(|done| done),
        };
        let (was_forged, message) = done.map_err(|cause| not_read(&cause))?;
        if was_forged {
            info!("fields that another wrote in our name were taken out");
        }
        Ok(Self { message, judgement, client, fields })
    }

    /// The message as it is delivered: the Received field in front, and above it what we found.
    pub(crate) fn told(self, hostname: &Domain, received: &str) -> Message {
        let Self { mut message, judgement, fields, .. } = self;
        for field in fields.iter().rev() {
            message.prepend(field);
        }
        message.prepend(received);
        let Judgement { findings, verdict, disposition } = judgement;
        message.prepend(&authres::field(hostname, &findings, disposition.as_ref()));
        if let Some(reason) = authres::reason_field(&verdict) {
            message.prepend(&reason);
        }
        message
    }
}

fn not_read(cause: &io::Error) -> Reply {
    error!(%cause, "the message cannot be read for its checks");
    refusal::of_disk(cause)
}

/// Names the message in the lines that the checks log.
pub(crate) fn checks(id: &str) -> Span {
    tracing::info_span!("checks", mail = id)
}

/// What of a wish for delivery in time (RFC 2852) writes no notices but those of failure.
pub(crate) fn without_notices(by: Option<DeliverBy>) -> Option<DeliverBy> {
    by.filter(|by| by.mode == ByMode::Return).map(|by| DeliverBy { trace: false, ..by })
}
