//! The selected mailbox of a session: whose it is, what may be done in it, and how it is kept up to date.

use crate::client::Client;
use crate::flags;
use crate::gallery::Viewed;
use crate::notify::Place;
use crate::search::context::Context;
use crate::view::View;
use imap_proto::command::Access;
use imap_proto::{Code, Response, Untagged};
use std::future::pending;
use storage::{AccountId, Error, Flags, KEYWORDS_MAX, MailboxId, ModSeq, Rights, Stored, Uid, UidSet};
use tokio::sync::watch;
use tracing::warn;

/// Any of these makes a mailbox one that can be written to (RFC 4314 §5.2): the flags are the same for all who share it.
const WRITING: Rights = Rights::INSERT.or(Rights::EXPUNGE).or(CHANGING);
/// Those that let flags be changed.
pub(crate) const CHANGING: Rights = Rights::SEEN.or(Rights::WRITE).or(Rights::DELETE_MESSAGES);

/// Said when the selected mailbox is gone.
pub(crate) const DELETED: &str = "The selected mailbox was deleted.";

/// The selected mailbox.
pub(crate) struct Selected {
    pub(crate) mailbox: MailboxId,
    /// Whose it is.
    pub(crate) owner: AccountId,
    /// Its name as the client writes it.
    pub(crate) name: String,
    /// What the client asked for.
    pub(crate) asked: Access,
    /// What it may do, as of `version`.
    pub(crate) rights: Rights,
    /// What [`storage::Store::rights_version`] said.
    pub(crate) version: u64,
    /// The bell of its owner, if that is somebody else.
    pub(crate) bell: Option<watch::Receiver<ModSeq>>,
    pub(crate) shared: Viewed,
    pub(crate) view: View,
    /// What `$` stands for (RFC 9051 §6.4.4.1).
    pub(crate) saved: UidSet,
    /// Whether the last HIGHESTMODSEQ told was less than the truth, since an EXPUNGE is held back.
    pub(crate) told_less: bool,
    /// Searches whose changes are told.
    pub(crate) contexts: Vec<Context>,
}

impl Selected {
    /// Whether anything can be changed.
    pub(crate) fn access(&self) -> Access {
        match self.asked {
            Access::ReadWrite if self.rights.has_any(WRITING) => Access::ReadWrite,
            _ => Access::ReadOnly,
        }
    }

    /// Whether a change needs no right that is missing.
    pub(crate) fn may(&self, needed: Rights) -> bool {
        self.access() == Access::ReadWrite && self.rights.contains(needed)
    }

    /// The flags that can be changed for good, `\*` for new keywords as long as there is room (RFC 9051 §7.1).
    pub(crate) fn permanent_flags(&self, keywords: &[String]) -> Vec<String> {
        if self.access() == Access::ReadOnly {
            return Vec::new();
        }
        let allowed = self.rights.flags();
        let is_allowed = |name: &String| match flags::system_flag(name) {
            Some(flag) => allowed.contains(flag),
            None => self.rights.contains(Rights::WRITE),
        };
        let mut names: Vec<String> = flags::all(keywords).into_iter().filter(is_allowed).collect();
        if keywords.len() < KEYWORDS_MAX && self.rights.contains(Rights::WRITE) {
            names.push("\\*".to_owned());
        }
        names
    }

    /// Of some flags and keywords those that may be changed.
    pub(crate) fn allowed(&self, flags: Flags, keywords: Vec<String>) -> (Flags, Vec<String>) {
        allowed(self.rights, flags, keywords)
    }
}

/// Of some flags and keywords those that these rights allow to be set (RFC 4314 §4).
pub(crate) fn allowed(rights: Rights, flags: Flags, keywords: Vec<String>) -> (Flags, Vec<String>) {
    let keywords = if rights.contains(Rights::WRITE) { keywords } else { Vec::new() };
    (flags & rights.flags(), keywords)
}

