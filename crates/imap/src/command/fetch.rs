//! FETCH (RFC 9051 §6.4.5). Structure and envelope come as they were stored at delivery; bodies are streamed.

use super::{not_selected, some_are_gone, targets};
use crate::body::{self, Body, HEADER_MAX};
use crate::client::{Client, Gone, Outcome};
use crate::flags;
use crate::literal;
use crate::refusal;
use crate::view::{Target, uids};
use imap_proto::command::{Access, By, FetchItem, Partial, Peek, Rfc822, Section, SectionText};
use imap_proto::fetch::{FetchLine, binary_name, binary_size_name, section_name};
use imap_proto::{Response, Set};
use storage::{Columns, FlagChange, FlagMode, Flags, Row, UidSet};
use tracing::warn;

/// Most messages of one read from the store, where only small things are asked for.
const PAGE: usize = 1000;
/// The same where octets of the messages are read.
const PAGE_OF_BODIES: usize = 100;
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
    items: Vec<FetchItem>,
    columns: Columns,
    marking: Marking,
}

/// What went wrong with single messages; told at the end.
#[derive(Default)]
struct Faults {
    gone: bool,
    unreadable: bool,
    unknown_encoding: bool,
}

pub(super) async fn run(client: &mut Client, set: &Set, by: By, items: &[FetchItem]) -> Outcome {
    let Some(selected) = &client.selected else { return Ok(not_selected()) };
    let targets = match targets(selected, set, by) {
        Ok(targets) => targets,
        Err(response) => return Ok(response),
    };
    let plan = Plan::new(items, by, selected.access);
    let mut faults = Faults::default();
    if plan.items.iter().all(|item| matches!(item, FetchItem::Uid | FetchItem::Flags)) {
        from_picture(client, &plan, &targets, &mut faults).await?;
    } else if let Err(response) = from_store(client, &plan, &targets, &mut faults).await? {
        return Ok(response);
    }
    Ok(match faults {
        Faults { unreadable: true, .. } => {
            Response::no("Some messages could not be read; tell the postmaster.").word("SERVERBUG")
        }
        Faults { unknown_encoding: true, .. } => {
            Response::no("The transfer encoding of a part is not known.").word("UNKNOWN-CTE")
        }
        Faults { gone: true, .. } => some_are_gone(),
        Faults { .. } => Response::ok("Fetched."),
    })
}

impl Plan {
    fn new(asked: &[FetchItem], by: By, access: Access) -> Self {
        let mut items: Vec<FetchItem> = Vec::with_capacity(asked.len() + 1);
        if by == By::Uid {
            items.push(FetchItem::Uid);
        }
        for item in asked {
            if !items.contains(item) {
                items.push(item.clone());
            }
        }
        let columns = items.iter().fold(Columns::NONE, |columns, item| columns | needed(item));
        let shows = items.iter().any(|item| match item {
            FetchItem::Section { peek, .. } | FetchItem::Binary { peek, .. } => *peek == Peek::MarkSeen,
            FetchItem::Rfc822(part) => *part != Rfc822::Header,
            _ => false,
        });
        let marking = if shows && access == Access::ReadWrite { Marking::Seen } else { Marking::No };
        Self { items, columns, marking }
    }
}

