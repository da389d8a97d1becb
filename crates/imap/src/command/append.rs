//! APPEND (RFC 9051 §6.3.12), of several messages too (RFC 3502), put together of pieces or not (RFC 4469), and REPLACE
//! (RFC 8508): messages go to the spool and through the scanner as they come in, and are promised when they are committed,
//! all together.

mod budget;
mod fault;

use super::catenate::{self, Found};
use super::not_selected;
use crate::body::PIECE;
use crate::client::{Client, Outcome};
use crate::flags;
use crate::literal::INSTEAD_OF_NUL;
use crate::progress::Progress;
use crate::reach::{Needed, no_right};
use crate::refusal;
use crate::selected::{Selected, allowed};
use budget::{Budget, Waiting};
use fault::Fault;
use imap_proto::command::{Append, Appended, By, Piece};
use imap_proto::sequence::Bound;
use imap_proto::{Answer, Code, Ranges, Response, Set, Untagged};
use mail::Blob;
use mail::blob::Spool;
use mail::mime::Scanner;
use storage::{AccountId, Columns, Error, MailboxId, MailboxKind, NewMessage, Rights, Shape, Uid, UidSet};
use tracing::{info, warn};

/// Most pieces of one message.
const PIECES_MAX: usize = 1000;

/// What REPLACE does to the message that goes (RFC 8508 §4.1).
const REPLACING: Rights = Rights::DELETE_MESSAGES.or(Rights::EXPUNGE);

/// Messages on their way in.
pub(crate) struct Incoming {
    mailbox: MailboxId,
    /// As the client writes it.
    name: String,
    /// The message of the selected mailbox that goes (REPLACE).
    replaces: Option<(MailboxId, Uid)>,
    whole: Vec<NewMessage>,
    waiting: Waiting,
    budget: Budget,
    current: Current,
}

impl Incoming {
    /// Whether a message of the selected mailbox goes.
    pub(crate) fn takes(&self) -> bool {
        self.replaces.is_some()
    }
}

/// The message that comes in now.
struct Current {
    flags: Vec<String>,
    date: i64,
    /// Octets of the pieces so far, and of the one that comes in.
    size: u64,
    /// Largest message for the account.
    limit: u64,
    pieces: usize,
    /// Whether the piece that comes in is a literal8.
    binary: bool,
    octets: Result<(Spool, Box<Scanner>), Fault>,
}

/// May the first message come?
pub(crate) async fn begin(client: &mut Client, head: Append) {
    client.incoming = None;
    let answer = admit(client, head).await;
    answered(client, answer);
}

/// May a further one come (RFC 3502)? A refusal is the end of them all.
pub(crate) async fn more(client: &mut Client, message: Appended) {
    let answer = match client.incoming.take() {
        None => Err(Response::bad("No message came in.")),
        Some(incoming) => next(client, incoming, message).await,
    };
    answered(client, answer);
}

/// May the message go on with these pieces (RFC 4469)? Likewise.
pub(crate) async fn go_on(client: &mut Client, pieces: Vec<Piece>) {
    let answer = match client.incoming.take() {
        None => Err(Response::bad("No message came in.")),
        Some(mut incoming) => incoming.add(client, pieces).await.map(|()| incoming),
    };
    answered(client, answer);
}

fn answered(client: &mut Client, answer: Result<Incoming, Response>) {
    let answer = match answer {
        Ok(incoming) => {
            client.incoming = Some(incoming);
            Answer::Go
        }
        Err(response) => Answer::Done(response),
    };
    client.session.answer(answer);
}

async fn next(client: &Client, mut incoming: Incoming, message: Appended) -> Result<Incoming, Response> {
    let (next, pieces) = current(client, message)?;
    incoming.go_on(client, next)?;
    incoming.add(client, pieces).await?;
    Ok(incoming)
}

async fn admit(client: &Client, head: Append) -> Result<Incoming, Response> {
    let replaces = match head.replaces {
        None => None,
        Some((by, number)) => {
            let selected = client.selected.as_ref().ok_or_else(not_selected)?;
            if !selected.may(REPLACING) {
                return Err(no_right());
            }
            Some((selected.mailbox, replaced(selected, by, number)?))
        }
    };
    let (current, pieces) = current(client, head.message)?;
    let needed = Needed::All(Rights::INSERT);
    let reached = client.reach(&head.mailbox, needed).await.map_err(|denied| denied.of_target())?;
    let mailbox = reached.mailbox;
    if mailbox.kind == MailboxKind::NoSelect {
        return Err(refusal::response(&Error::NotSelectable(mailbox.name)));
    }
    let freed = freed(client, mailbox.account, replaces).await.map_err(|error| refusal::response(&error))?;
    let Some(by) = &client.account else { return Err(Response::bad("Log in first.")) };
    let mut incoming = Incoming {
        mailbox: mailbox.id,
        name: head.mailbox,
        replaces,
        whole: Vec::new(),
        waiting: Waiting::new(client),
        budget: Budget::new(client, by, mailbox.account, freed),
        current,
    };
    incoming.add(client, pieces).await?;
    Ok(incoming)
}

