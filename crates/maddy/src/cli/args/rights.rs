//! Arguments of `imap-mboxes rights`.

use clap::Args;

#[derive(Clone, Debug, Args)]
pub(crate) struct RightsArgs {
    /// Whose mailbox it is
    pub(crate) account: String,
    pub(crate) mailbox: String,
    /// Another account, or anyone; with - before it, whose rights are taken away
    #[arg(requires = "rights", allow_hyphen_values = true)]
    pub(crate) who: Option<String>,
    /// Letters like lrs, +w or -w to change some, or none
    #[arg(allow_hyphen_values = true)]
    pub(crate) rights: Option<String>,
}
