//! Which indexes have everything, as far as this process knows, so that a change of flags opens none of them.

use super::{Feeder, Mailbox};
use crate::error::Result;
use crate::ids::{AccountId, MailboxId};
use crate::search::database::Reached;
use std::collections::HashMap;

/// Most mailboxes that are remembered; with more all are forgotten, and their indexes are opened again.
const MAILBOXES_MAX: usize = 20_000;

/// For each account up to where its index has each mailbox.
#[derive(Default)]
pub(super) struct Followed {
    accounts: HashMap<AccountId, HashMap<MailboxId, Reached>>,
}

impl Followed {
    /// The index has everything of these mailboxes, which are all that the account has.
    pub(super) fn note(&mut self, account: AccountId, mailboxes: &[Mailbox]) {
        self.accounts.remove(&account);
        let known: usize = self.accounts.values().map(HashMap::len).sum();
        if known + mailboxes.len() > MAILBOXES_MAX {
            self.accounts.clear();
        }
        if mailboxes.len() <= MAILBOXES_MAX {
            let reached = mailboxes.iter().map(|mailbox| (mailbox.id, mailbox.now)).collect();
            self.accounts.insert(account, reached);
        }
    }

    /// The index is worked on, or lost: what was noted does not hold any more.
    pub(super) fn forget(&mut self, account: AccountId) {
        self.accounts.remove(&account);
    }

    /// The mailboxes in which flags may have changed, or messages may have gone, and up to where they were followed. `None`: more
    /// than that has happened, or the index is not known.
    pub(super) fn changed(
        &self,
        account: AccountId,
        mailboxes: &[Mailbox],
    ) -> Option<Vec<(MailboxId, Reached)>> {
        let known = self.accounts.get(&account).filter(|known| known.len() == mailboxes.len())?;
        let mut changed = Vec::new();
        for mailbox in mailboxes {
            let before = *known.get(&mailbox.id)?;
            if before.uid < mailbox.now.uid {
                return None;
            }
            if before.modseq != mailbox.now.modseq {
                changed.push((mailbox.id, before));
            }
        }
        Some(changed)
    }
}

impl Feeder {
    /// Whether the index needs nothing, which is so where only flags have changed.
    pub(super) async fn has_everything(
        &self,
        account: AccountId,
        mailboxes: &[Mailbox],
        followed: &Followed,
    ) -> Result<bool> {
        let Some(changed) = followed.changed(account, mailboxes) else { return Ok(false) };
        for (mailbox, before) in changed {
            if !self.vanished(mailbox, before).await?.is_empty() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailboxes(of: &[(i64, u32, u64)]) -> Vec<Mailbox> {
        let mailbox = |&(id, uid, modseq)| Mailbox { id: MailboxId(id), now: Reached { uid, modseq } };
        of.iter().map(mailbox).collect()
    }

    #[test]
    fn more_than_flags_is_for_the_index() {
        let account = AccountId(1);
        let mut followed = Followed::default();
        assert!(followed.changed(account, &[]).is_none());
        followed.note(account, &mailboxes(&[(1, 5, 10), (2, 0, 3)]));
        let ids = |of: &[(i64, u32, u64)]| {
            let changed = followed.changed(account, &mailboxes(of))?;
            Some(changed.into_iter().map(|(id, before)| (id.0, before.modseq)).collect::<Vec<_>>())
        };
        for (now, want) in [
            (&[(1, 5, 10), (2, 0, 3)][..], Some(vec![])),
            (&[(1, 5, 12), (2, 0, 3)], Some(vec![(1, 10)])),
            (&[(1, 6, 12), (2, 0, 3)], None),
            (&[(1, 5, 10), (3, 0, 3)], None),
            (&[(1, 5, 10)], None),
            (&[(1, 5, 10), (2, 0, 3), (3, 0, 1)], None),
        ] {
            assert_eq!(ids(now), want, "{now:?}");
        }
        assert!(followed.changed(AccountId(2), &mailboxes(&[])).is_none());
        let many: Vec<_> = (0..MAILBOXES_MAX as i64).map(|id| (id, 1, 1)).collect();
        followed.note(AccountId(2), &mailboxes(&many));
        assert!(followed.changed(account, &mailboxes(&[(1, 5, 10), (2, 0, 3)])).is_none());
        assert!(followed.changed(AccountId(2), &mailboxes(&many)).is_some());
    }
}
