//! The whole envelope, decided: which mailboxes, which jobs, who is refused, who is told of success.

use crate::route::{Known, Resolved, Rules, Sender, Target};
use mail::{Address, Envelope, Notify, OriginalRecipient, Recipient, Reply, ReversePath};
use std::collections::HashSet;

/// What becomes of the recipients of one envelope.
#[derive(Debug, Default)]
pub struct Plan {
    /// Each account once.
    pub local: Vec<Local>,
    /// Each remote address once.
    pub remote: Vec<Remote>,
    /// Recipients that lead nowhere any more (the account went while the message came).
    pub refused: Vec<Refused>,
    /// What the sender is told if the message is accepted (RFC 3461 §5.2.3, §5.2.7.3).
    pub told: Vec<Told>,
}

/// A mailbox that gets the message.
#[derive(Debug)]
pub struct Local {
    /// The account's name.
    pub account: String,
    /// The address that reached it: Delivered-To.
    pub address: Address,
    /// The recipient of the envelope that led here.
    pub original: Address,
}

/// A remote address that gets the message.
#[derive(Debug)]
pub struct Remote {
    /// The sender to send under: rewritten if the message is forwarded.
    pub from: ReversePath,
    pub recipient: Recipient,
    /// The address of ours that forwards to it.
    pub via: Option<Address>,
    /// The recipient of the envelope that led here.
    pub original: Address,
}

#[derive(Debug)]
pub struct Refused {
    pub recipient: Recipient,
    pub reply: Reply,
}

/// A success that the sender asked to hear of.
#[derive(Debug)]
pub struct Told {
    pub recipient: Recipient,
    pub success: Success,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Success {
    /// It is in the mailbox.
    Delivered,
    /// It went on to several addresses.
    Expanded,
}

impl Plan {
    /// Takes out what would leave this server, and gives back the recipients whom nobody here gets a copy of.
    pub(crate) fn keep_at_home(&mut self) -> Vec<Address> {
        let mut lost: Vec<Address> = Vec::new();
        for remote in self.remote.drain(..) {
            let is_here = self.local.iter().any(|local| local.original == remote.original);
            if !is_here && !lost.contains(&remote.original) {
                lost.push(remote.original);
            }
        }
        self.told.retain(|told| !lost.contains(&told.recipient.address));
        lost
    }

    /// Gives an account a copy that was meant for `original`, unless it has one.
    pub(crate) fn file_instead(&mut self, account: String, address: Address, original: Address) {
        if !self.local.iter().any(|local| local.account == account) {
            self.local.push(Local { account, address, original });
        }
    }
}

impl Rules {
    /// Decides about the whole envelope. `now` in seconds since 1970.
    pub fn plan(&self, envelope: &Envelope, known: &Known, now: i64) -> Result<Plan, Reply> {
        let mut planner = Planner {
            rules: self,
            envelope,
            now,
            plan: Plan::default(),
            accounts: HashSet::new(),
            addresses: HashSet::new(),
        };
        for recipient in &envelope.recipients {
            let resolved = self.resolve(&recipient.address, known, now);
            match resolved {
                Resolved::Temporary(reply) => return Err(reply),
                Resolved::Remote => planner.remote(recipient.clone(), None, &recipient.address),
                Resolved::Ours(targets) => planner.ours(recipient, targets),
                Resolved::Unknown | Resolved::AliasLoop | Resolved::Closed => {
                    if let Some(reply) = resolved.refusal(&recipient.address, Sender::Own) {
                        planner.plan.refused.push(Refused { recipient: recipient.clone(), reply });
                    }
                }
            }
        }
        Ok(planner.plan)
    }

    /// The sender under which a message is forwarded by `via`: rewritten, unless it is null or of ours. A sender that
    /// does not fit into a rewritten address stays as it is: SPF may then fail, but DKIM still holds.
    fn forward_sender(&self, from: &ReversePath, via: &Address, now: i64) -> ReversePath {
        let Some(sender) = from.address().filter(|sender| !self.is_local(sender.domain())) else {
            return from.clone();
        };
        let domain = if self.is_local(via.domain()) { via.domain() } else { self.primary() };
        self.srs().forward(sender, domain, now).map_or_else(|_| from.clone(), ReversePath::Address)
    }
}

struct Planner<'a> {
    rules: &'a Rules,
    envelope: &'a Envelope,
    now: i64,
    plan: Plan,
    /// Accounts that have their copy.
    accounts: HashSet<String>,
    /// Remote addresses that have theirs, with what their sender wishes to hear: one copy cannot answer two wishes.
    addresses: HashSet<(Address, Notify)>,
}

impl Planner<'_> {
    fn ours(&mut self, recipient: &Recipient, targets: Vec<Target>) {
        let several = targets.len() > 1;
        if several && recipient.notify.on_success() {
            self.plan.told.push(Told { recipient: recipient.clone(), success: Success::Expanded });
        }
        let notify = if several { recipient.notify.without_success() } else { recipient.notify };
        for target in targets {
            match target {
                Target::Mailbox { account, address } => {
                    if notify.on_success() {
                        self.plan
                            .told
                            .push(Told { recipient: recipient.clone(), success: Success::Delivered });
                    }
                    if self.accounts.insert(account.clone()) {
                        self.plan.local.push(Local { account, address, original: recipient.address.clone() });
                    }
                }
                Target::Remote { address, via } => {
                    // Who is told of a failure later has written to our address, and knows no other (RFC 3461 §5.2.1 d).
                    let written = recipient.original.clone().unwrap_or_else(|| original(&recipient.address));
                    let forwarded = Recipient { address, notify, original: Some(written) };
                    self.remote(forwarded, via, &recipient.address);
                }
            }
        }
    }

    fn remote(&mut self, recipient: Recipient, via: Option<Address>, original: &Address) {
        // The local part of a remote address may mean its case (RFC 5321 §2.4).
        if !self.addresses.insert((recipient.address.clone(), recipient.notify)) {
            return;
        }
        let from = match &via {
            None => self.envelope.from.clone(),
            Some(via) => self.rules.forward_sender(&self.envelope.from, via, self.now),
        };
        self.plan.remote.push(Remote { from, recipient, via, original: original.clone() });
    }
}

/// ORCPT for a recipient whose sender gave none.
fn original(address: &Address) -> OriginalRecipient {
    let kind = if address.needs_utf8() { "utf-8" } else { "rfc822" };
    OriginalRecipient { kind: kind.to_owned(), address: address.to_string() }
}
