//! The door for our own senders: SMTP submission (RFC 6409) on ports 587 and 465 (RFC 8314).

pub mod config;
mod door;
pub mod identity;
pub mod local;
mod login;
mod plain;
pub mod prepare;
mod visit;

pub use config::{Config, InsecureAuth};
pub use door::{Deps, Door};
pub use smtp_door::BUSY;
