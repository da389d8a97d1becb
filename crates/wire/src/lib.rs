//! How octets meet a protocol.
//!
//! Floor 0. Nothing here knows which protocol it serves.

pub mod line;
pub mod machine;
pub mod transcript;

pub use line::{Line, take_line};
pub use machine::{Machine, READ_MAX, Step, UnderWay};
