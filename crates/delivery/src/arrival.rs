//! What is known of a message besides its envelope when it is taken.

use crate::daily::Debit;
use mail::Client;
use policy::Authorship;
use storage::Folder;

/// How a message came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Names the message in the log, in its Received field and in the reply.
    pub id: String,
    /// Where it is filed for local recipients.
    pub folder: Folder,
    /// What vouches for its author.
    pub authorship: Authorship,
    /// Who brought it; `None`: it is our own.
    pub client: Option<Client>,
    /// Whose daily limits it counts for; `None`: nobody's.
    pub debit: Option<Debit>,
}

impl Arrival {
    /// What we or our own senders have written.
    pub fn own(id: impl Into<String>) -> Self {
        Self { id: id.into(), folder: Folder::Inbox, authorship: Authorship::Own, client: None, debit: None }
    }

    /// It was brought by somebody of whom something is known.
    #[must_use]
    pub fn brought_by(mut self, client: Option<Client>) -> Self {
        self.client = client;
        self
    }

    /// It counts for somebody's daily limits.
    #[must_use]
    pub fn counted_for(mut self, debit: Debit) -> Self {
        self.debit = Some(debit);
        self
    }
}
