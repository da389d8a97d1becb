//! What a session tells that is no answer: what others did in the selected mailbox, and what NOTIFY watches. At the end of
//! each command, in IDLE, and after NOTIFY at any time.

use crate::client::{Client, Gone};
use crate::command::updates;
use crate::hearing;
use crate::notify::{self, Watch};
use crate::selected::{DELETED, Standing};
use crate::view::{Expunges, Hears, Manner, ModSeqs, Naming};
use imap_proto::command::Command;
use imap_proto::server::Unasked;
use imap_proto::{Code, Response, Untagged};
use storage::{Error, ModSeq};
use tracing::warn;

/// What the command that is under way does to the selected mailbox.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It takes messages away, and hears which.
    Takes,
    Other,
}

pub(crate) fn doing(command: &Command) -> Doing {
    match command {
        Command::Expunge(_) | Command::Move { .. } => Doing::Takes,
        _ => Doing::Other,
    }
}

impl Client {
    /// Tells what there is to tell while no command is under way.
    pub(crate) async fn tell_unasked(&mut self) -> Result<(), Gone> {
        let unasked = self.watch.as_ref().map_or(Unasked::WithoutExpunges, Watch::unasked);
        self.session.hold(unasked);
        self.sync().await?;
        self.session.release();
        Ok(())
    }

    /// Tells what became of the selected mailbox, and of what NOTIFY watches besides, as far as it may be told now.
    pub(crate) async fn sync(&mut self) -> Result<(), Gone> {
        match self.refresh(0).await {
            Ok(()) => {}
            Err(Error::NoSuchMailbox(_) | Error::NoSuchAccount(_)) => {
                self.session.bye(None, DELETED);
                return Ok(());
            }
            Err(error) => {
                warn!(%error, "changes of the mailbox could not be read");
                return Ok(());
            }
        }
        hearing::tell(self).await;
        // Last: nothing is told after the right to read was taken away.
        if self.review().await == Standing::Lost {
            return Ok(());
        }
        self.tell_selected().await?;
        notify::tell(self).await
    }

    async fn tell_selected(&mut self) -> Result<(), Gone> {
        let manner = self.manner();
        let numbers = updates::numbers(self);
        let Some(selected) = &mut self.selected else { return Ok(()) };
        let last = selected.view.last();
        let lines = selected.view.apply(&selected.shared.look(), manner);
        let (behind, complete) = (selected.view.is_behind(), selected.view.complete());
        let less = std::mem::replace(&mut selected.told_less, behind);
        let mut updates = updates::update(self, &numbers).await;
        for line in std::mem::take(&mut updates.before).into_iter().chain(lines) {
            // Whether EXPUNGE may go was asked above; nothing else is ever too early.
            let _ = self.session.tell(&line);
        }
        notify::tell_new(self, last).await?;
        updates.tell_items(self).await?;
        for line in updates.after {
            let _ = self.session.tell(&line);
        }
        // RFC 7162 §3.2: who sees newer mod-sequences while an EXPUNGE is held back must not begin behind it.
        if self.session.is_condstore() && (behind || less) && manner.hears != Hears::Nothing {
            self.tell_modseq(complete);
        }
        Ok(())
    }

    /// How changes are to be told now.
    pub(crate) fn manner(&self) -> Manner {
        let session = &self.session;
        Manner {
            expunges: if session.may_expunge() { Expunges::Told } else { Expunges::HeldBack },
            naming: if session.is_qresync() || session.is_uid_only() { Naming::Uid } else { Naming::Number },
            modseqs: if session.is_condstore() { ModSeqs::Told } else { ModSeqs::Left },
            hears: match &self.watch {
                Some(watch) if self.doing == Doing::Other => watch.hears(),
                _ => Hears::All,
            },
        }
    }

    pub(crate) fn tell_modseq(&mut self, modseq: ModSeq) {
        let response = Response::ok("Begin from here next time.").with(Code::HighestModSeq(modseq));
        let _ = self.session.tell(&Untagged::Status(response));
    }
}
