//! What both SMTP doors stand on: their common options, the conversation from greeting to end, and the message on its
//! way in.
//!
//! Floor 4. It asks a door for every answer ([`Visit`]) and decides nothing itself.

mod budget;
mod concurrency;
pub mod config;
mod converse;
pub mod counted;
mod inbound;
mod pattern;
mod rates;
mod speaker;

pub use budget::{Budget, Held};
pub use concurrency::Place;
pub use config::{Clear, Config, Entrance};
pub use converse::{BUSY, Deps, Ledger, Visit, converse, options, turn_away};
pub use inbound::{Inbound, Incoming, Origin, Transaction, lost};
pub use pattern::Pattern;
pub use rates::{Of, RateOptions, Rates, network_of};
pub use speaker::Speaker;
