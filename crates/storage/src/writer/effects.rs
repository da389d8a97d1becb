//! What follows a commit.

use crate::body::FileGuard;
use crate::ids::{AccountId, ModSeq};
use crate::wake::Rings;
use std::path::PathBuf;
use std::sync::Arc;

/// What follows a commit, and only a commit.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) rings: Rings,
    /// Files of bodies whose rows are in the transaction.
    pub(crate) keep: Vec<Arc<FileGuard>>,
    /// Files of bodies whose rows are gone with the transaction.
    pub(crate) unlink: Vec<PathBuf>,
    /// Something may have lost its last user.
    pub(crate) loose: bool,
    /// Accounts have come or gone, or have other limits.
    pub(crate) accounts: bool,
}

impl Effects {
    pub(crate) fn ring(&mut self, account: AccountId, modseq: ModSeq) {
        self.rings.accounts.push((account, modseq));
    }

    pub(crate) fn ring_credential(&mut self, name: &str) {
        self.rings.credentials.push(name.to_owned());
    }

    pub(super) fn join(&mut self, other: Self) {
        self.rings.accounts.extend(other.rings.accounts);
        self.rings.names.extend(other.rings.names);
        self.rings.queue |= other.rings.queue;
        self.rings.rights |= other.rings.rights;
        self.rings.hurry |= other.rings.hurry;
        self.rings.credentials.extend(other.rings.credentials);
        self.keep.extend(other.keep);
        self.unlink.extend(other.unlink);
        self.loose |= other.loose;
        self.accounts |= other.accounts;
    }
}
