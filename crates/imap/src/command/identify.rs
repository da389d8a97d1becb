//! ID (RFC 2971): who asks is written to the log, and we say our name.

use crate::client::Client;
use imap_proto::{Response, Untagged};
use tracing::info;

/// Most characters of a client's words in the log.
const LOGGED_MAX: usize = 200;

pub(super) fn run(client: &mut Client, pairs: &[(String, Option<String>)]) -> Response {
    let words: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}={value}")))
        .collect();
    let words: String = words.join(" ").chars().filter(|c| !c.is_control()).take(LOGGED_MAX).collect();
    info!(client = words, "the client says who it is");
    let ours = [("name", "maddy"), ("version", env!("CARGO_PKG_VERSION"))];
    let ours = ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    super::tell(client, Untagged::Id(ours), "That is who we are.")
}
