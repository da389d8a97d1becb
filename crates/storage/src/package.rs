//! Messages that come in, however they come: by SMTP, by APPEND, or made by us. Many are stored with the same few
//! statements, each over a set, so that the cost of a commit and of a statement is shared by all who wait.

use crate::body::Prepared;
use crate::error::{Error, Result};
use crate::flags::{Flags, Keywords};
use crate::ids::{AccountId, JobId, MailboxId, ModSeq, Uid, Unix};
use crate::places::{self, Place};
use crate::quota::Space;
use crate::rows::{self, MailboxRow, MessageRow, Rows};
use crate::sending::Charge;
use crate::writer::Tx;
use mail::{Client, Envelope};
use std::collections::{HashMap, VecDeque};

/// A body, the mailboxes that get it, and the jobs that carry it further.
pub(crate) struct Package {
    pub(crate) body: Prepared,
    pub(crate) filings: Vec<Filing>,
    pub(crate) jobs: Vec<NewJob>,
    pub(crate) charge: Option<Charge>,
}

pub(crate) struct Filing {
    pub(crate) target: Target,
    pub(crate) prefix: Vec<u8>,
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<String>,
    pub(crate) received: Unix,
    pub(crate) space: Space,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// APPEND: the append limit of the account holds.
    Mailbox(MailboxId),
    /// Delivery: account, name of the mailbox, special use; whichever is there, else INBOX.
    Account(String, Option<String>, Option<&'static str>),
}

pub(crate) struct NewJob {
    pub(crate) mail_id: String,
    pub(crate) envelope: Envelope,
    pub(crate) prefix: Vec<u8>,
    pub(crate) arrived: Unix,
    pub(crate) due: Unix,
    pub(crate) client: Option<Client>,
}

/// What one acceptance came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// As the filings.
    pub filed: Vec<Filed>,
    /// As the jobs.
    pub jobs: Vec<JobId>,
}

/// A message in its mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filed {
    pub account: AccountId,
    pub mailbox: MailboxId,
    pub uidvalidity: u32,
    pub uid: Uid,
    pub modseq: ModSeq,
}

impl Package {
    /// About how much goes into the database.
    pub(crate) fn octets(&self) -> u64 {
        let filings: usize = self.filings.iter().map(|filing| filing.prefix.len() + 200).sum();
        let jobs: usize =
            self.jobs.iter().map(|job| job.prefix.len() + 200 * job.envelope.recipients.len()).sum();
        self.body.octets() + (filings + jobs) as u64
    }
}

/// What a mailbox gains.
#[derive(Default, Clone, Copy)]
struct Gain {
    uidnext: i64,
    messages: i64,
    unseen: i64,
    deleted: i64,
    size: u64,
}

/// Stores each group whole or not at all; a refusal of one does not touch the others. `Err` is trouble for all.
pub(crate) async fn store(tx: &mut Tx, groups: &[&[Package]]) -> Result<Vec<Result<Vec<Accepted>>>> {
    let places = places::find(tx, groups).await?;
    let (checked, ledger) = places::check(tx, groups, &places).await?;
    let mut rows = Rows::begin(&tx.connection)?;
    let mut state = State::new(tx, &places);
    let mut outcomes = Vec::with_capacity(groups.len());
    for (group, checked) in groups.iter().zip(checked) {
        let mut keywords = match checked {
            Ok(keywords) => keywords,
            Err(refusal) => {
                outcomes.push(Err(refusal));
                continue;
            }
        };
        let mut accepted = Vec::with_capacity(group.len());
        for package in *group {
            let body = rows.body(state.tx, package)?;
            let filed = state.file(&mut rows, package, body, &mut keywords)?;
            let jobs = package.jobs.iter().map(|job| rows.job(state.tx, package, job, body));
            accepted.push(Accepted { filed, jobs: jobs.collect::<Result<_>>()? });
        }
        outcomes.push(Ok(accepted));
    }
    state.finish()?;
    rows.end(&tx.connection)?;
    ledger.write(tx).await?;
    Ok(outcomes)
}

/// Where the set stands while it is laid out.
struct State<'t> {
    tx: &'t mut Tx,
    places: &'t HashMap<Target, Place>,
    gains: HashMap<MailboxId, Gain>,
    /// One mod-sequence per account for the whole set.
    modseqs: HashMap<AccountId, ModSeq>,
}

impl<'t> State<'t> {
    fn new(tx: &'t mut Tx, places: &'t HashMap<Target, Place>) -> Self {
        let mut gains = HashMap::new();
        let mut modseqs = HashMap::new();
        for place in places.values() {
            gains.insert(place.mailbox, Gain { uidnext: place.uidnext, ..Gain::default() });
            modseqs.insert(place.account, place.modseq + 1);
        }
        Self { tx, places, gains, modseqs }
    }

    /// Makes the rows of one package in its mailboxes.
    fn file(
        &mut self,
        rows: &mut Rows,
        package: &Package,
        body: i64,
        keywords: &mut VecDeque<Keywords>,
    ) -> Result<Vec<Filed>> {
        let mut filed = Vec::with_capacity(package.filings.len());
        for filing in &package.filings {
            let lost = || Error::bug("a mailbox that was there is gone");
            let place = self.places.get(&filing.target).ok_or_else(lost)?;
            let gain = self.gains.get_mut(&place.mailbox).ok_or_else(lost)?;
            let modseq = *self.modseqs.get(&place.account).ok_or_else(lost)?;
            let keywords = keywords.pop_front().ok_or_else(lost)?;
            let uid = Uid::try_from(gain.uidnext).map_err(|_| Error::TooMany {
                what: "messages in one mailbox",
                limit: u64::from(Uid::MAX),
            })?;
            let size = package.body.size + filing.prefix.len() as u64;
            let row = MessageRow {
                mailbox: place.mailbox.0,
                uid,
                modseq,
                flags: filing.flags.bits().into(),
                keywords: keywords.bits(),
                received: filing.received,
                saved: self.tx.now,
                size,
            };
            rows.message(&self.tx.connection, body, &filing.prefix, &row)?;
            gain.uidnext += 1;
            gain.messages += 1;
            gain.unseen += i64::from(!filing.flags.contains(Flags::SEEN));
            gain.deleted += i64::from(filing.flags.contains(Flags::DELETED));
            gain.size += size;
            let uidvalidity = place.uidvalidity;
            filed.push(Filed { account: place.account, mailbox: place.mailbox, uidvalidity, uid, modseq });
        }
        Ok(filed)
    }

    /// Writes down what mailboxes and accounts come to.
    fn finish(self) -> Result<()> {
        let account_of: HashMap<MailboxId, AccountId> =
            self.places.values().map(|place| (place.mailbox, place.account)).collect();
        let mut touched = HashMap::new();
        for (mailbox, gain) in self.gains.iter().filter(|(_, gain)| gain.messages > 0) {
            let Some(account) = account_of.get(mailbox) else { continue };
            let modseq = self.modseqs.get(account).copied().unwrap_or_default();
            touched.insert(*account, modseq);
            let row = MailboxRow {
                id: mailbox.0,
                uidnext: gain.uidnext,
                modseq,
                messages: gain.messages,
                unseen: gain.unseen,
                deleted: gain.deleted,
                size: gain.size,
            };
            rows::mailbox(&self.tx.connection, &row)?;
        }
        for (account, modseq) in touched {
            rows::account(&self.tx.connection, account.0, modseq)?;
            self.tx.effects.ring(account, modseq);
        }
        Ok(())
    }
}
