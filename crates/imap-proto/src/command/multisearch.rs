//! ESEARCH as a value (RFC 7377).

use super::Search;

/// A search of several mailboxes. It speaks of UIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiSearch {
    /// Never empty. A mailbox that several of them name is searched once.
    pub sources: Vec<Source>,
    pub search: Search,
}

impl MultiSearch {
    /// Whether it is about the selected mailbox, or tells changes, which is done of that alone (RFC 7377 §2.2).
    pub fn needs_selected(&self) -> bool {
        let updates = self.search.updates().is_some();
        updates || self.sources.contains(&Source::Selected)
    }
}

/// Which mailboxes (RFC 7377 §2.2, RFC 5465 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Selected,
    /// Those that mail is delivered to.
    Inboxes,
    Personal,
    Subscribed,
    /// These and all below them.
    Subtree(Vec<String>),
    /// These and their children.
    SubtreeOne(Vec<String>),
    Mailboxes(Vec<String>),
}
