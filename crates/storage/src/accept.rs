//! Acceptance: everything that one 250 promises, in one transaction.

use crate::desk::Room;
use crate::error::{Error, Result};
use crate::flags::Flags;
use crate::ids::Unix;
use crate::mailbox::{self, SpecialUse};
use crate::message::Shape;
use crate::package::{self, Accepted, Package, Target};
use crate::quota::Space;
use crate::sending::Charge;
use crate::store::Store;
use mail::{Blob, Client, Envelope};

/// Most recipients of one job.
pub const RECIPIENTS_MAX: usize = 10_000;

/// A message with all that is to become of it.
#[derive(Clone, Debug)]
pub struct Acceptance {
    /// The id that log, Received field and reply name.
    pub mail_id: String,
    /// Octets as received; kept once, whoever gets them.
    pub received: Blob,
    pub shape: Shape,
    pub filings: Vec<Filing>,
    pub jobs: Vec<NewJob>,
    /// What it counts for; `None`: nobody's limits.
    pub charge: Option<Charge>,
}

/// One local mailbox that gets the message.
#[derive(Clone, Debug)]
pub struct Filing {
    /// Name of the account.
    pub account: String,
    pub folder: Folder,
    /// Whole header fields that stand in front, each ending in CRLF.
    pub added: Vec<u8>,
    pub flags: Flags,
    pub keywords: Vec<String>,
    /// INTERNALDATE
    pub date: Unix,
    pub space: Space,
}

/// Where in the account a message goes. What is not there is INBOX; a special mailbox that new accounts have is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    Inbox,
    Special(SpecialUse),
    Named(String),
}

/// One message to carry further. Another reverse path is another job of the same acceptance.
#[derive(Clone, Debug)]
pub struct NewJob {
    pub envelope: Envelope,
    /// Whole header fields that stand in front, each ending in CRLF.
    pub added: Vec<u8>,
    pub arrived: Unix,
    /// When the first attempt is to be made.
    pub due: Unix,
    /// Who brought it; `None`: it is our own.
    pub client: Option<Client>,
}

impl Store {
    /// Accepts a message. When this returns it is on disk, and the bells have rung.
    pub async fn accept(&self, acceptance: Acceptance) -> Result<Accepted> {
        let accepted = self.accept_all(vec![acceptance]).await?;
        accepted.into_iter().next().ok_or_else(|| Error::bug("an acceptance without an answer"))
    }

    /// Accepts all messages or none, in one transaction: a message and the notice about it, say.
    pub async fn accept_all(&self, acceptances: Vec<Acceptance>) -> Result<Vec<Accepted>> {
        let (packages, room) = self.pack(acceptances).await?;
        self.store_packages(packages, room).await
    }

    /// Makes everything ready that can be made ready before the writer sees it.
    pub(crate) async fn pack(&self, acceptances: Vec<Acceptance>) -> Result<(Vec<Package>, Room)> {
        let mut bodies = Vec::with_capacity(acceptances.len());
        let mut rest = Vec::with_capacity(acceptances.len());
        for acceptance in acceptances {
            let mail_id = acceptance.mail_id;
            let jobs: Vec<_> =
                acceptance.jobs.into_iter().map(|job| new_job(&mail_id, job)).collect::<Result<_>>()?;
            let filings: Vec<_> = acceptance.filings.into_iter().map(filing).collect();
            bodies.push((acceptance.received, acceptance.shape));
            rest.push((filings, jobs, acceptance.charge));
        }
        let (bodies, room) = self.prepare(bodies).await?;
        let package = |(body, (filings, jobs, charge))| Package { body, filings, jobs, charge };
        Ok((bodies.into_iter().zip(rest).map(package).collect(), room))
    }
}

fn new_job(mail_id: &str, job: NewJob) -> Result<package::NewJob> {
    match job.envelope.recipients.len() {
        0 => Err(Error::bug("a job without recipients")),
        count if count > RECIPIENTS_MAX => {
            Err(Error::TooMany { what: "recipients", limit: RECIPIENTS_MAX as u64 })
        }
        _ => Ok(package::NewJob {
            mail_id: mail_id.to_owned(),
            envelope: job.envelope,
            prefix: job.added,
            arrived: job.arrived,
            due: job.due,
            client: job.client,
        }),
    }
}

fn filing(filing: Filing) -> package::Filing {
    let (folder, special) = match filing.folder {
        Folder::Inbox => (Some("INBOX".to_owned()), None),
        Folder::Special(special) => (None, Some(special.as_str())),
        Folder::Named(name) => (Some(mailbox::fold(&name)), None),
    };
    package::Filing {
        target: Target::Account(filing.account, folder, special),
        prefix: filing.added,
        flags: filing.flags,
        keywords: filing.keywords,
        received: filing.date,
        space: filing.space,
    }
}
