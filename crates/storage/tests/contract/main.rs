//! What the store promises, as one suite against its face, so that a second engine can be held to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::wildcard_imports,
    reason = "this is all test code, and the suite is about the whole face of the crate"
)]

mod accept;
mod acl;
mod annotations;
mod backup;
mod directory;
mod greylist;
mod help;
mod import;
mod key_fields;
mod mailboxes;
mod messages;
mod queue;
mod queue_admin;
mod queue_order;
mod quota;
mod random;
mod reports;
mod schemas;
mod search;
mod sending;
mod trace;
mod transport;
mod trouble;
mod vanished;
