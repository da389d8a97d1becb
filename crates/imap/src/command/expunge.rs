//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9). What is told comes from the view when the command ends.

use super::not_selected;
use crate::client::Client;
use crate::refusal;
use crate::view::uids;
use imap_proto::{Response, Set};
use storage::{UidSet, Which};

pub(super) async fn run(client: &mut Client, set: Option<&Set>) -> Response {
    let Some(selected) = &client.selected else { return not_selected() };
    let set = match set {
        None => UidSet::all(),
        Some(set) => uids(&selected.view.by_uid(set, &selected.saved)),
    };
    match client.house.store.expunge(selected.mailbox, &set, Which::Deleted).await {
        Ok(expunged) => match client.refresh(expunged.modseq).await {
            Ok(()) if expunged.uids.is_empty() => Response::ok("Expunged."),
            Ok(()) => super::with_modseq(client, Response::ok("Expunged."), expunged.modseq),
            Err(error) => refusal::response(&error),
        },
        Err(error) => refusal::response(&error),
    }
}
