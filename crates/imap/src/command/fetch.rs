//! FETCH (RFC 9051 §6.4.5). Structure and envelope come as they were stored at delivery; bodies are streamed.

mod pages;
mod show;

use super::{limit, not_selected, resync, some_are_gone, targets};
use crate::client::{Client, Gone, Outcome};
use crate::flags;
use crate::refusal;
use crate::view::Target;
use imap_proto::command::{By, Fetch, FetchItem, Peek, Rfc822, Section, SectionText};
use imap_proto::fetch::{FetchLine, binary_name, binary_size_name, section_name};
use imap_proto::{Ranges, Response, Set};
use pages::Pages;
use storage::{Columns, FlagChange, FlagMode, Flags, Rights, Row, UidSet};
use tracing::warn;

/// Messages whose flags are written in one go, without reading from the store.
const FLAGS_AT_ONCE: usize = 500;

/// Whether FETCH marks what it shows as seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Marking {
    No,
    Seen,
}

/// What a FETCH needs.
struct Plan {
    items: Vec<Item>,
    columns: Columns,
    marking: Marking,
}

/// What is told of each message.
struct Item {
    what: FetchItem,
    /// Of a section, as it is echoed.
    name: String,
}

/// What went wrong with single messages; told at the end.
#[derive(Default)]
struct Faults {
    gone: bool,
    unreadable: bool,
    unknown_encoding: bool,
}

