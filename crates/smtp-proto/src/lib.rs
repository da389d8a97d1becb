//! SMTP as a grammar and an order of events, both sides. Floor 1: no socket, no clock, no task.
//!
//! The client speaks LMTP as well; room is kept for a listener (one more [`command::HelloKind`], and one reply per
//! recipient at the end of data).

pub mod behalf;
pub mod client;
pub mod command;
pub mod data;
pub mod ext;
pub mod params;
pub mod path;
pub mod reply;
pub mod scan;
pub mod secret;
pub mod server;

pub use behalf::{Behalf, Told};
pub use command::{Command, Fault, HelloKind};
pub use ext::{Extension, ExtensionSet, Offers};
pub use reply::Breach;
pub use scan::{Content, ContentKind, Scan};
pub use secret::Secret;
