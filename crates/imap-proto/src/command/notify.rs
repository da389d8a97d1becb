//! NOTIFY as a value (RFC 5465).

use super::{FetchItem, Source};

/// What a client wants to hear of unasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notify {
    /// Nothing at all.
    None,
    Set {
        status: NotifyStatus,
        /// Never empty.
        groups: Vec<EventGroup>,
    },
}

/// Whether the state of all mailboxes that are watched is told at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyStatus {
    Told,
    Left,
}

/// Events of some mailboxes. Those of messages stand together, or none of them (RFC 5465 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventGroup {
    pub filter: Filter,
    /// Empty: none.
    pub events: Vec<Event>,
}

/// Which mailboxes (RFC 5465 §6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    Selected,
    SelectedDelayed,
    /// Never [`Source::Selected`] or [`Source::SubtreeOne`].
    Others(Source),
}

impl Filter {
    pub fn is_selected(&self) -> bool {
        matches!(self, Self::Selected | Self::SelectedDelayed)
    }
}

/// RFC 5465 §5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// With what is to be told of each new message of the selected mailbox.
    MessageNew(Vec<FetchItem>),
    MessageExpunge,
    FlagChange,
    MailboxName,
    SubscriptionChange,
    MailboxMetadataChange,
    ServerMetadataChange,
    AnnotationChange,
    /// One of a later standard.
    Unknown,
}
