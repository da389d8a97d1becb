//! What the tools of this crate share: messages, the servers beside ours, and what a process costs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a tool for engineers fails by panicking, with a sentence"
)]

pub mod dovecot;
pub mod mails;
pub mod memory;
pub mod postfix;
pub mod server;