/// Octets that REPLACE gives back to the account that gets the message.
async fn freed(
    client: &Client,
    owner: AccountId,
    replaces: Option<(MailboxId, Uid)>,
) -> Result<Option<u64>, Error> {
    let is_same = client.selected.as_ref().is_some_and(|selected| selected.owner == owner);
    let Some((mailbox, uid)) = replaces.filter(|_| is_same) else { return Ok(None) };
    let rows = client.house.store.fetch(mailbox, &UidSet::one(uid), Columns::NONE, 1).await?;
    Ok(rows.first().map(|row| row.size))
}

/// The message that REPLACE names.
fn replaced(selected: &Selected, by: By, number: Bound) -> Result<Uid, Response> {
    let targets = super::targets(selected, &Set::Ranges(vec![(number, number)]), by)?;
    let gone = || Response::no("There is no such message.").word("NONEXISTENT");
    targets.first().map(|target| target.uid).ok_or_else(gone)
}

/// A message of which nothing is there yet, and what it begins with.
fn current(client: &Client, message: Appended) -> Result<(Current, Vec<Piece>), Response> {
    let Some(account) = &client.account else { return Err(Response::bad("Log in first.")) };
    if let [Piece::Text { size: 0, .. }] = message.pieces[..] {
        return Err(empty());
    }
    let date = match &message.date {
        None => client.house.world.clock.unix(),
        Some(text) => match mail::date::parse_internal(text) {
            Some(stamp) => stamp.seconds,
            None => return Err(Response::bad("There is no such date.")),
        },
    };
    let octets = Ok((Spool::new(client.house.store.spool_dir()), Box::new(Scanner::new())));
    let limit = account.append_limit;
    let current = Current { flags: message.flags, date, size: 0, limit, pieces: 0, binary: false, octets };
    Ok((current, message.pieces))
}

fn empty() -> Response {
    Response::no("A message cannot be empty.").word("CANNOT")
}

impl Current {
    /// Adds what is in the store; what comes as a literal may come then.
    async fn add(
        &mut self,
        client: &Client,
        pieces: Vec<Piece>,
        budget: &mut Budget,
    ) -> Result<(), Response> {
        for piece in pieces {
            self.pieces += 1;
            if self.pieces > PIECES_MAX {
                return Err(Response::no("The message has too many pieces.").word("LIMIT"));
            }
            match piece {
                Piece::Text { size, binary } => {
                    self.grow(size)?;
                    budget.take(client, size).await?;
                    self.binary = binary;
                }
                Piece::Url(url) => {
                    let found = catenate::find(client, &url).await?;
                    self.grow(found.len())?;
                    budget.take(client, found.len()).await?;
                    budget.comes(found.len()).map_err(Fault::response)?;
                    self.copy(found).await?;
                }
            }
        }
        Ok(())
    }

    fn grow(&mut self, size: u64) -> Result<(), Response> {
        self.size = self.size.saturating_add(size);
        if self.size <= self.limit {
            return Ok(());
        }
        let text = format!("A message may have at most {} octets.", self.limit);
        Err(Response::no(text).word("TOOBIG"))
    }

