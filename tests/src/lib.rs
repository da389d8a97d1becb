//! The harness of the end-to-end tests: it starts the real program with a configuration of its own, plays the
//! clients, the name server and the other mail servers, and shows what was said when a story goes wrong.
//!
//! Only tests use it, so it fails by panicking, with a sentence.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a harness of tests fails by panicking")]

mod bind;
mod chat;
mod daemon;
mod glob;
mod imap;
mod mail;
mod name_server;
mod pebble;
mod picture;
mod ports;
mod remote;
mod setup;
pub mod signed_tree;
mod signed_zones;
mod smtp;
mod wait;
mod web;

pub use bind::{Bind, check_zone};
pub use chat::Chat;
pub use daemon::{Daemon, Output, binary};
pub use glob::{assert_like, is_like};
pub use imap::Imap;
pub use mail::{field, message};
pub use name_server::NameServer;
pub use pebble::{Accounts, Pebble};
pub use picture::Picture;
pub use ports::{Ports, free_port};
pub use remote::{Received, Remote};
pub use setup::{PASSWORD, Setup};
pub use signed_zones::{SignedZones, Signing};
pub use smtp::Smtp;
pub use wait::{PATIENCE, eventually};
pub use web::{Page, Posted, Web};