pub(super) async fn run(client: &mut Client, fetch: Fetch) -> Outcome {
    if let (true, Some(since)) = (fetch.vanished, fetch.changed_since)
        && let Err(response) = tell_vanished(client, &fetch.set, since).await
    {
        return Ok(response);
    }
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    let mut targets = match targets(selected, &fetch.set, fetch.by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    if let Some(slice) = fetch.slice {
        if let Err(response) = limit::count(client, slice.room()) {
            return Ok(response);
        }
        targets = targets[slice.of(targets.len())].to_vec();
    }
    if let Some(since) = fetch.changed_since {
        let picture = selected.shared.look();
        targets.retain(|target| picture.mark(target.uid).is_some_and(|mark| mark.modseq > since));
    }
    let limited = limit::newest(client, &mut targets);
    let marking = if selected.may(Rights::SEEN) { Marking::Seen } else { Marking::No };
    let mut plan = Plan::new(&fetch, marking);
    if client.session.is_uid_only() && !fetch.items.contains(&FetchItem::Uid) {
        // The line itself begins with it (RFC 9586 §3.3).
        plan.items.retain(|item| item.what != FetchItem::Uid);
    }
    let mut faults = Faults::default();
    if plan.is_small() {
        from_picture(client, &plan, &targets, &mut faults).await?;
    } else if let Err(response) = from_store(client, &plan, &targets, &mut faults).await? {
        return Ok(response);
    }
    let response = match faults {
        Faults { unreadable: true, .. } => {
            Response::no("Some messages could not be read; tell the postmaster.").word("CORRUPTION")
        }
        Faults { unknown_encoding: true, .. } => {
            Response::no("The transfer encoding of a part is not known.").word("UNKNOWN-CTE")
        }
        Faults { gone: true, .. } => some_are_gone(),
        Faults { .. } => Response::ok("Fetched."),
    };
    Ok(limit::tagged(client, response, limited))
}

/// What is gone of `set` (RFC 7162 §3.2.6). `*` means all there ever was, as the client's last message may be gone.
async fn tell_vanished(client: &mut Client, set: &Set, since: u64) -> Result<(), Response> {
    let changes = resync::changes(client, since).await?;
    let Some(selected) = &client.selected else { return Err(not_selected()) };
    let known = match set {
        Set::Saved => Ranges::new(selected.saved.ranges().iter().copied()),
        Set::Ranges(_) => set.resolve(changes.mailbox.uidnext.saturating_sub(1).max(1)),
    };
    resync::tell_vanished(client, &changes, &known, 0);
    Ok(())
}

/// Some items of messages that nobody asked for (RFC 5465 §5.2); nothing is marked as seen.
pub(crate) async fn announce(
    client: &mut Client,
    mut items: Vec<FetchItem>,
    targets: &[Target],
) -> Result<(), Gone> {
    if client.session.is_uid_only() {
        // The line itself begins with it (RFC 9586 §3.3).
        items.retain(|item| *item != FetchItem::Uid);
    }
    let plan = Plan::of(items, Marking::No);
    let mut faults = Faults::default();
    if plan.is_small() {
        return from_picture(client, &plan, targets, &mut faults).await;
    }
    if let Err(response) = from_store(client, &plan, targets, &mut faults).await? {
        warn!(reason = %response.text, "new messages could not be told of");
    }
    Ok(())
}

impl Plan {
    /// Whether the picture has all that is asked for.
    fn is_small(&self) -> bool {
        let small = |item: &Item| matches!(item.what, FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq);
        self.items.iter().all(small)
    }

    /// `allowed` is what may be marked at all (RFC 4314 §4).
    fn new(fetch: &Fetch, allowed: Marking) -> Self {
        let mut items: Vec<FetchItem> = Vec::with_capacity(fetch.items.len() + 2);
        if fetch.by == By::Uid {
            items.push(FetchItem::Uid);
        }
        // RFC 7162 §3.1.4.1
        let modseq = fetch.changed_since.map(|_| FetchItem::ModSeq);
        for item in fetch.items.iter().chain(&modseq) {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        let shows = items.iter().any(|item| match item {
            FetchItem::Section { peek, .. } | FetchItem::Binary { peek, .. } => *peek == Peek::MarkSeen,
            FetchItem::Rfc822(part) => *part != Rfc822::Header,
            _ => false,
        });
        let marking = if shows { allowed } else { Marking::No };
        Self::of(items, marking)
    }

    fn of(items: Vec<FetchItem>, marking: Marking) -> Self {
        let mut columns = items.iter().fold(Columns::NONE, |columns, item| columns | needed(item));
        if columns.contains(Columns::MESSAGE) {
            // The header is in it.
            columns = columns - Columns::HEADER - Columns::PREFIX;
        }
        if marking == Marking::No && items.iter().all(is_beside_the_row) {
            columns = columns | Columns::BARE;
        }
        let named = |what| Item { name: name(&what), what };
        Self { items: items.into_iter().map(named).collect(), columns, marking }
    }

    fn needs_body(&self) -> bool {
        self.items.iter().any(Item::needs_body)
    }

    /// Whether rows have all that is asked for, and nothing has to be looked for besides.
    fn is_at_hand(&self) -> bool {
        let beyond = [Columns::MESSAGE, Columns::HEADER, Columns::KEY_FIELDS];
        self.marking == Marking::No && !beyond.iter().any(|column| self.columns.contains(*column))
    }

    /// Whether the message was filed without its envelope or structure, and they are asked for.
    fn lacks_structure(&self, row: &Row) -> bool {
        let lacks = |wanted: Columns, column: &Option<Vec<u8>>| {
            self.columns.contains(wanted) && column.as_ref().is_none_or(Vec::is_empty)
        };
        lacks(Columns::ENVELOPE, &row.envelope) || lacks(Columns::BODYSTRUCTURE, &row.bodystructure)
    }

    fn asks(&self, item: &FetchItem) -> bool {
        self.items.iter().any(|asked| asked.what == *item)
    }
}

impl Item {
    /// Whether it is made of octets of the message.
    fn needs_body(&self) -> bool {
        let needed = needed(&self.what);
        needed.contains(Columns::MESSAGE) || needed.contains(Columns::HEADER)
    }
}

fn name(item: &FetchItem) -> String {
    match item {
        FetchItem::Section { section, partial, .. } => section_name(section, *partial),
        FetchItem::Binary { part, partial, .. } => binary_name(part, *partial),
        FetchItem::BinarySize { part } => binary_size_name(part),
        _ => String::new(),
    }
}

fn needed(item: &FetchItem) -> Columns {
    match item {
        FetchItem::Uid
        | FetchItem::Flags
        | FetchItem::ModSeq
        | FetchItem::EmailId
        | FetchItem::InternalDate
        | FetchItem::SaveDate
        | FetchItem::Size => Columns::NONE,
        FetchItem::ThreadId => Columns::KEY_FIELDS,
        FetchItem::Envelope => Columns::ENVELOPE,
        FetchItem::Body | FetchItem::BodyStructure => Columns::BODYSTRUCTURE,
        FetchItem::Section { section, .. } if is_header(section) => Columns::HEADER | Columns::PREFIX,
        FetchItem::Rfc822(Rfc822::Header) => Columns::HEADER | Columns::PREFIX,
        FetchItem::Section { .. }
        | FetchItem::Rfc822(_)
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize { .. }
        | FetchItem::Preview(_) => Columns::MESSAGE | Columns::PARTS,
    }
}

/// Whether it is found in the picture, or in what was made of the message, and the row is not asked.
fn is_beside_the_row(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Uid
            | FetchItem::Flags
            | FetchItem::ModSeq
            | FetchItem::Envelope
            | FetchItem::Body
            | FetchItem::BodyStructure
    )
}

/// Whether the header of the message is all that it takes.
fn is_header(section: &Section) -> bool {
    let of_header = matches!(
        section.what,
        SectionText::Header | SectionText::HeaderFields(_) | SectionText::HeaderFieldsNot(_)
    );
    of_header && section.part.is_empty()
}

/// Flags and UIDs alone: no look at the disk.
async fn from_picture(
    client: &mut Client,
    plan: &Plan,
    targets: &[Target],
    faults: &mut Faults,
) -> Result<(), Gone> {
    for some in targets.chunks(FLAGS_AT_ONCE) {
        write_marks(client, plan, some, faults);
        client.relieve().await?;
    }
    Ok(())
}

fn write_marks(client: &mut Client, plan: &Plan, targets: &[Target], faults: &mut Faults) {
    let Some(selected) = &client.selected else { return };
    let picture = selected.shared.look();
    let by_uid = client.session.is_uid_only();
    let out = client.session.output();
    let mut walk = picture.walk();
    for target in targets {
        let Some(mark) = walk.mark(target.uid) else {
            faults.gone = true;
            continue;
        };
        let mut line = match by_uid {
            true => FetchLine::begin_by_uid(target.uid, out),
            false => FetchLine::begin(target.number, out),
        };
        for item in &plan.items {
            match item.what {
                FetchItem::Uid => line.number(out, "UID", u64::from(target.uid)),
                FetchItem::ModSeq => line.modseq(out, mark.modseq),
                _ => line.flags(out, flags::names(mark.flags, mark.keywords, &picture.keywords)),
            }
        }
        line.end(out);
    }
}

/// Page by page from the store; nothing is held there while a slow client reads.
async fn from_store(
    client: &mut Client,
    plan: &Plan,
    targets: &[Target],
    faults: &mut Faults,
) -> Result<Result<(), Response>, Gone> {
    let Some(selected) = &client.selected else { return Ok(Err(not_selected())) };
    let mut pages = Pages::new(&client.house.store, selected.mailbox, plan.columns, targets);
    let (mut found, mut near) = (0, 0);
    while let Some(page) = pages.next().await {
        let (rows, targets) = match page {
            Ok(page) => page,
            Err(error) => return Ok(Err(refusal::response(&error))),
        };
        found += rows.len();
        let seen = mark_seen(client, plan, &rows).await;
        let (mut targets, mut rows) = (targets.iter(), rows.into_iter());
        while !rows.as_slice().is_empty() {
            let done = show::at_hand(client, plan, rows.as_slice(), &mut targets, &mut near, faults);
            if let Some(last) = done.checked_sub(1) {
                rows.nth(last);
                client.relieve().await?;
                continue;
            }
            // Both ascend.
            if let Some(row) = rows.next()
                && let Some(target) = targets.find(|target| target.uid == row.uid)
            {
                show::message(client, plan, (target.number, row), &seen, &mut near, faults).await?;
            }
        }
    }
    faults.gone |= found < targets.len();
    Ok(Ok(()))
}

/// Sets `\Seen` on what is about to be shown; gives those that did not have it. A store that takes no writes does
/// not keep anybody from reading.
async fn mark_seen(client: &mut Client, plan: &Plan, rows: &[Row]) -> UidSet {
    let unseen: UidSet =
        rows.iter().filter(|row| !row.flags.contains(Flags::SEEN)).map(|row| row.uid).collect();
    let Some(selected) = &client.selected else { return UidSet::new() };
    if plan.marking == Marking::No || unseen.is_empty() {
        return UidSet::new();
    }
    let change = FlagChange { mode: FlagMode::Add, flags: Flags::SEEN, keywords: Vec::new() };
    let stored = client.house.store.store_flags(selected.mailbox, &unseen, change, None).await;
    let refreshed = match stored {
        Ok(stored) => client.take_over(&stored).await,
        Err(error) => Err(error),
    };
    match refreshed {
        Ok(()) => unseen,
        Err(error) => {
            warn!(%error, "messages could not be marked as seen");
            UidSet::new()
        }
    }
}
