//! The file that an export leaves beside the mail: what neither maildir nor mbox can say of mailboxes.

use crate::names;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Its name, in the directory of the export.
pub const FILE: &str = "maddy-mailboxes.json";
/// Largest such file that is read, in octets.
pub(crate) const OCTETS_MAX: u64 = 32 * 1024 * 1024;

/// What is said of one mailbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Described {
    /// The whole name, levels separated by `/`.
    pub name: String,
    /// Its directory or file, within the export.
    pub place: String,
    /// `\Sent` and the like.
    pub special_use: Option<String>,
    pub subscribed: bool,
}

/// By place. A file that is not as we write it says nothing.
pub(crate) fn read(octets: Option<Vec<u8>>) -> HashMap<String, Described> {
    let list: Vec<Described> =
        octets.and_then(|octets| serde_json::from_slice(&octets).ok()).unwrap_or_default();
    let cleaned = |one: Described| Described { name: names::clean(&one.name), ..one };
    list.into_iter().map(cleaned).map(|one| (one.place.clone(), one)).collect()
}