fn needed(item: &FetchItem) -> Columns {
    match item {
        FetchItem::Uid | FetchItem::Flags | FetchItem::InternalDate | FetchItem::Size => Columns::NONE,
        FetchItem::Envelope => Columns::ENVELOPE,
        FetchItem::Body | FetchItem::BodyStructure => Columns::BODYSTRUCTURE,
        FetchItem::Section { .. }
        | FetchItem::Rfc822(_)
        | FetchItem::Binary { .. }
        | FetchItem::BinarySize { .. } => Columns::MESSAGE | Columns::PARTS,
    }
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
    let out = client.session.output();
    for target in targets {
        let Some(mark) = picture.mark(target.uid) else {
            faults.gone = true;
            continue;
        };
        let mut line = FetchLine::begin(target.number, out);
        for item in &plan.items {
            match item {
                FetchItem::Uid => line.number(out, "UID", u64::from(target.uid)),
                _ => line.flags(out, &flags::names(mark.flags, mark.keywords, &picture.keywords)),
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
    let mut rest = uids(targets);
    let mut found = 0;
    let most = if plan.columns.contains(Columns::MESSAGE) { PAGE_OF_BODIES } else { PAGE };
    while !rest.is_empty() {
        let Some(selected) = &client.selected else { return Ok(Err(not_selected())) };
        let page = client.house.store.fetch(selected.mailbox, &rest, plan.columns, most).await;
        let rows = match page {
            Ok(rows) => rows,
            Err(error) => return Ok(Err(refusal::response(&error))),
        };
        let Some(last) = rows.last().map(|row| row.uid) else { break };
        found += rows.len();
        rest = rest.after(last);
        let seen = mark_seen(client, plan, &rows).await;
        for row in rows {
            message(client, plan, row, &seen, faults).await?;
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
        Ok(stored) => client.refresh(stored.modseq).await,
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

/// One `* n FETCH (…)`.
async fn message(
    client: &mut Client,
    plan: &Plan,
    mut row: Row,
    seen: &UidSet,
    faults: &mut Faults,
) -> Result<(), Gone> {
    let Some(selected) = &mut client.selected else { return Ok(()) };
    let Some(number) = selected.view.number(row.uid) else { return Ok(()) };
    let names: Vec<String> = {
        let picture = selected.shared.look();
        let Some(mark) = picture.mark(row.uid) else {
            faults.gone = true;
            return Ok(());
        };
        if seen.contains(row.uid) || plan.items.contains(&FetchItem::Flags) {
            selected.view.knows(row.uid, mark.modseq);
        }
        let names = flags::names(mark.flags, mark.keywords, &picture.keywords);
        names.into_iter().map(str::to_owned).collect()
    };
    if !repair(&mut row, plan, client).await {
        faults.unreadable = true;
        return Ok(());
    }
    let body = if plan.columns.contains(Columns::MESSAGE) {
        let Some(body) = Body::take(&mut row).await else {
            faults.unreadable = true;
            return Ok(());
        };
        Some(body)
    } else {
        None
    };
    let mut line = FetchLine::begin(number, client.session.output());
    if seen.contains(row.uid) && !plan.items.contains(&FetchItem::Flags) {
        line.flags(client.session.output(), &names);
    }
    for item in &plan.items {
        match &body {
            Some(body) if needed(item).contains(Columns::MESSAGE) => {
                body_item(client, &mut line, item, body, faults).await?;
            }
            _ => small_item(client, &mut line, item, &row, &names),
        }
    }
    line.end(client.session.output());
    client.relieve().await
}

/// Finds envelope and structure of a message that was filed without them. False: it cannot be read.
async fn repair(row: &mut Row, plan: &Plan, client: &Client) -> bool {
    let lacks = |wanted: Columns, column: &Option<Vec<u8>>| {
        plan.columns.contains(wanted) && column.as_ref().is_none_or(Vec::is_empty)
    };
    if !lacks(Columns::ENVELOPE, &row.envelope) && !lacks(Columns::BODYSTRUCTURE, &row.bodystructure) {
        return true;
    }
    let Some(selected) = &client.selected else { return false };
    let Ok(Some(message)) = client.house.store.message(selected.mailbox, row.uid).await else { return false };
    let Some(analysis) = body::analyse(&message).await else { return false };
    row.envelope = Some(analysis.envelope);
    row.bodystructure = Some(analysis.bodystructure);
    true
}

/// What needs no octets of the message.
fn small_item(client: &mut Client, line: &mut FetchLine, item: &FetchItem, row: &Row, names: &[String]) {
    let out = client.session.output();
    match item {
        FetchItem::Uid => line.number(out, "UID", u64::from(row.uid)),
        FetchItem::Flags => line.flags(out, names),
        FetchItem::Size => line.number(out, "RFC822.SIZE", row.size),
        FetchItem::InternalDate => {
            line.string(out, "INTERNALDATE", mail::date::print_internal(row.received).as_bytes());
        }
        FetchItem::Envelope => line.item(out, "ENVELOPE", row.envelope.as_deref().unwrap_or(b"NIL")),
        FetchItem::BodyStructure => {
            line.item(out, "BODYSTRUCTURE", row.bodystructure.as_deref().unwrap_or(b"NIL"));
        }
        FetchItem::Body => {
            let structure = row.bodystructure.as_deref().unwrap_or(b"NIL");
            line.item(out, "BODY", &mail::mime::body(structure));
        }
        _ => {}
    }
}

/// What is made of the octets of the message.
async fn body_item(
    client: &mut Client,
    line: &mut FetchLine,
    item: &FetchItem,
    body: &Body,
    faults: &mut Faults,
) -> Result<(), Gone> {
    match item {
        FetchItem::Section { section, partial, .. } => {
            let name = section_name(section, *partial);
            section_item(client, line, &name, body, (section, *partial)).await
        }
        FetchItem::Rfc822(which) => {
            let (name, what) = match which {
                Rfc822::Whole => ("RFC822", SectionText::Whole),
                Rfc822::Header => ("RFC822.HEADER", SectionText::Header),
                Rfc822::Text => ("RFC822.TEXT", SectionText::Text),
            };
            let section = Section { part: Vec::new(), what };
            section_item(client, line, name, body, (&section, None)).await
        }
        FetchItem::Binary { part, partial, .. } => {
            binary_item(client, line, body, (part, *partial), faults).await
        }
        FetchItem::BinarySize { part } => {
            let len = match body.parts().part(part) {
                Some(part) => literal::measure(body, part).await.ok().flatten().map(|decoded| decoded.len),
                None => Some(0),
            };
            faults.unknown_encoding |= len.is_none();
            line.number(client.session.output(), &binary_size_name(part), len.unwrap_or(0));
            Ok(())
        }
        _ => Ok(()),
    }
}

async fn section_item(
    client: &mut Client,
    line: &mut FetchLine,
    name: &str,
    body: &Body,
    (section, partial): (&Section, Option<Partial>),
) -> Result<(), Gone> {
    let Some(range) = body.range(section) else {
        line.item(client.session.output(), name, b"NIL");
        return Ok(());
    };
    let chosen = match &section.what {
        SectionText::HeaderFields(names) | SectionText::HeaderFieldsNot(names) => {
            let Ok(header) = body.read_range(&range, HEADER_MAX).await else {
                line.item(client.session.output(), name, b"NIL");
                return Ok(());
            };
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            match &section.what {
                SectionText::HeaderFields(_) => mail::header::only(&header, &names),
                _ => mail::header::except(&header, &names),
            }
        }
        _ => return literal::send_range(client, line, name, body, &literal::cut(&range, partial)).await,
    };
    let cut = literal::cut(&(0..chosen.len() as u64), partial);
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    literal::send(client, line, name, &chosen[index(cut.start)..index(cut.end)]).await
}

/// A part without its transfer encoding; the whole message as it is (RFC 3516 §4.2).
async fn binary_item(
    client: &mut Client,
    line: &mut FetchLine,
    body: &Body,
    (path, partial): (&[u32], Option<Partial>),
    faults: &mut Faults,
) -> Result<(), Gone> {
    let name = binary_name(path, partial);
    if path.is_empty() {
        let section = Section { part: Vec::new(), what: SectionText::Whole };
        return section_item(client, line, &name, body, (&section, partial)).await;
    }
    let Some(part) = body.parts().part(path) else {
        line.item(client.session.output(), &name, b"NIL");
        return Ok(());
    };
    match literal::measure(body, part).await {
        Ok(Some(decoded)) => {
            literal::send_decoded(client, line, &name, (body, part), (decoded, partial)).await
        }
        other => {
            faults.unknown_encoding |= other.is_ok();
            faults.unreadable |= other.is_err();
            line.item(client.session.output(), &name, b"NIL");
            Ok(())
        }
    }
}
