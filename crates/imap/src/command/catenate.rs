//! What the URLs of CATENATE name (RFC 4469 §3): messages and their parts in mailboxes that the account may read, read as FETCH would tell
//! them, and nothing marked as seen.

use crate::body::{Body, HEADER_MAX};
use crate::client::Client;
use crate::literal;
use crate::reach::{Denied, Needed, Reached};
use crate::refusal;
use imap_proto::command::{Partial, SectionText};
use imap_proto::{Code, Response, Url};
use std::ops::Range;
use storage::{Columns, Error, MailboxId, MailboxKind, Rights, Uid};

/// Octets that a URL names.
pub(super) enum Found {
    Range(Body, Range<u64>),
    /// Chosen header fields.
    Octets(Vec<u8>),
}

impl Found {
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Range(_, range) => range.end - range.start,
            Self::Octets(octets) => octets.len() as u64,
        }
    }
}

/// RFC 4469 §4.1.
fn bad(url: &str) -> Response {
    Response::no("There is no such message, or no such part of it.").with(Code::BadUrl(url.to_owned()))
}

pub(super) async fn find(client: &Client, url: &str) -> Result<Found, Response> {
    let parsed = Url::parse(url).ok_or_else(|| bad(url))?;
    let mailbox = mailbox(client, &parsed).await?.ok_or_else(|| bad(url))?;
    let body = body(client, mailbox, parsed.uid).await?.ok_or_else(|| bad(url))?;
    let range = body.range(&parsed.section).ok_or_else(|| bad(url))?;
    let partial =
        parsed.partial.map(|(origin, length)| Partial { origin, length: length.unwrap_or(u64::MAX) });
    let names = match &parsed.section.what {
        SectionText::HeaderFields(names) | SectionText::HeaderFieldsNot(names) => names,
        _ => {
            let range = literal::cut(&range, partial);
            return Ok(Found::Range(body, range));
        }
    };
    let header = body.read_range(&range, HEADER_MAX).await.map_err(|_| unreadable())?;
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let chosen = match &parsed.section.what {
        SectionText::HeaderFields(_) => mail::header::only(&header, &names),
        _ => mail::header::except(&header, &names),
    };
    let cut = literal::cut(&(0..chosen.len() as u64), partial);
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    Ok(Found::Octets(chosen[index(cut.start)..index(cut.end)].to_vec()))
}

/// `None`: there is no such mailbox, or it is not the one that the URL means.
async fn mailbox(client: &Client, url: &Url) -> Result<Option<MailboxId>, Response> {
    let Some(name) = &url.mailbox else {
        return Ok(client.selected.as_ref().map(|selected| selected.mailbox));
    };
    match client.reach(name, Needed::All(Rights::READ)).await {
        Ok(Reached { mailbox, .. }) => {
            let same = url.uidvalidity.is_none_or(|wanted| wanted == mailbox.uidvalidity);
            Ok((same && mailbox.kind == MailboxKind::Selectable).then_some(mailbox.id))
        }
        Err(Denied::NoRight | Denied::Store(Error::NoSuchMailbox(_) | Error::BadName(..))) => Ok(None),
        Err(denied) => Err(denied.response()),
    }
}

async fn body(client: &Client, mailbox: MailboxId, uid: Uid) -> Result<Option<Body>, Response> {
    let columns = Columns::MESSAGE | Columns::PARTS;
    let uids = std::iter::once(uid).collect();
    match client.house.store.fetch(mailbox, &uids, columns, 1).await {
        Ok(rows) => match rows.into_iter().next() {
            None => Ok(None),
            Some(mut row) => Body::take(&mut row).await.map(Some).ok_or_else(unreadable),
        },
        Err(Error::NoSuchMailbox(_)) => Ok(None),
        Err(error) => Err(refusal::response(&error)),
    }
}

pub(super) fn unreadable() -> Response {
    Response::no("The message of a URL could not be read; tell the postmaster.").word("CORRUPTION")
}
