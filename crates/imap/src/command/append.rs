//! APPEND (RFC 9051 §6.3.12): the message goes to the spool and through the scanner as it comes in, and is
//! promised when it is committed.

use crate::client::Client;
use crate::flags;
use crate::refusal;
use imap_proto::command::Append;
use imap_proto::{Answer, Code, Response};
use mail::blob::Spool;
use mail::mime::Scanner;
use storage::{Error, MailboxId, MailboxKind, NewMessage, Shape};
use tracing::{info, warn};

/// A message on its way in.
pub(crate) struct Incoming {
    mailbox: MailboxId,
    flags: Vec<String>,
    date: i64,
    /// `None` once the disk has failed: the rest is read and dropped.
    octets: Option<(Spool, Box<Scanner>)>,
}

/// May it come?
pub(crate) async fn begin(client: &mut Client, head: Append) {
    let answer = match admit(client, head).await {
        Ok(incoming) => {
            client.incoming = Some(incoming);
            Answer::Go
        }
        Err(response) => Answer::Done(response),
    };
    client.session.answer(answer);
}

async fn admit(client: &Client, head: Append) -> Result<Incoming, Response> {
    let Some(account) = &client.account else { return Err(Response::bad("Log in first.")) };
    if head.size == 0 {
        return Err(Response::no("A message cannot be empty.").word("CANNOT"));
    }
    if head.size > account.append_limit {
        let text = format!("A message may have at most {} octets.", account.append_limit);
        return Err(Response::no(text).word("TOOBIG"));
    }
    let date = match &head.date {
        None => client.house.world.clock.unix(),
        Some(text) => match mail::date::parse_internal(text) {
            Some(stamp) => stamp.seconds,
            None => return Err(Response::bad("There is no such date.")),
        },
    };
    let store = &client.house.store;
    let mailbox =
        store.mailbox(account.id, &head.mailbox).await.map_err(|error| refusal::of_target(&error))?;
    if mailbox.kind == MailboxKind::NoSelect {
        return Err(refusal::response(&Error::NotSelectable(mailbox.name)));
    }
    Ok(Incoming {
        mailbox: mailbox.id,
        flags: head.flags,
        date,
        octets: Some((Spool::new(store.spool_dir()), Box::new(Scanner::new()))),
    })
}

/// Some octets of the message.
pub(crate) async fn push(client: &mut Client, octets: &[u8]) {
    let Some(incoming) = &mut client.incoming else { return };
    let Some((spool, scanner)) = &mut incoming.octets else { return };
    if let Err(error) = spool.push(octets) {
        warn!(%error, "a message could not be spooled");
        incoming.octets = None;
        return;
    }
    scanner.push(octets);
    // Large messages come faster than a disk may be: let other sessions have their turn.
    tokio::task::yield_now().await;
}

/// The message is whole.
pub(crate) async fn end(client: &mut Client) -> Response {
    let Some(incoming) = client.incoming.take() else { return Response::bad("No message came in.") };
    let Some((spool, scanner)) = incoming.octets else {
        return Response::no("The server's disk is full or broken; try again later.").word("UNAVAILABLE");
    };
    let message = mail::Message::new(spool.finish());
    let analysis = scanner.finish();
    let (flags, keywords) = flags::split(&incoming.flags);
    let size = message.len();
    let message =
        NewMessage { message, shape: Shape::of(&analysis), flags, keywords, received: incoming.date };
    match client.house.store.append(incoming.mailbox, vec![message]).await {
        Ok(appended) => {
            info!(mailbox = %incoming.mailbox, size, "message appended");
            let response = Response::ok("Appended.");
            match appended.uids.first() {
                Some(uid) => response.with(Code::AppendUid { validity: appended.uidvalidity, uid: *uid }),
                None => response,
            }
        }
        Err(error) => refusal::of_target(&error),
    }
}
