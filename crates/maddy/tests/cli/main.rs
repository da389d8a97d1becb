//! The real program: what it prints, and what is true afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

mod accounts;
mod config_check;
mod daemon;
mod demo;
mod house;
mod json;
mod line;
mod messages;
mod queue;
mod silent_reader;