    async fn copy(&mut self, found: Found) -> Result<(), Response> {
        let (body, range) = match found {
            Found::Octets(octets) => {
                self.push(&octets);
                return Ok(());
            }
            Found::Range(body, range) => (body, range),
        };
        let mut at = range.start;
        while at < range.end {
            let most = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(PIECE);
            let mut piece = match body.read(at, most).await {
                Ok(piece) if !piece.is_empty() => piece,
                _ => return Err(catenate::unreadable()),
            };
            at += piece.len() as u64;
            // As FETCH would tell it.
            piece.iter_mut().filter(|octet| **octet == 0).for_each(|octet| *octet = INSTEAD_OF_NUL);
            self.push(&piece);
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn push(&mut self, octets: &[u8]) {
        let Ok((spool, scanner)) = &mut self.octets else { return };
        if let Err(error) = spool.push(octets) {
            warn!(%error, "a message could not be spooled");
            self.octets = Err(Fault::Disk);
            return;
        }
        scanner.push(octets);
    }

    fn finish(self) -> Result<NewMessage, Response> {
        let (spool, scanner) = self.octets.map_err(Fault::response)?;
        if spool.is_empty() {
            return Err(empty());
        }
        let message = mail::Message::new(spool.finish());
        let (flags, keywords) = flags::split(&self.flags);
        Ok(NewMessage { message, shape: Shape::of(&scanner.finish()), flags, keywords, received: self.date })
    }
}

impl Incoming {
    async fn add(&mut self, client: &Client, pieces: Vec<Piece>) -> Result<(), Response> {
        self.current.add(client, pieces, &mut self.budget).await
    }

    /// The message is whole; `next` begins.
    fn go_on(&mut self, client: &Client, next: Current) -> Result<(), Response> {
        let mut whole = std::mem::replace(&mut self.current, next).finish()?;
        self.budget.more(client)?;
        self.waiting.hold(whole.shape.octets())?;
        let octets = std::mem::replace(&mut whole.message.received, Blob::from_bytes([].as_slice()));
        whole.message.received = self.waiting.put(octets).map_err(|error| {
            warn!(%error, "a message could not be spooled");
            Fault::Disk.response()
        })?;
        self.whole.push(whole);
        Ok(())
    }
}

/// Some octets of the message.
pub(crate) async fn push(client: &mut Client, octets: &[u8]) {
    let Some(Incoming { current, budget, .. }) = client.incoming.as_mut() else { return };
    if current.octets.is_ok() {
        let is_nul = current.binary && octets.contains(&0);
        match budget.comes(octets.len() as u64) {
            Err(fault) => current.octets = Err(fault),
            Ok(()) if is_nul => current.octets = Err(Fault::Nul),
            Ok(()) => current.push(octets),
        }
    }
    // Large messages come faster than a disk may be: let other sessions have their turn.
    tokio::task::yield_now().await;
}

/// The last message is whole.
pub(crate) async fn end(client: &mut Client) -> Outcome {
    let Some(incoming) = client.incoming.take() else { return Ok(Response::bad("No message came in.")) };
    let Incoming { mailbox, name, replaces, mut whole, current, .. } = incoming;
    match current.finish() {
        Ok(last) => whole.push(last),
        Err(response) => return Ok(response),
    }
    if let Err(response) = allow(client, (mailbox, &name), replaces.is_some(), &mut whole).await {
        return Ok(response);
    }
    let size: u64 = whole.iter().map(|new| new.message.len()).sum();
    let count = whole.len();
    if let Some(replaces) = replaces {
        return Ok(replace(client, mailbox, whole, replaces).await);
    }
    let store = client.house.store.clone();
    Ok(match client.wait_for(&Progress::default(), store.append(mailbox, whole)).await? {
        Ok(appended) => {
            client.filed(mailbox, appended.uids.iter().copied(), appended.modseq);
            info!(%mailbox, count, size, "messages appended");
            Response::ok("Appended.").with(append_uid(&appended))
        }
        Err(error) => refusal::of_target(&error),
    })
}

/// Messages may have taken hours to come: what counts are the rights when they are filed. Flags that may not be set are left
/// out (RFC 4314 §4).
async fn allow(
    client: &Client,
    (mailbox, name): (MailboxId, &str),
    replaces: bool,
    whole: &mut [NewMessage],
) -> Result<(), Response> {
    let reached = client.reach_id(mailbox, Needed::All(Rights::NONE)).await;
    let Some(reached) = reached.map_err(|error| refusal::response(&error))? else {
        return Err(refusal::of_target(&Error::NoSuchMailbox(name.to_owned())));
    };
    if !reached.rights.contains(Rights::INSERT) {
        return Err(match reached.rights.contains(Rights::LOOKUP) {
            true => no_right(),
            false => refusal::of_target(&Error::NoSuchMailbox(name.to_owned())),
        });
    }
    if replaces && !client.selected.as_ref().is_some_and(|selected| selected.may(REPLACING)) {
        return Err(no_right());
    }
    for new in whole {
        let keywords = std::mem::take(&mut new.keywords);
        (new.flags, new.keywords) = allowed(reached.rights, new.flags, keywords);
    }
    Ok(())
}

fn append_uid(appended: &storage::Appended) -> Code {
    let uids = Ranges::from_numbers(appended.uids.iter().copied());
    Code::AppendUid { validity: appended.uidvalidity, uids }
}

/// APPENDUID comes before the EXPUNGE, which is told when the command ends (RFC 8508 §4.3).
async fn replace(
    client: &mut Client,
    to: MailboxId,
    whole: Vec<NewMessage>,
    (from, uid): (MailboxId, Uid),
) -> Response {
    let Some(message) = whole.into_iter().next() else { return Response::bad("No message came in.") };
    let replaced = match client.house.store.replace(to, message, from, uid).await {
        Ok(Some(replaced)) => replaced,
        Ok(None) => return Response::no("The message is gone.").word("NONEXISTENT"),
        Err(error) => return refusal::of_target(&error),
    };
    info!(mailbox = %to, "message replaced");
    let code = append_uid(&replaced);
    let response = super::tell(client, Untagged::Status(Response::ok("Filed.").with(code)), "Replaced.");
    if let Err(error) = client.refresh(replaced.modseq).await {
        warn!(%error, "changes of the mailbox could not be read");
    }
    super::with_modseq(client, response, replaced.modseq)
}
