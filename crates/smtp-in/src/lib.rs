//! The door for strangers: SMTP on port 25. Takes mail for our own addresses and for nobody else.

pub mod config;
mod door;
mod judgement;
mod visit;

pub use config::Config;
pub use door::Door;
pub use smtp_door::{BUSY, Deps};
