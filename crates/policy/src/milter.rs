//! Filters that speak the milter protocol: OpenDKIM, SpamAssassin's, ClamAV's and many others.

mod content;
mod edit;
mod packet;
mod session;
#[cfg(test)]
mod tests;

pub use content::{edited, show};
pub use packet::Change;
pub use session::{Client, Conclusion, Decision, Patience, Session, Stream, Trouble};
