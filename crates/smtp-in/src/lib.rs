//! The door for strangers: SMTP on port 25. Takes mail for our own addresses and for nobody else.

pub mod config;
mod door;
mod early;
mod filters;
mod greylist;
mod judgement;
mod visit;

pub use config::Config;
pub use door::{Deps, Door};
pub use early::EarlyTalkers;
pub use filters::Desk;
pub use greylist::Greylist;
pub use smtp_door::BUSY;
