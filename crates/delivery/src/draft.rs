//! A message laid out as rows: what stands in front of each copy, which jobs it makes, and what its sender is told.

use crate::arrival::Arrival;
use crate::plan::{Plan, Success};
use crate::refusal;
use mail::dsn::{Action, Report};
use mail::{Address, Mail, Message, Recipient, Reply, Status, trace};
use storage::{Acceptance, Filing, Flags, NewJob, Shape, Space};

/// What a look at the octets has found.
pub(crate) struct Look {
    /// The header as it was received.
    pub header: Vec<u8>,
    pub shape: Shape,
    /// Fields to stand in front of what is handed on, the uppermost last.
    pub sealed: Vec<String>,
}

/// A recipient that does not get the message, although others do.
pub(crate) struct Refused {
    pub recipient: Recipient,
    pub reply: Reply,
}

/// A message as rows, before they are written.
pub(crate) struct Draft {
    pub acceptance: Acceptance,
    /// Remote recipients.
    pub remote: usize,
    pub refused: Vec<Refused>,
    /// Accounts that get it, each with the address that led to it; as the filings.
    pub delivered: Vec<(String, Address)>,
    /// The header as it was received.
    pub header: Vec<u8>,
    /// The recipients that the sender named, as the filings.
    originals: Vec<Address>,
    told: Vec<crate::plan::Told>,
}

impl Draft {
    /// Nothing is written yet.
    pub(crate) fn lay_out(mail: &Mail, arrival: &Arrival, plan: Plan, look: Look, now: i64) -> Self {
        let refused = plan
            .refused
            .into_iter()
            .map(|refused| Refused { recipient: refused.recipient, reply: refused.reply })
            .collect::<Vec<_>>();
        if let Some(at) = mail.envelope.params.release.map(|release| release.time(now)).filter(|at| *at > now)
        {
            return Self::for_later(mail, arrival, refused, look, (now, at));
        }
        let acceptance = Acceptance {
            mail_id: arrival.id.clone(),
            received: mail.message.received.clone(),
            shape: look.shape,
            filings: Vec::with_capacity(plan.local.len()),
            jobs: Vec::new(),
            charge: None,
        };
        let mut draft = Self {
            acceptance,
            remote: 0,
            refused,
            delivered: Vec::new(),
            header: Vec::new(),
            originals: Vec::new(),
            told: plan.told,
        };
        for local in plan.local {
            if trace::was_delivered_to(&look.header, &local.address) {
                draft.circle(mail, &local.original, &local.address);
                continue;
            }
            draft.delivered.push((local.account.clone(), local.address.clone()));
            draft.originals.push(local.original.clone());
            draft.acceptance.filings.push(Filing {
                added: filing_prefix(mail, &local.address, &local.original),
                account: local.account,
                folder: arrival.folder.clone(),
                flags: Flags::NONE,
                keywords: Vec::new(),
                date: now,
                space: Space::Needed,
            });
        }
        for remote in plan.remote {
            match &remote.via {
                Some(via) if trace::was_delivered_to(&look.header, via) => {
                    draft.circle(mail, &remote.original, via);
                }
                _ => draft.job((mail, arrival), remote, &look.sealed, now),
            }
        }
        draft.header = look.header;
        draft
    }

    /// A message that nobody gets before its time (RFC 4865): it waits in the queue as it is, for those here as for those
    /// elsewhere, and where it goes is found out then.
    fn for_later(
        mail: &Mail,
        arrival: &Arrival,
        refused: Vec<Refused>,
        look: Look,
        (now, at): (i64, i64),
    ) -> Self {
        let is_refused =
            |one: &&Recipient| refused.iter().any(|refused| refused.recipient.address == one.address);
        let recipients: Vec<_> =
            mail.envelope.recipients.iter().filter(|one| !is_refused(one)).cloned().collect();
        let remote = recipients.len();
        let job = NewJob {
            envelope: mail::Envelope { recipients, ..mail.envelope.clone() },
            added: mail.message.added.clone(),
            arrived: now,
            due: at,
            client: arrival.client.clone(),
        };
        Self {
            acceptance: Acceptance {
                mail_id: arrival.id.clone(),
                received: mail.message.received.clone(),
                shape: look.shape,
                filings: Vec::new(),
                jobs: if remote > 0 { vec![job] } else { Vec::new() },
                charge: None,
            },
            remote,
            refused,
            delivered: Vec::new(),
            header: look.header,
            originals: Vec::new(),
            told: Vec::new(),
        }
    }

    /// Whether nobody would get the message but accounts among these.
    pub(crate) fn is_only_for(&self, accounts: &[String]) -> bool {
        let mut filings = self.acceptance.filings.iter();
        self.remote == 0 && filings.all(|filing| accounts.contains(&filing.account))
    }

