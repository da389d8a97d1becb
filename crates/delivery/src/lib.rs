//! What happens to a message once it is ours: who gets it, and how it reaches those who are elsewhere.
//!
//! Floor 3. Knows the store and the wire, but no door.

pub mod aliases;
mod bounce;
pub mod config;
pub mod intake;
pub mod mx;
pub mod plan;
pub mod refusal;
pub mod route;
pub mod router;
pub mod schedule;
pub mod srs;

#[cfg(test)]
mod route_tests;

pub use aliases::{AliasKey, Aliases};
pub use config::Config;
pub use intake::{Accepted, Arrival, Intake};
pub use route::{Resolved, RouteConfig, Sender, Target};
pub use router::Router;
