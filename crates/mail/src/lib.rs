//! What a message and its envelope *are*: values that cannot be wrong once they exist.
//!
//! Floor 0. Knows no socket, no clock and no task; returns, never logs.

pub mod address;
pub mod address_list;
pub mod blob;
pub mod casemap;
pub mod client;
pub mod date;
pub mod domain;
pub mod dsn;
pub mod envelope;
mod fold;
pub mod fuzzy;
pub mod header;
pub mod message;
pub mod mime;
pub mod reply;
pub mod status;
pub mod timing;
pub mod tls_used;
pub mod trace;
pub mod words;

pub use address::Address;
pub use blob::{Blob, Pile, Spool};
pub use client::Client;
pub use domain::Domain;
pub use envelope::{Body, Envelope, MailParams, Notify, OriginalRecipient, Recipient, Ret, ReversePath};
pub use message::{Mail, Message};
pub use reply::Reply;
pub use status::Status;
pub use timing::{ByMode, DeliverBy, Priority, Release};
pub use tls_used::{TlsLevel, TlsUsed, TlsWhy};
