//! A mail server that is measured, whoever made it.

use std::path::Path;

/// A server that runs on loopback until it is dropped.
pub(crate) trait Server {
    fn name(&self) -> &'static str;
    /// IMAP in clear.
    fn imap(&self) -> u16;
    /// IMAP in TLS.
    fn imaps(&self) -> u16;
    /// Where mail comes in.
    fn inbound(&self) -> Inbound;
    /// The CA that vouches for its certificate.
    fn ca(&self) -> &Path;
    /// Makes an account, if it has to be made, with [`tests::PASSWORD`].
    fn account(&self, name: &str);
    /// Returns when what it does in the background with new messages of an account is done.
    fn settle(&self, account: &str);
    /// The first of its processes.
    fn pid(&self) -> u32;
}

/// How mail comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inbound {
    Smtp(u16),
    Lmtp(u16),
}
