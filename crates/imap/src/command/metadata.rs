//! GETMETADATA and SETMETADATA (RFC 5464), and /private/specialuse (RFC 6154 §5.4).

use crate::client::Client;
use crate::reach::{Needed, no_right};
use crate::refusal;
use imap_proto::command::{Depth, GetMetadata, SetMetadata};
use imap_proto::{Code, Response, Untagged};
use storage::{AccountId, Annotation, Annotations, Error, Mailbox, Rights, SpecialUse};

/// Any of these, besides the one to see it, lets somebody read and set annotations of a mailbox (RFC 5464 §3.3).
pub(super) const NEEDED: Rights =
    Rights::READ.or(Rights::SEEN).or(Rights::WRITE).or(Rights::INSERT).or(Rights::POST);

/// What a mailbox is for, as an annotation.
const SPECIAL_USE: &str = "/private/specialuse";

/// An entry that has a value.
struct Entry {
    /// As the client wrote it, if it named the entry itself.
    name: String,
    size: u64,
    /// Known at once for what is not kept as an annotation.
    value: Option<Vec<u8>>,
}

pub(super) async fn get(client: &mut Client, account: AccountId, asked: GetMetadata) -> Response {
    let mailbox = match &asked.mailbox {
        None => None,
        Some(name) => match client.reach(name, Needed::SeenAndAny(NEEDED)).await {
            Ok(reached) => Some(reached.mailbox),
            Err(denied) => return denied.response(),
        },
    };
    match values(client, account, mailbox.as_ref(), &asked).await {
        Ok((values, left_out)) => {
            if !values.is_empty() {
                let name = mailbox.map(|mailbox| mailbox.name);
                // Only EXPUNGE can be too early.
                let _ = client.session.tell(&Untagged::Metadata { mailbox: name, values });
            }
            let response = Response::ok("That is all.");
            left_out.map_or(response.clone(), |size| response.with(Code::LongEntries(size)))
        }
        Err(error) => refusal::response(&error),
    }
}

/// Entries in the order in which they were asked for; a named one that is not set is NIL. Besides, the size of the
/// largest that was left out.
type Values = (Vec<(String, Option<Vec<u8>>)>, Option<u64>);

async fn values(
    client: &Client,
    account: AccountId,
    mailbox: Option<&Mailbox>,
    asked: &GetMetadata,
) -> Result<Values, Error> {
    let store = &client.house.store;
    let id = mailbox.map(|mailbox| mailbox.id);
    let mut known = computed(client, mailbox);
    for one in store.annotation_names(account, id).await? {
        if !known.iter().any(|entry| entry.name.eq_ignore_ascii_case(&one.name)) {
            known.push(Entry { name: one.name, size: one.size, value: None });
        }
    }
    let (mut chosen, missing) = choose(known, asked);
    let limit = asked.max_size.unwrap_or(u64::MAX);
    let left_out = chosen.iter().map(|entry| entry.size).filter(|size| *size > limit).max();
    chosen.retain(|entry| entry.size <= limit);
    let names: Vec<String> =
        chosen.iter().filter(|entry| entry.value.is_none()).map(|entry| entry.name.clone()).collect();
    let kept = if names.is_empty() { Vec::new() } else { store.annotations(account, &[id], &names).await? };
    for one in kept {
        let entry = chosen.iter_mut().find(|entry| entry.name.eq_ignore_ascii_case(&one.name));
        if let Some(entry) = entry.filter(|entry| entry.value.is_none()) {
            entry.value = one.value;
        }
    }
    let missing = missing.into_iter().map(|name| (name, None));
    Ok((chosen.into_iter().map(|entry| (entry.name, entry.value)).chain(missing).collect(), left_out))
}

/// What is not kept as an annotation, but told as one.
fn computed(client: &Client, mailbox: Option<&Mailbox>) -> Vec<Entry> {
    let entry = |name: &str, value: &str| Entry {
        name: name.to_owned(),
        size: value.len() as u64,
        value: Some(value.as_bytes().to_vec()),
    };
    match mailbox {
        None => {
            let config = &client.config;
            let comment = config.server_comment.as_deref().map(|text| entry("/shared/comment", text));
            let admin = config.server_admin.as_deref().map(|text| entry("/shared/admin", text));
            admin.into_iter().chain(comment).collect()
        }
        Some(mailbox) => {
            let special = mailbox.special_use.map(|special| entry(SPECIAL_USE, special.as_str()));
            special.into_iter().collect()
        }
    }
}

