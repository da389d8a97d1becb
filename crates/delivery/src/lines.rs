//! What the log says of a message that was taken, once its rows are on the disk.

use crate::arrival::Arrival;
use crate::draft::Draft;
use mail::{Address, Envelope, Mail, header};
use storage::Acceptance;
use tracing::{debug, info, warn};
use world::Meter;

/// What the log says once the rows are on the disk.
pub(crate) struct Lines {
    delivered: Vec<(String, Address)>,
    refused: Vec<String>,
    notice: Option<String>,
    message_id: Option<String>,
    remote: usize,
    /// Senders and recipients as they go on.
    forwarded: Vec<(String, Vec<String>)>,
    /// Accounts that got it in spite of their quotas.
    granted: Vec<String>,
}

fn forwarded(envelope: &Envelope) -> (String, Vec<String>) {
    let recipients = envelope.recipients.iter().map(|one| one.address.to_string());
    (envelope.from.to_string(), recipients.collect())
}

impl Lines {
    pub(crate) fn of(draft: &Draft, notice: Option<&Acceptance>) -> Self {
        Self {
            delivered: draft.delivered.clone(),
            refused: draft
                .refused
                .iter()
                .map(|one| format!("<{}>: {}", one.recipient.address, one.reply))
                .collect(),
            message_id: header::find(&draft.header, "Message-ID")
                .map(|field| String::from_utf8_lossy(&field.unfolded()).trim().to_owned()),
            remote: draft.remote,
            forwarded: draft.acceptance.jobs.iter().map(|job| forwarded(&job.envelope)).collect(),
            notice: notice.map(|notice| notice.mail_id.clone()),
            granted: draft.granted().map(str::to_owned).collect(),
        }
    }

    pub(crate) fn log(self, mail: &Mail, arrival: &Arrival, meter: &Meter) {
        meter.filed.add_many((), (), self.delivered.len() as u64);
        let id = &arrival.id;
        let (message_id, remote) = (self.message_id.unwrap_or_default(), self.remote);
        let to: Vec<String> = mail.envelope.recipients.iter().map(|one| one.address.to_string()).collect();
        let signatures = header::count(&mail.message.added, "DKIM-Signature");
        debug!(mail = id, from = %mail.envelope.from, message_id, recipients = to.join(" "), remote, signatures, "taken");
        let sender = mail.envelope.from.to_string();
        for (from, recipients) in self.forwarded {
            if from != sender || recipients.iter().any(|one| !to.contains(one)) {
                debug!(mail = id, from, recipients = recipients.join(" "), "sent on");
            }
        }
        for (account, to) in self.delivered {
            info!(mail = id, %to, account, "delivered");
        }
        for account in self.granted {
            warn!(mail = id, account, "filed in spite of the quota, since nobody could be told");
        }
        for refused in self.refused {
            warn!(mail = id, refused, "a recipient was not reached");
        }
        if let Some(notice) = self.notice {
            info!(mail = id, notice, to = %mail.envelope.from, "the sender is told");
        }
    }
}
