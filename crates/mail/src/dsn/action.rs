//! What may become of a recipient, and how a person is told.

/// What became of a recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Failed,
    Delayed,
    Delivered,
    /// Handed on to a server that sends no notices, or where the sender wants the way told (RFC 2852 §4.1.4).
    Relayed,
    /// Delivered to the members of a list or to several addresses of an alias.
    Expanded,
}

impl Action {
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
            Self::Expanded => "expanded",
        }
    }

    /// What the person is told about recipients with this fate.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::Failed => {
                "Your message could not be delivered to the recipients below, and no further attempt \
                 will be made."
            }
            Self::Delayed => {
                "Your message has not been delivered to the recipients below yet. You need not send it \
                 again: further attempts will be made."
            }
            Self::Delivered => "Your message was delivered to:",
            Self::Relayed => {
                "Your message was handed on for the recipients below to another server. It may be that no \
                 further notice comes."
            }
            Self::Expanded => "Your message was delivered to the members behind:",
        }
    }

    /// Before the subject of the message.
    pub(super) fn subject(self) -> &'static str {
        match self {
            Self::Failed => "Not delivered",
            Self::Delayed => "Delayed",
            Self::Delivered | Self::Expanded => "Delivered",
            Self::Relayed => "Relayed",
        }
    }
}

/// The order in which the fates are told: the worst first.
pub(super) const ACTIONS: [Action; 5] =
    [Action::Failed, Action::Delayed, Action::Relayed, Action::Expanded, Action::Delivered];
