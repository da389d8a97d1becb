//! Names of rows, each a type of its own so that none is taken for another.

use std::fmt;

/// A unique identifier of a message in its mailbox (RFC 9051 §2.3.1.1); never 0.
pub type Uid = u32;
/// A mod-sequence (RFC 7162 §3.1). One sequence per account: also the number of the account's bell.
pub type ModSeq = u64;
/// Seconds since 1970-01-01T00:00:00Z.
pub type Unix = i64;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub(crate) i64);

        impl $name {
            pub fn get(self) -> i64 {
                self.0
            }

            /// For numbers that came from `get`, by way of a listing or the control socket.
            pub fn from_number(number: i64) -> Self {
                Self(number)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// An IMAP account.
    AccountId
);
id!(
    /// A mailbox, under whatever name; never used again (RFC 8474 MAILBOXID).
    MailboxId
);
id!(
    /// A message with the fields that stand in front of it; shared by its copies (RFC 8474 EMAILID).
    EmailId
);
id!(
    /// A message in the queue, with one reverse path.
    JobId
);
id!(
    /// One recipient of a job.
    RecipientId
);