/// Waits for the bell of the owner, if there is one to wait for.
pub(crate) async fn rung(selected: Option<&mut Selected>) {
    if let Some(bell) = selected.and_then(|selected| selected.bell.as_mut())
        && bell.changed().await.is_ok()
    {
        return;
    }
    pending().await
}

/// Whether the session may go on with its mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Stands,
    /// It was said good bye.
    Lost,
}

impl Client {
    /// Looks again at what may be done in the selected mailbox, if rights have changed anywhere. Who may not read it any
    /// more is sent away; others hear which flags they can change now (RFC 4314 §5.1.1).
    pub(crate) async fn review(&mut self) -> Standing {
        let version = self.house.store.rights_version();
        let Some(selected) = self.selected.as_ref().filter(|selected| selected.version != version) else {
            return Standing::Stands;
        };
        let Some(reader) = self.account_id() else { return Standing::Stands };
        let rights = match self.house.store.reach_id(reader, selected.mailbox).await {
            Ok(reached) => self.masked(reached.rights),
            Err(Error::NoSuchMailbox(_)) => {
                self.session.bye(None, DELETED);
                return Standing::Lost;
            }
            Err(error) => {
                // Nothing is told or done that may not be allowed any more.
                warn!(%error, "the rights on the mailbox could not be read");
                self.session.bye(Some("UNAVAILABLE"), "The mail store cannot be used now; come back later.");
                return Standing::Lost;
            }
        };
        if !rights.contains(Rights::READ) {
            self.session.bye(None, "The selected mailbox may not be read any more.");
            return Standing::Lost;
        }
        let Some(selected) = &mut self.selected else { return Standing::Stands };
        selected.version = version;
        if selected.rights != rights {
            let keywords = selected.shared.look().keywords.clone();
            let before = (selected.permanent_flags(&keywords), selected.access());
            selected.rights = rights;
            let now = (selected.permanent_flags(&keywords), selected.access());
            self.tell_rights(before, now);
        }
        Standing::Stands
    }

    fn tell_rights(&mut self, before: (Vec<String>, Access), (flags, access): (Vec<String>, Access)) {
        let mut lines = Vec::new();
        if flags != before.0 {
            let code = Code::PermanentFlags(flags);
            lines.push(Response::ok("What may be changed has changed.").with(code));
        }
        if access != before.1 {
            self.session.set_access(access);
            lines.push(match access {
                Access::ReadWrite => Response::ok("The mailbox can be changed now.").word("READ-WRITE"),
                Access::ReadOnly => Response::ok("Nothing can be changed any more.").word("READ-ONLY"),
            });
        }
        for line in lines {
            // Only EXPUNGE can be too early.
            let _ = self.session.tell(&Untagged::Status(line));
        }
    }

    /// The session itself has put messages into a mailbox.
    pub(crate) fn filed(&mut self, mailbox: MailboxId, uids: impl Iterator<Item = Uid>, modseq: ModSeq) {
        let is_here = self.selected.as_ref().is_some_and(|selected| selected.mailbox == mailbox);
        let place = if is_here { Place::Selected } else { Place::Elsewhere };
        if let Some(watch) = &mut self.watch {
            watch.filed(mailbox, place, uids, modseq);
        }
    }

    /// Brings the shared picture up to the bell, and up to `modseq` of the owner's account if that is newer.
    pub(crate) async fn refresh(&mut self, modseq: ModSeq) -> Result<(), Error> {
        let Some(account) = &mut self.account else { return Ok(()) };
        let own = *account.bell.borrow_and_update();
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let rung = match &mut selected.bell {
            None => own,
            Some(bell) => *bell.borrow_and_update(),
        };
        selected.shared.refresh(&self.house.store, rung.max(modseq)).await
    }

    /// The same after flags were stored in the selected mailbox.
    pub(crate) async fn take_over(&mut self, stored: &Stored) -> Result<(), Error> {
        if let Some(selected) = &self.selected {
            selected.shared.take_over(stored).await;
        }
        self.refresh(stored.modseq).await
    }
}
