//! SELECT, EXAMINE, CLOSE and UNSELECT.

use super::resync;
use crate::client::{Client, Outcome};
use crate::flags;
use crate::object;
use crate::reach::{Denied, Needed, Reached};
use crate::refusal;
use crate::selected::Selected;
use crate::view::View;
use imap_proto::command::{Access, Select};
use imap_proto::{Code, Response, Untagged};
use storage::{AccountId, Error, Flags, Mailbox, MailboxKind, Rights, UidSet, Which};

pub(super) async fn run(client: &mut Client, account: AccountId, asked: Select) -> Outcome {
    client.selected = None;
    let mailbox = match open(client, account, &asked.mailbox, asked.access).await {
        Ok(mailbox) => mailbox,
        Err(denied) => return Ok(denied.response()),
    };
    announce(client, &mailbox);
    if let Some(resync) = asked.resync.filter(|resync| resync.uidvalidity == mailbox.uidvalidity)
        && let Err(response) = resync::catch_up(client, &resync).await?
    {
        client.selected = None;
        return Ok(response);
    }
    let access = client.selected.as_ref().map_or(Access::ReadOnly, Selected::access);
    Ok(match access {
        Access::ReadWrite => Response::ok("Selected.").word("READ-WRITE"),
        Access::ReadOnly => Response::ok("Selected; nothing can be changed.").word("READ-ONLY"),
    })
}

async fn open(client: &mut Client, account: AccountId, name: &str, asked: Access) -> Result<Mailbox, Denied> {
    let own = client.account.as_mut().map_or(0, |account| *account.bell.borrow_and_update());
    let version = client.house.store.rights_version();
    let needed = Needed::All(Rights::READ);
    let mut reached = client.reach(name, needed).await?;
    let mut bell = None;
    if reached.mailbox.account != account {
        bell = Some(client.house.store.watch(reached.mailbox.account));
        // Again: what changed before the bell was heard.
        reached = client.reach(name, needed).await?;
    }
    if reached.mailbox.kind == MailboxKind::NoSelect {
        return Err(Denied::Store(Error::NotSelectable(reached.mailbox.name)));
    }
    if bell.is_some() && client.session.is_rev2() {
        reached.mailbox.has_children = client.sees_below(&reached).await.map_err(Denied::Store)?;
    }
    let Reached { mailbox, rights, .. } = reached;
    let house = &client.house;
    let rung = bell.as_mut().map_or(own, |bell| *bell.borrow_and_update());
    let shared = house.pictures.open(&house.store, &mailbox, rung).await.map_err(Denied::Store)?;
    let view = View::new(&shared.look());
    client.selected = Some(Selected {
        mailbox: mailbox.id,
        owner: mailbox.account,
        name: mailbox.name.clone(),
        asked,
        rights,
        version,
        bell,
        shared,
        view,
        saved: UidSet::new(),
        told_less: false,
        contexts: Vec::new(),
    });
    Ok(mailbox)
}

/// What SELECT tells (RFC 9051 §6.3.2); RECENT and UNSEEN only to those who have not moved on (RFC 3501 §6.3.1).
fn announce(client: &mut Client, mailbox: &Mailbox) {
    let (rev2, uid_only) = (client.session.is_rev2(), client.session.is_uid_only());
    let Some(selected) = &mut client.selected else { return };
    let mut lines = Vec::new();
    {
        // Other sessions bring the picture up to date at any moment: all that is told here is of one and the same.
        let picture = selected.shared.look();
        selected.view = View::new(&picture);
        let known = flags::all(&picture.keywords);
        let permanent = selected.permanent_flags(&picture.keywords);
        lines.push(Untagged::Flags(known));
        lines.push(Untagged::Exists(selected.view.len()));
        let code = |code, text: &'static str| Untagged::Status(Response::ok(text).with(code));
        if !rev2 {
            lines.push(Untagged::Recent(0));
            let unseen = (1..).zip(&picture.marks).find(|(_, mark)| !mark.flags.contains(Flags::SEEN));
            // A message number, which UIDONLY does not know (RFC 9586 §3).
            if let Some((number, _)) = unseen.filter(|_| !uid_only) {
                lines.push(code(Code::Unseen(number), "The first message that is not seen."));
            }
        }
        lines.push(code(Code::PermanentFlags(permanent), "Flags that are kept."));
        lines.push(code(Code::UidNext(picture.uidnext), "The next UID."));
        lines.push(code(Code::UidValidity(mailbox.uidvalidity), "UIDs are valid."));
        lines.push(code(Code::HighestModSeq(selected.view.complete()), "Changes are counted."));
        lines.push(code(Code::MailboxId(object::mailbox(mailbox.id)), "Its name for good."));
    }
    if rev2 {
        lines.push(Untagged::List(super::list::listed(mailbox)));
    }
    for line in lines {
        // Only EXPUNGE can be too early.
        let _ = client.session.tell(&line);
    }
}

/// CLOSE expunges without a word, unless the mailbox was selected read-only (RFC 9051 §6.4.1) or that is not allowed
/// (RFC 4314 §4).
pub(super) async fn close(client: &mut Client) -> Response {
    if let Some(selected) = client.selected.take()
        && selected.may(Rights::EXPUNGE)
    {
        let done = client.house.store.expunge(selected.mailbox, &UidSet::all(), Which::Deleted).await;
        match done {
            Ok(_) | Err(Error::NoSuchMailbox(_)) => {}
            Err(error) => {
                client.selected = Some(selected);
                return refusal::response(&error);
            }
        }
    }
    Response::ok("Closed.")
}

pub(super) fn unselect(client: &mut Client) -> Response {
    client.selected = None;
    Response::ok("No mailbox is selected now.")
}
