//! IMAP as a grammar and an order of events (RFC 9051, and RFC 3501 for those who have not moved on).
//!
//! Floor 1: no socket, no clock, no task. `imap-codec` is the grammar where it reaches; `ext` has what it lacks.

pub mod command;
mod ext;
pub mod fetch;
pub mod frame;
mod lex;
pub mod parse;
pub mod response;
pub mod sequence;
pub mod server;
pub mod url;
pub mod utf7;

pub use command::{By, Command, Refusal, Secret};
pub use ext::batches::{BATCH_MIN, BATCHES_MAX};
pub use ext::search::{CHARSETS, DEPTH_MAX};
pub use parse::Names;
pub use response::{Code, Kind, Response, StatusValue, Told, Untagged, Vanished};
pub use sequence::{Ranges, Set};
pub use server::{Answer, Options, Question, Session, State};
pub use url::Url;

#[cfg(test)]
mod tests;