    /// Accounts whose quota is used up: the others get the message, and its sender is told. Where he is not to be told,
    /// they get it in spite of the quota, since it would be lost without a word. Returns whether any was left out.
    pub(crate) fn leave_out(&mut self, mail: &Mail, full: &[String]) -> bool {
        let mut any = false;
        let mut at = 0;
        while let Some(filing) = self.acceptance.filings.get_mut(at) {
            if !full.contains(&filing.account) {
                at += 1;
                continue;
            }
            let original = &self.originals[at];
            if mail.envelope.from.is_null() || !recipient(mail, original).notify.on_failure() {
                filing.space = Space::Granted;
                at += 1;
                continue;
            }
            self.acceptance.filings.remove(at);
            let (_, address) = self.delivered.remove(at);
            let original = self.originals.remove(at);
            self.refuse(mail, &original, refusal::mailbox_full(&address));
            any = true;
        }
        any
    }

    /// These accounts get the message in spite of their quotas.
    pub(crate) fn grant(&mut self, full: &[String]) {
        let filings = self.acceptance.filings.iter_mut();
        filings
            .filter(|filing| full.contains(&filing.account))
            .for_each(|filing| filing.space = Space::Granted);
    }

    /// Accounts that get it in spite of their quotas.
    pub(crate) fn granted(&self) -> impl Iterator<Item = &str> {
        let filings = self.acceptance.filings.iter();
        filings.filter(|filing| filing.space == Space::Granted).map(|filing| filing.account.as_str())
    }

    /// A recipient whom the message has reached before.
    fn circle(&mut self, mail: &Mail, original: &Address, address: &Address) {
        self.refuse(mail, original, refusal::delivered_before(address));
    }

    fn refuse(&mut self, mail: &Mail, original: &Address, reply: Reply) {
        let recipient = recipient(mail, original);
        self.told.retain(|told| told.recipient.address != recipient.address);
        self.refused.push(Refused { recipient, reply });
    }

    /// One job for each sender and forwarding address; a recipient more for a job that is there.
    fn job(
        &mut self,
        (mail, arrival): (&Mail, &Arrival),
        remote: crate::plan::Remote,
        sealed: &[String],
        now: i64,
    ) {
        self.remote += 1;
        let mut message = Message::new(mail.message.received.clone());
        message.added.clone_from(&mail.message.added);
        if let Some(via) = &remote.via {
            sealed.iter().for_each(|field| message.prepend(field));
            message.prepend(&trace::delivered_to(via));
        }
        let known = self
            .acceptance
            .jobs
            .iter_mut()
            .find(|job| job.envelope.from == remote.from && job.added == message.added);
        match known {
            Some(job) => job.envelope.recipients.push(remote.recipient),
            None => self.acceptance.jobs.push(NewJob {
                envelope: mail::Envelope {
                    from: remote.from,
                    params: mail.envelope.params.clone(),
                    recipients: vec![remote.recipient],
                },
                added: message.added,
                arrived: now,
                due: now,
                client: arrival.client.clone(),
            }),
        }
    }

    /// What the sender is told at once.
    pub(crate) fn reports(&self, now: i64) -> Vec<Report> {
        let told = self.told.iter().map(|told| {
            let action = match told.success {
                Success::Delivered => Action::Delivered,
                Success::Expanded => Action::Expanded,
            };
            (&told.recipient, action, Status::success(1, 5), None)
        });
        let refused =
            self.refused.iter().filter(|refused| refused.recipient.notify.on_failure()).map(|refused| {
                let status = refused.reply.status_or_general();
                (&refused.recipient, Action::Failed, status, Some(refused.reply.clone()))
            });
        told.chain(refused)
            .map(|(recipient, action, status, reply)| Report {
                recipient: recipient.address.clone(),
                original: recipient.original.clone(),
                action,
                status,
                remote: None,
                reply,
                last_attempt: Some(now),
                retry_until: None,
            })
            .collect()
    }
}

/// The recipient of the envelope with this address.
fn recipient(mail: &Mail, original: &Address) -> Recipient {
    let recipient = mail.envelope.recipients.iter().find(|recipient| recipient.address == *original);
    recipient.cloned().unwrap_or_else(|| Recipient::plain(original.clone()))
}

/// The fields in front of one mailbox's copy: Return-Path on top (RFC 5321 §4.4), then where it was delivered.
fn filing_prefix(mail: &Mail, address: &Address, original: &Address) -> Vec<u8> {
    let mut message = Message::new(mail.message.received.clone());
    message.added.clone_from(&mail.message.added);
    if address != original {
        message.prepend(&format!("X-Original-To: {original}"));
    }
    message.prepend(&trace::delivered_to(address));
    message.prepend(&trace::return_path(&mail.envelope.from));
    message.added
}
