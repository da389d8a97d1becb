//! MESSAGELIMIT: the most messages of one command (RFC 9738). What is over is left, the oldest first, and the client
//! hears where to go on; commands that do all or nothing are refused.

use crate::client::Client;
use crate::view::Target;
use imap_proto::response::Kind;
use imap_proto::{Code, Response, Untagged};

/// Keeps the newest of `targets`, which are in the order of the mailbox, and gives the code that says so.
pub(super) fn newest(client: &Client, targets: &mut Vec<Target>) -> Option<Code> {
    newest_within(client.message_limit, targets)
}

/// The same with this limit, if there is one.
pub(super) fn newest_within(limit: Option<u32>, targets: &mut Vec<Target>) -> Option<Code> {
    let limit = limit?;
    let over = targets.len().checked_sub(usize::try_from(limit).ok()?).filter(|over| *over > 0)?;
    targets.drain(..over);
    Some(Code::MessageLimit(limit, targets.first().map(|target| target.uid)))
}

/// For commands that do all or nothing (RFC 9738 §3.1): refused if it is too many.
pub(super) fn all(client: &Client, targets: &[Target]) -> Result<(), Response> {
    let mut some = targets.to_vec();
    match newest(client, &mut some) {
        None => Ok(()),
        Some(code) => Err(Response::no("These are too many messages for one command.").with(code)),
    }
}

/// The same where only the count is known.
pub(super) fn count(client: &Client, count: u64) -> Result<(), Response> {
    match client.message_limit {
        Some(limit) if count > u64::from(limit) => {
            let response = Response::no("These are too many messages for one command.");
            Err(response.with(Code::MessageLimit(limit, None)))
        }
        _ => Ok(()),
    }
}

/// The end of a command that may have left some: where another code stands, the limit is told in a line of its own.
pub(super) fn tagged(client: &mut Client, response: Response, limited: Option<Code>) -> Response {
    match limited {
        Some(code) if response.kind == Kind::Ok && response.code.is_none() => response.with(code),
        Some(code) if response.kind == Kind::Ok => {
            let partly = Response::no("Only the newest of these messages were worked on.").with(code);
            // Only EXPUNGE can be too early.
            let _ = client.session.tell(&Untagged::Status(partly));
            response
        }
        _ => response,
    }
}
