//! Mail in the queue whose recipients are here: what was held until its time, and what has been sent elsewhere by hand.

use crate::arrival::Arrival;
use crate::attempt::{NotifyPassed, Tried};
use crate::intake::Intake;
use crate::schedule::Fate;
use crate::work::ByPassed;
use mail::{Domain, Envelope, Mail, MailParams, Message, Recipient, Reply, Status};
use policy::Authorship;
use storage::{Acceptance, Claim, RecipientId, Space};
use tracing::info;

/// What is to be written for the recipients that are here, with the outcome of the claim.
pub(crate) struct Filed {
    pub acceptance: Acceptance,
    /// Those to whom that is told as delivered.
    pub recipients: Vec<RecipientId>,
}

/// Whether the mail of a domain ends here.
pub(crate) fn is_here(intake: &Intake, domain: &Domain) -> bool {
    let router = intake.router();
    router.is_local(domain) || domain == router.hostname()
}

/// Plans the recipients of a claim that are here, and notes what became of each. Nothing is written yet.
pub(crate) async fn file(
    intake: &Intake,
    claim: &Claim,
    message: &Message,
    results: &mut [Option<Tried>],
) -> Option<Filed> {
    let here = |at: &usize| is_here(intake, claim.recipients[*at].recipient.address.domain());
    let places: Vec<usize> = (0..claim.recipients.len()).filter(here).collect();
    if places.is_empty() {
        return None;
    }
    let recipients: Vec<Recipient> =
        places.iter().map(|at| claim.recipients[*at].recipient.clone()).collect();
    let params = MailParams { release: None, ..claim.params.clone() };
    let envelope = Envelope { from: claim.from.clone(), params, recipients };
    let mail = Mail { envelope, message: message.clone() };
    let tried = |fate, reply, notify| {
        Some(Tried { fate, host: String::new(), reply, notify, by: ByPassed::Yes, tls: None })
    };
    let arrival = Arrival { authorship: Authorship::Unproven, ..Arrival::own(claim.mail_id.as_str()) };
    let arrival = arrival.brought_by(claim.client.clone());
    match intake.draft(&mail, &arrival).await.map_err(|failed| failed.reply(&claim.mail_id)) {
        Ok(mut draft) => {
            // It was taken when it came. That a mailbox is full now must neither keep it here for ever nor from the others.
            draft.acceptance.filings.iter_mut().for_each(|filing| filing.space = Space::Granted);
            let refused = &draft.refused;
            let mut filed = Vec::new();
            for at in places {
                let recipient = &claim.recipients[at];
                let address = &recipient.recipient.address;
                let no = refused.iter().find(|one| one.recipient.address == *address);
                let no = no.map(|one| one.reply.clone());
                results[at] = match no {
                    Some(reply) if reply.is_permanent() => tried(Fate::Failed, reply, NotifyPassed::No),
                    Some(reply) => tried(Fate::Deferred, reply, NotifyPassed::No),
                    None => {
                        info!(mail = claim.mail_id, to = %address, "delivered here");
                        filed.push(recipient.id);
                        let reply = Reply::new(250, Status::success(1, 5), "delivered here");
                        tried(Fate::Delivered, reply, NotifyPassed::Here)
                    }
                };
            }
            let is_empty = draft.remote == 0 && draft.acceptance.filings.is_empty();
            (!is_empty).then_some(Filed { acceptance: draft.acceptance, recipients: filed })
        }
        Err(reply) => {
            let fate = if reply.is_permanent() { Fate::Failed } else { Fate::Deferred };
            places.into_iter().for_each(|at| results[at] = tried(fate, reply.clone(), NotifyPassed::No));
            None
        }
    }
}
