//! The door for readers: IMAP4rev1 and IMAP4rev2 over the store.
//!
//! Floor 5. `\Recent` (RFC 3501 §2.3.2) is not kept, as RFC 9051 has dropped it: RECENT is always 0.

mod body;
mod client;
mod command;
mod config;
mod door;
mod downgrade;
mod flags;
mod gallery;
mod hearing;
mod journal;
mod literal;
mod notify;
mod object;
mod pattern;
mod picture;
mod preview;
mod progress;
mod reach;
mod refusal;
mod roster;
mod scope;
mod search;
mod seek;
mod selected;
mod telling;
mod transit;
mod view;

pub use config::{Capability, Config, Entrance, HiddenFrom, InsecureAuth, decode};
pub use door::{BUSY, Door};
