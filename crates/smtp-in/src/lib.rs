//! The door for strangers: SMTP on port 25. Takes mail for our own addresses and for nobody else.

pub mod config;
mod door;
mod judgement;
mod visit;

pub use config::{Config, Listen, ListenTls};
pub use door::{BUSY, Deps, Door};
