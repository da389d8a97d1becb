//! What the messages of one APPEND take together: a bound for the spool, and the quota of whoever they are for, which is asked
//! before much comes in. What holds in the end is said by the transaction that files them.

use crate::client::{Account, Client};
use crate::command::append::fault::Fault;
use crate::command::limit;
use crate::refusal;
use crate::transit::Held;
use imap_proto::Response;
use mail::blob::MEMORY_MAX;
use mail::{Blob, Pile};
use std::io;
use storage::{AccountId, Allowance, Error, Usage};

/// Most messages of one APPEND.
pub(super) const MESSAGES_MAX: u64 = 10_000;
/// Most octets of all of them.
const OCTETS_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Up to so many octets nobody asks for the quota ahead: they take no room on the disk.
const UNASKED_MAX: u64 = MEMORY_MAX as u64;
/// Most octets of small messages that wait in memory; others wait together in one file.
const WAITING_MAX: u64 = 1024 * 1024;
/// Most large messages that wait in a file each.
const FILES_MAX: usize = 8;
/// Most octets of what was made of the messages, which waits in memory.
const SHAPES_MAX: u64 = 32 * 1024 * 1024;

/// What one command has taken so far.
pub(super) struct Budget {
    owner: AccountId,
    /// Octets of the message that goes for the one that comes, if it is of the same account (REPLACE).
    freed: Option<u64>,
    taken: Usage,
    allowance: Option<Allowance>,
    held: Held,
}

impl Budget {
    /// For messages that `by` brings to a mailbox of `owner`.
    pub(super) fn new(client: &Client, by: &Account, owner: AccountId, freed: Option<u64>) -> Self {
        let held = client.house.transit.hold(by.id, client.config.max_in_transit, by.append_limit);
        Self { owner, freed, taken: Usage { octets: 0, messages: 1 }, allowance: None, held }
    }

    /// A further message begins.
    pub(super) fn more(&mut self, client: &Client) -> Result<(), Response> {
        self.taken.messages += 1;
        if self.taken.messages > MESSAGES_MAX {
            return Err(too_many());
        }
        // All or nothing (RFC 9738 §3.1).
        limit::count(client, self.taken.messages)
    }

    /// So many octets are about to come.
    pub(super) async fn take(&mut self, client: &Client, octets: u64) -> Result<(), Response> {
        self.taken.octets = self.taken.octets.saturating_add(octets);
        if self.taken.octets > OCTETS_MAX {
            return Err(too_many());
        }
        self.held.has_room(octets).map_err(|full| Fault::Full(full).response())?;
        if self.taken.octets <= UNASKED_MAX || self.freed.is_some_and(|freed| self.taken.octets <= freed) {
            return Ok(());
        }
        let allowance = match self.allowance {
            Some(allowance) => allowance,
            None => {
                let asked = client.house.store.allowance(self.owner).await;
                *self.allowance.insert(asked.map_err(|error| refusal::of_target(&error))?)
            }
        };
        let goes = Usage { octets: self.freed.unwrap_or(0), messages: u64::from(self.freed.is_some()) };
        if allowance.without(goes).has_room_for(self.taken) {
            return Ok(());
        }
        Err(refusal::response(&Error::OverQuota(self.owner.to_string())))
    }

    /// So many octets are there: what is announced and does not come takes nobody's room.
    pub(super) fn comes(&mut self, octets: u64) -> Result<(), Fault> {
        self.held.grow(octets).map_err(Fault::Full)
    }
}

pub(super) fn too_many() -> Response {
    Response::no("These are too many messages for one command.").word("LIMIT")
}

/// Where whole messages wait for the last one.
pub(super) struct Waiting {
    small: u64,
    files: usize,
    shapes: u64,
    pile: Pile,
}

impl Waiting {
    pub(super) fn new(client: &Client) -> Self {
        Self { small: 0, files: 0, shapes: 0, pile: Pile::new(client.house.store.spool_dir()) }
    }

    /// What was made of a further message takes so many octets.
    pub(super) fn hold(&mut self, shape: u64) -> Result<(), Response> {
        self.shapes += shape;
        if self.shapes > SHAPES_MAX { Err(too_many()) } else { Ok(()) }
    }

    /// The same octets, where they may wait.
    pub(super) fn put(&mut self, blob: Blob) -> io::Result<Blob> {
        if blob.as_memory().is_some() {
            self.small += blob.len();
        } else {
            self.files += 1;
        }
        if self.small <= WAITING_MAX && self.files <= FILES_MAX { Ok(blob) } else { self.pile.add(&blob) }
    }
}
