//! What happens to a message once it is ours: who gets it, and how it reaches those who are elsewhere.
//!
//! Floor 3. Knows the store and the wire, but no door.

pub mod aliases;
mod arrival;
mod attempt;
mod bounce;
pub mod config;
pub mod daily;
pub mod dane;
mod draft;
mod equip;
mod failed;
mod failures;
pub mod intake;
mod job;
mod judge;
mod lanes;
mod lines;
mod link;
mod local;
pub mod mx;
mod next_host;
pub mod owed;
mod pace;
pub mod plan;
mod pool;
pub mod probe;
mod protect;
pub mod proven;
pub mod reception;
pub mod refusal;
pub mod reports;
mod retries;
pub mod route;
pub mod router;
pub mod schedule;
pub mod selfcheck;
mod settle;
pub mod srs;
pub mod sts;
mod tell;
pub mod tls_config;
pub mod tls_policy;
pub mod tls_report;
pub mod tls_seen;
mod trail;
mod unreachable;
mod upkeep;
mod ways;
mod work;
pub mod worker;

#[cfg(test)]
mod route_tests;

pub use aliases::{AliasKey, Aliases};
pub use arrival::Arrival;
pub use config::Config;
pub use daily::{Allowance, Debit};
pub use intake::{Accepted, Intake};
pub use route::{Exit, Resolved, RouteConfig, Sender, Target};
pub use router::Router;
pub use worker::{Handle, Worker};
