//! The grammar of what stands below `creds`, besides passwords.

use crate::login::Use;
use clap::{Args, Subcommand};

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum AppPasswordCommand {
    /// Make one, and show it this once
    Create(NewAppPassword),
    /// List those of an account, with when they were last used
    List { account: String },
    /// Take one back; sessions that use it end
    Revoke {
        account: String,
        /// The name that was given at its creation
        name: String,
    },
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NewAppPassword {
    pub(crate) account: String,
    /// What to call it, like "phone"
    pub(crate) name: String,
    /// What it is good for; may be given several times. Without: imap and submission
    #[arg(long = "for", value_name = "USE", value_enum)]
    pub(crate) uses: Vec<Use>,
    /// How long it lasts, like 90d; without: until it is revoked
    #[arg(long, value_name = "DURATION")]
    pub(crate) expires: Option<String>,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum GuessesCommand {
    /// List addresses, networks and accounts with failed logins
    List,
    /// Forget what an address or an account is counted for: it need not wait any more
    Lift {
        /// An address, which is taken with its network, or an account
        of: String,
    },
}
