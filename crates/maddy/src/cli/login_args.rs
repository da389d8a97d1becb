//! The grammar of what stands below `creds`, besides passwords.

use crate::login::Use;
use clap::{Args, Subcommand};
use std::path::PathBuf;

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
pub(crate) enum CertificateCommand {
    /// Let in whoever has the key of a certificate
    Add {
        account: String,
        /// What to call it, like "laptop"
        name: String,
        /// PEM file with the certificate; it may have signed itself
        file: PathBuf,
    },
    /// List those of an account, with when they were last used
    List { account: String },
    /// Take one back; sessions that use it end
    Remove {
        account: String,
        /// The name that was given when it was added
        name: String,
    },
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
