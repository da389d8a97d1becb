//! Certificates from an authority that speaks ACME (RFC 8555): how we prove that a name is ours, and when a certificate
//! is asked for again.

mod challenge;
mod client;
mod config;
mod error;
mod files;
mod hook;
mod jose;
mod keeper;
mod look;
mod order;
mod proof;
mod renewal_info;

pub use challenge::Challenges;
pub(crate) use config::decode;
pub use config::{AcmeName, AcmeOptions, ChallengeKind, ExternalAccount, KeyRollover};
pub use error::AcmeError;
pub use files::AcmeFiles;
pub use keeper::{Keeper, KeeperHandle, KeyDigests, NameState, Plan};
