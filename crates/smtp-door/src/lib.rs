//! What both SMTP doors stand on: their common options, the conversation from greeting to end, and the message on its
//! way in.
//!
//! Floor 4. It asks a door for every answer ([`Visit`]) and decides nothing itself.

pub mod config;
mod converse;
mod inbound;

pub use config::Config;
pub use converse::{BUSY, Deps, Visit, converse, options};
pub use inbound::{Inbound, Incoming, Origin, Transaction, lost, whole};
