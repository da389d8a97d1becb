//! A mail server that is measured, whoever made it.

use std::path::Path;

/// A server that runs on loopback until it is dropped.
pub trait Server {
    fn name(&self) -> &'static str;
    /// IMAP in clear.
    fn imap(&self) -> u16;
    /// IMAP in TLS.
    fn imaps(&self) -> u16;
    /// The CA that vouches for its certificate.
    fn ca(&self) -> &Path;
    /// Makes an account, if it has to be made, with [`tests::PASSWORD`].
    fn account(&self, name: &str);
    /// Returns when what it does in the background with new messages of an account is done.
    fn settle(&self, account: &str);
    /// The first of its processes.
    fn pid(&self) -> u32;
}
