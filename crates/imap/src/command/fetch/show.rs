//! One message of FETCH on its way out.

use super::{Faults, Item, Plan};
use crate::body::{self, Body, HEADER_MAX};
use crate::client::{Client, Gone};
use crate::downgrade;
use crate::flags;
use crate::literal;
use crate::object::{self, Thread};
use crate::preview;
use crate::selected::Selected;
use crate::view::Target;
use imap_proto::Session;
use imap_proto::command::{FetchItem, Partial, PreviewWhen, Rfc822, Section, SectionText};
use imap_proto::fetch::FetchLine;
use mail::mime::KeyFields;
use std::slice::Iter;
use storage::{Columns, ModSeq, Row, Uid, UidSet};

/// The first of `rows` of which everything is at hand, as many as the output has room for; `targets` has them all. Returns how
/// many it went over. To go on with [`message`] where that is none.
pub(super) fn at_hand(
    client: &mut Client,
    plan: &Plan,
    rows: &[Row],
    targets: &mut Iter<'_, Target>,
    near: &mut usize,
    faults: &mut Faults,
) -> usize {
    if !plan.is_at_hand() {
        return 0;
    }
    let Some(Selected { shared, view, .. }) = &mut client.selected else { return 0 };
    let (by_uid, told) = (client.session.is_uid_only(), plan.asks(&FetchItem::Flags));
    let picture = shared.look();
    let mut done = 0;
    for row in rows {
        if client.session.is_full() || plan.lacks_structure(row) {
            break;
        }
        done += 1;
        // Both ascend.
        let Some(target) = targets.find(|target| target.uid == row.uid) else { continue };
        let Some(mark) = picture.mark_near(row.uid, near) else {
            faults.gone = true;
            continue;
        };
        let mut flags = Vec::new();
        if told {
            view.knows(row.uid, mark.modseq);
            flags = flag_list(flags::names(mark.flags, mark.keywords, &picture.keywords));
        }
        let state = State { flags, modseq: mark.modseq, thread: Thread::Alone };
        let out = client.session.output();
        let mut line = match by_uid {
            true => FetchLine::begin_by_uid(row.uid, out),
            false => FetchLine::begin(target.number, out),
        };
        for item in &plan.items {
            small_item(&mut client.session, &mut line, &item.what, row, &state);
        }
        line.end(client.session.output());
    }
    done
}

/// One `* n FETCH (…)`.
pub(super) async fn message(
    client: &mut Client,
    plan: &Plan,
    (number, mut row): (u32, Row),
    seen: &UidSet,
    near: &mut usize,
    faults: &mut Faults,
) -> Result<(), Gone> {
    let Some(selected) = &mut client.selected else { return Ok(()) };
    let mut state = {
        let picture = selected.shared.look();
        let Some(mark) = picture.mark_near(row.uid, near) else {
            faults.gone = true;
            return Ok(());
        };
        let is_flagged = seen.contains(row.uid) || plan.asks(&FetchItem::Flags);
        if is_flagged {
            selected.view.knows(row.uid, mark.modseq);
        }
        let names = is_flagged.then(|| flags::names(mark.flags, mark.keywords, &picture.keywords));
        State { flags: names.map(flag_list).unwrap_or_default(), modseq: mark.modseq, thread: Thread::Alone }
    };
    if plan.columns.contains(Columns::KEY_FIELDS) {
        match thread(&row, client).await {
            Some(thread) => state.thread = thread,
            None => {
                faults.unreadable = true;
                return Ok(());
            }
        }
    }
    if !repair(&mut row, plan, client).await {
        faults.unreadable = true;
        return Ok(());
    }
    let body = if plan.columns.contains(Columns::MESSAGE) {
        Body::take(&mut row).await
    } else if plan.columns.contains(Columns::HEADER) {
        match Body::take_header(&mut row) {
            Some(header) => Some(header),
            None => whole(&row, client).await,
        }
    } else {
        None
    };
    if body.is_none() && plan.needs_body() {
        faults.unreadable = true;
        return Ok(());
    }
    let mut line = match client.session.is_uid_only() {
        true => FetchLine::begin_by_uid(row.uid, client.session.output()),
        false => FetchLine::begin(number, client.session.output()),
    };
    if seen.contains(row.uid) {
        tell_seen(client, &mut line, plan, row.uid, &state);
    }
    for item in &plan.items {
        match &body {
            Some(body) if item.needs_body() => {
                body_item(client, &mut line, item, body, faults).await?;
            }
            _ => small_item(&mut client.session, &mut line, &item.what, &row, &state),
        }
    }
    line.end(client.session.output());
    client.relieve().await
}

/// Flags and mod-sequence, as the picture has them: of a row that was read later they would tell too much.
struct State {
    /// As they are sent; empty if they are not to be told.
    flags: Vec<u8>,
    modseq: ModSeq,
    thread: Thread,
}

