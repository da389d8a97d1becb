//! RETURN (UPDATE) and CANCELUPDATE: searches whose changes are told (RFC 5267 §4.3).

use super::search::place;
use crate::client::{Client, Gone};
use crate::command::fetch;
use crate::search::context::{CONTEXTS_MAX, Change, Context, RESULTS_MAX, Seen};
use crate::view::Target;
use imap_proto::command::{FetchItem, Search, SortBy};
use imap_proto::response::Esearch;
use imap_proto::{Code, Response, Untagged};
use storage::Uid;
use tracing::warn;

/// To how many the results of one session may grow together.
const GROWN_MAX: usize = 2 * RESULTS_MAX;

/// Where the mailbox stands before a search whose changes are to be told; `None` for others.
pub(super) fn begin(client: &Client, search: &Search) -> Result<Option<Seen>, Response> {
    if search.updates().is_none() {
        return Ok(None);
    }
    let known = client.selected.as_ref().map(|selected| selected.contexts.as_slice()).unwrap_or_default();
    if known.iter().any(|context| context.tag == client.session.tag()) {
        return Err(Response::bad("A search with this tag is being updated already."));
    }
    place(client).map(|place| Some(Seen::now(&place)))
}

/// From now on changes of this result are told, if that can be done.
pub(super) async fn remember(
    client: &mut Client,
    search: &Search,
    order: &[SortBy],
    found: &[Target],
    seen: Option<Seen>,
) {
    let Some(seen) = seen else { return };
    let tag = client.session.tag().to_owned();
    let context = match refusal(client, search, found) {
        Some(reason) => Err(Response::no(reason)),
        None => match place(client) {
            Ok(place) => Context::new(&place, (tag.clone(), search), order, found, seen).await,
            Err(response) => Err(response),
        },
    };
    match (context, &mut client.selected) {
        (Ok(context), Some(selected)) => selected.contexts.push(context),
        (Ok(_), None) => {}
        (Err(response), _) => {
            let refused = Untagged::Status(response.with(Code::NoUpdate(tag)));
            let _ = client.session.tell(&refused);
        }
    }
}

/// Changes of this search are not told.
pub(super) fn refuse(client: &mut Client, why: &'static str) {
    let tag = client.session.tag().to_owned();
    let refused = Untagged::Status(Response::no(why).with(Code::NoUpdate(tag)));
    let _ = client.session.tell(&refused);
}

/// Why changes cannot be told (RFC 5267 §4.3.1).
fn refusal(client: &Client, search: &Search, found: &[Target]) -> Option<&'static str> {
    let contexts = &client.selected.as_ref()?.contexts;
    if !search.key.is_lasting() {
        return Some("The criteria depend on more than the messages themselves.");
    }
    if contexts.len() >= CONTEXTS_MAX {
        return Some("Too many searches are being updated.");
    }
    let held: usize = contexts.iter().map(Context::len).sum();
    (held + found.len() > RESULTS_MAX).then_some("Too many results would have to be remembered.")
}

pub(super) fn cancel(client: &mut Client, tags: &[String]) -> Response {
    if let Some(selected) = &mut client.selected {
        selected.contexts.retain(|context| !tags.contains(&context.tag));
    }
    Response::ok("No more changes are told.")
}

/// What is to be told before and after the changes of the mailbox itself (RFC 5267 §4.3.3, RFC 5267 §4.3.4).
#[derive(Default)]
pub(crate) struct Updates {
    pub(crate) before: Vec<Untagged>,
    /// Items of new messages, which come before `after` (RFC 5465 §7). What several searches ask for is told once.
    items: Vec<(Vec<FetchItem>, Vec<Target>)>,
    pub(crate) after: Vec<Untagged>,
}

impl Updates {
    fn announce(&mut self, items: &[FetchItem], mut targets: Vec<Target>) {
        if items.is_empty() || targets.is_empty() {
            return;
        }
        match self.items.iter_mut().find(|(known, _)| known == items) {
            Some((_, known)) => {
                known.append(&mut targets);
                known.sort_unstable_by_key(|target| target.number);
                known.dedup();
            }
            None => self.items.push((items.to_vec(), targets)),
        }
    }

    /// Tells the items of new messages.
    pub(crate) async fn tell_items(&mut self, client: &mut Client) -> Result<(), Gone> {
        for (items, targets) in std::mem::take(&mut self.items) {
            fetch::announce(client, items, &targets).await?;
        }
        Ok(())
    }
}

/// The UIDs by the numbers that the client knows, if an update may need them.
pub(crate) fn numbers(client: &Client) -> Vec<Uid> {
    match &client.selected {
        Some(selected) if selected.contexts.iter().any(Context::is_by_number) => {
            selected.view.all().map(|target| target.uid).collect()
        }
        _ => Vec::new(),
    }
}

/// Brings the results up to the view; `before` are the UIDs by the numbers that were told until now.
pub(crate) async fn update(client: &mut Client, before: &[Uid]) -> Updates {
    let mut updates = Updates::default();
    let mut contexts = match &mut client.selected {
        Some(selected) if !selected.contexts.is_empty() => std::mem::take(&mut selected.contexts),
        _ => return updates,
    };
    for context in &mut contexts {
        let Ok(place) = place(client) else { break };
        let change = context.update(&place).await.unwrap_or_else(|response| {
            // It is tried again with the next change.
            warn!(reason = %response.text, "a search could not be updated");
            Change::default()
        });
        let number = |uid: Uid| before.binary_search(&uid).ok().and_then(|at| u32::try_from(at + 1).ok());
        if !change.removed.is_empty() {
            let remove_from = context.told(&change.removed, number);
            updates.before.push(Untagged::Esearch(Esearch { remove_from, ..context.line() }));
        }
        if !change.added.is_empty() {
            let new = change
                .new
                .iter()
                .filter_map(|uid| place.view.number(*uid).map(|number| Target { number, uid: *uid }));
            updates.announce(context.items(), new.collect());
            let add_to = context.told(&change.added, |uid| place.view.number(uid));
            updates.after.push(Untagged::Esearch(Esearch { add_to, ..context.line() }));
        }
    }
    let mut held = 0;
    contexts.retain(|context| {
        held += context.len();
        if held > GROWN_MAX {
            let response = Response::no("The results have become too many to be remembered.");
            updates.after.push(Untagged::Status(response.with(Code::NoUpdate(context.tag.clone()))));
        }
        held <= GROWN_MAX
    });
    if let Some(selected) = &mut client.selected {
        selected.contexts = contexts;
    }
    updates
}