/// The entries that are meant, each once, and the named ones that are not there.
fn choose(known: Vec<Entry>, asked: &GetMetadata) -> (Vec<Entry>, Vec<String>) {
    let mut chosen = Vec::new();
    let mut missing = Vec::new();
    for name in &asked.entries {
        let is_there = known.iter().any(|entry| entry.name.eq_ignore_ascii_case(name));
        if !is_there && asked.depth == Depth::Zero {
            missing.push(name.clone());
        }
    }
    for mut entry in known {
        let Some(named) = asked.entries.iter().find(|name| is_meant(name, &entry.name, asked.depth)) else {
            continue;
        };
        if named.len() == entry.name.len() {
            entry.name.clone_from(named);
        }
        chosen.push(entry);
    }
    (chosen, missing)
}

/// Whether an entry is the named one, or so far below it (RFC 5464 §4.2.2).
fn is_meant(named: &str, entry: &str, depth: Depth) -> bool {
    let Some((start, rest)) = entry.split_at_checked(named.len()) else { return false };
    if !start.eq_ignore_ascii_case(named) {
        return false;
    }
    match (rest.strip_prefix('/'), depth) {
        (None, _) => rest.is_empty(),
        (Some(_), Depth::Zero) => false,
        (Some(below), Depth::One) => !below.contains('/'),
        (Some(_), Depth::Infinity) => true,
    }
}

pub(super) async fn set(client: &mut Client, account: AccountId, asked: SetMetadata) -> Response {
    let mailbox = match &asked.mailbox {
        None => None,
        Some(name) => match client.reach(name, Needed::SeenAndAny(NEEDED)).await {
            Ok(reached) => Some(reached),
            Err(denied) => return denied.response(),
        },
    };
    let id = mailbox.as_ref().map(|reached| reached.mailbox.id);
    let mut set = Annotations { mailbox: id, ..Annotations::default() };
    for (name, value) in asked.values {
        let shared = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("/shared/"));
        if mailbox.is_none() && shared {
            return Response::no("What the server has to say is set in its configuration.").word("NOPERM");
        }
        let is_special = name.eq_ignore_ascii_case(SPECIAL_USE);
        if let Some(reached) = &mailbox
            && (is_special && reached.mailbox.account != account
                || shared && !reached.rights.contains(Rights::WRITE))
        {
            // What a mailbox is for is its owner's affair, and what all see is for those who may change it.
            return no_right();
        }
        if mailbox.is_some() && is_special {
            match special_use(value.as_deref()) {
                Ok(special) => set.special = Some(special),
                Err(response) => return response,
            }
        } else {
            set.values.push(Annotation { name, value });
        }
    }
    match client.house.store.annotate(account, set).await {
        Ok(touched) => {
            client.hearing.did(touched);
            Response::ok("Set.")
        }
        Err(Error::TooMany { .. }) => {
            Response::no("There are too many annotations, or too large ones.").word("METADATA TOOMANY")
        }
        Err(error) => refusal::response(&error),
    }
}

/// NIL, or one attribute such as `\Sent`.
fn special_use(value: Option<&[u8]>) -> Result<Option<SpecialUse>, Response> {
    let text = String::from_utf8_lossy(value.unwrap_or_default());
    let mut words = text.split_ascii_whitespace();
    match (words.next(), words.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(Response::no("A mailbox has one special use.").word("USEATTR")),
        (Some(word), None) => word
            .parse()
            .map(Some)
            .map_err(|()| Response::no("This special use is not known here.").word("USEATTR")),
    }
}

/// Some entries of a mailbox for LIST … RETURN (METADATA …) (RFC 9590 §3).
pub(super) async fn of_mailbox(
    client: &Client,
    account: AccountId,
    mailbox: &Mailbox,
    entries: &[String],
) -> Result<Untagged, Error> {
    let asked = GetMetadata { mailbox: None, depth: Depth::Zero, max_size: None, entries: entries.to_vec() };
    let (values, _) = values(client, account, Some(mailbox), &asked).await?;
    Ok(Untagged::Metadata { mailbox: Some(mailbox.name.clone()), values })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth() {
        use Depth::{Infinity, One, Zero};
        for (named, entry, depth, want) in [
            ("/shared/a", "/SHARED/A", Zero, true),
            ("/shared/a", "/shared/a/b", Zero, false),
            ("/shared/a", "/shared/a/b", One, true),
            ("/shared/a", "/shared/a/b/c", One, false),
            ("/shared/a", "/shared/a/b/c", Infinity, true),
            ("/shared/a", "/shared/ab", Infinity, false),
            ("/shared", "/shared/a", One, true),
            ("/shared/a/b", "/shared/a", Infinity, false),
        ] {
            assert_eq!(is_meant(named, entry, depth), want, "{named} {entry}");
        }
    }
}
