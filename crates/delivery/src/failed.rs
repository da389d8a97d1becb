//! Why a message was not taken, and what its sender hears.

use crate::refusal;
use mail::Reply;
use storage::Error;
use tracing::{error, info};

/// Why a message was not taken.
pub(crate) enum Failed {
    Refused(Reply),
    Store(Error),
    Disk(std::io::Error),
}

impl Failed {
    pub(crate) fn reply(&self, mail_id: &str) -> Reply {
        match self {
            Self::Refused(reply) => reply.clone(),
            Self::Store(cause @ Error::OverQuota(account)) => {
                info!(mail = mail_id, account, "there is no room for the message");
                refusal::of_store(cause)
            }
            Self::Store(cause) => {
                error!(mail = mail_id, %cause, "the store did not take the message");
                refusal::of_store(cause)
            }
            Self::Disk(cause) => {
                error!(mail = mail_id, %cause, "the message cannot be read back");
                refusal::of_disk(cause)
            }
        }
    }
}
