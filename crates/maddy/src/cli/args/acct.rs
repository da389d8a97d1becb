//! `imap-acct`.

use super::{Name, Removal};
use clap::Subcommand;

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AcctCommand {
    /// Create mailboxes for an address that cannot log in yet
    Create(Name),
    /// List all accounts
    List,
    /// Remove all mailboxes and messages; the login stays
    Remove(Removal),
    /// Show one account and its size
    Stat(Name),
    /// Make the search index of an account anew, and wait for it
    Reindex(Name),
    /// Show or set the largest message that clients may put into mailboxes
    Appendlimit {
        account: String,
        /// A size like 50MiB, or none
        limit: Option<String>,
    },
    /// Show or set how much an account may keep
    ///
    /// Limits are a number, `none`, or `default` for what the configuration says. What is there already stays, even if
    /// it is more than a new limit.
    Quota {
        account: String,
        /// What all messages may take together: a size like 10GiB, none or default
        #[arg(long, value_name = "SIZE")]
        size: Option<String>,
        /// How many messages there may be: a number, none or default
        #[arg(long, value_name = "NUMBER")]
        messages: Option<String>,
    },
}