/// What FETCH did by itself: `\Seen` is new, and the client hears of it (RFC 9051 §6.4.5, RFC 7162 §3.2.4).
fn tell_seen(client: &mut Client, line: &mut FetchLine, plan: &Plan, uid: Uid, state: &State) {
    let asked = |item| plan.asks(&item);
    let condstore = client.session.is_condstore();
    let named = asked(FetchItem::Uid) || client.session.is_uid_only();
    let out = client.session.output();
    if !asked(FetchItem::Flags) {
        line.item(out, "FLAGS", &state.flags);
    }
    if condstore && !named {
        line.number(out, "UID", u64::from(uid));
    }
    if condstore && !asked(FetchItem::ModSeq) {
        line.modseq(out, state.modseq);
    }
}

fn flag_list<'n>(names: impl Iterator<Item = &'n str>) -> Vec<u8> {
    let mut list = vec![b'('];
    for name in names {
        if list.len() > 1 {
            list.push(b' ');
        }
        list.extend_from_slice(name.as_bytes());
    }
    list.push(b')');
    list
}

/// A message whose header is not kept apart.
async fn whole(row: &Row, client: &Client) -> Option<Body> {
    let selected = client.selected.as_ref()?;
    let columns = Columns::MESSAGE | Columns::PARTS;
    let rows = client.house.store.fetch(selected.mailbox, &UidSet::one(row.uid), columns, 1).await;
    Body::take(&mut rows.ok()?.pop()?).await
}

/// The thread of a message, by its stored key fields or by its header. `None`: it cannot be read.
async fn thread(row: &Row, client: &Client) -> Option<Thread> {
    if let Some(keys) = row.key_fields.as_deref().and_then(KeyFields::decode) {
        return Some(Thread::of(&keys));
    }
    let selected = client.selected.as_ref()?;
    let message = client.house.store.message(selected.mailbox, row.uid).await.ok()??;
    body::key_fields(&message).await.map(|keys| Thread::of(&keys))
}

/// Finds envelope and structure of a message that was filed without them. False: it cannot be read.
async fn repair(row: &mut Row, plan: &Plan, client: &Client) -> bool {
    if !plan.lacks_structure(row) {
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
fn small_item(session: &mut Session, line: &mut FetchLine, item: &FetchItem, row: &Row, state: &State) {
    let utf8 = session.is_utf8();
    let out = session.output();
    match item {
        FetchItem::Uid => line.number(out, "UID", u64::from(row.uid)),
        FetchItem::Flags => line.item(out, "FLAGS", &state.flags),
        FetchItem::ModSeq => line.modseq(out, state.modseq),
        FetchItem::EmailId => line.object_id(out, "EMAILID", &object::email(row.email)),
        FetchItem::ThreadId => {
            line.object_id(out, "THREADID", &state.thread.name(row.email));
        }
        FetchItem::Size => line.number(out, "RFC822.SIZE", row.size),
        FetchItem::InternalDate => {
            line.string(out, "INTERNALDATE", mail::date::print_internal(row.received).as_bytes());
        }
        FetchItem::SaveDate => {
            line.string(out, "SAVEDATE", mail::date::print_internal(row.saved).as_bytes());
        }
        FetchItem::Envelope => match row.envelope.as_deref().unwrap_or(b"NIL") {
            envelope if utf8 || envelope.is_ascii() => line.item(out, "ENVELOPE", envelope),
            envelope => line.item(out, "ENVELOPE", &downgrade::ascii(envelope.to_vec())),
        },
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
    Item { what, name }: &Item,
    body: &Body,
    faults: &mut Faults,
) -> Result<(), Gone> {
    match what {
        FetchItem::Section { section, partial, .. } => {
            section_item(client, line, name, body, (section, *partial)).await
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
            binary_item(client, line, (name, body), (part, *partial), faults).await
        }
        FetchItem::Preview(when) => {
            preview_item(client, line, body, *when).await;
            Ok(())
        }
        FetchItem::BinarySize { part } => {
            let len = match body.parts().part(part) {
                Some(part) => literal::measure(body, part).await.ok().flatten().map(|decoded| decoded.len),
                None => Some(0),
            };
            faults.unknown_encoding |= len.is_none();
            line.number(client.session.output(), name, len.unwrap_or(0));
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
    (name, body): (&str, &Body),
    (path, partial): (&[u32], Option<Partial>),
    faults: &mut Faults,
) -> Result<(), Gone> {
    if path.is_empty() {
        let section = Section { part: Vec::new(), what: SectionText::Whole };
        return section_item(client, line, name, body, (&section, partial)).await;
    }
    let Some(part) = body.parts().part(path) else {
        line.item(client.session.output(), name, b"NIL");
        return Ok(());
    };
    match literal::measure(body, part).await {
        Ok(Some(decoded)) => {
            literal::send_decoded(client, line, name, (body, part), (decoded, partial)).await
        }
        other => {
            faults.unknown_encoding |= other.is_ok();
            faults.unreadable |= other.is_err();
            line.item(client.session.output(), name, b"NIL");
            Ok(())
        }
    }
}

/// Some words of the text (RFC 8970 §3.2).
async fn preview_item(client: &mut Client, line: &mut FetchLine, body: &Body, when: PreviewWhen) {
    let text = match when {
        PreviewWhen::Lazy if !body.is_at_hand() => None,
        _ => Some(preview::of(body).await),
    };
    let out = client.session.output();
    match text {
        Some(text) => line.string(out, "PREVIEW", text.as_bytes()),
        None => line.item(out, "PREVIEW", b"NIL"),
    }
}
