//! EXPUNGE and UID EXPUNGE (RFC 9051 §6.4.3, §6.4.9). What is told comes from the view when the command ends.

use super::{limit, not_selected};
use crate::client::Client;
use crate::reach::no_right;
use crate::refusal;
use crate::view::uids;
use imap_proto::{Response, Set};
use storage::{Flags, Rights, UidSet, Which};

pub(super) async fn run(client: &mut Client, set: Option<&Set>) -> Response {
    let Some(selected) = &client.selected else { return not_selected() };
    if !selected.may(Rights::EXPUNGE) {
        return no_right();
    }
    let (mailbox, mut limited) = (selected.mailbox, None);
    let set = match set {
        None => UidSet::all(),
        Some(set) => {
            let mut targets = selected.view.by_uid(set, &selected.saved);
            {
                let picture = selected.shared.look();
                let is_deleted =
                    |uid| picture.mark(uid).is_some_and(|mark| mark.flags.contains(Flags::DELETED));
                targets.retain(|target| is_deleted(target.uid));
            }
            // Of EXPUNGE itself all is done, however much it is (RFC 9738 §3.1).
            limited = limit::newest(client, &mut targets);
            uids(&targets)
        }
    };
    let response = match client.house.store.expunge(mailbox, &set, Which::Deleted).await {
        Ok(expunged) => match client.refresh(expunged.modseq).await {
            Ok(()) if expunged.uids.is_empty() => Response::ok("Expunged."),
            Ok(()) => super::with_modseq(client, Response::ok("Expunged."), expunged.modseq),
            Err(error) => refusal::response(&error),
        },
        Err(error) => refusal::response(&error),
    };
    limit::tagged(client, response, limited)
}
