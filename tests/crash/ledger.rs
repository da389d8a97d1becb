//! What the clients were promised, and when; what they asked for without hearing an answer.

use crate::log::Place;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Something that was asked for and perhaps answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Read before it was asked: nothing of it was done before.
    pub(crate) begun: Place,
    /// Read after the answer was heard: all of it was promised by then.
    pub(crate) answered: Option<Place>,
}

impl Asked {
    pub(crate) fn is_promised(&self, cut: Place) -> bool {
        self.answered.is_some_and(|answered| answered <= cut)
    }

    pub(crate) fn may_be(&self, cut: Place) -> bool {
        self.begun < cut
    }
}

/// A message that was given to a door.
#[derive(Clone)]
pub(crate) struct Delivery {
    pub(crate) asked: Asked,
    pub(crate) token: String,
    /// Accounts whose INBOX it goes to.
    pub(crate) inboxes: Vec<&'static str>,
    /// It is to be carried on as well.
    pub(crate) goes_out: bool,
}

/// A message in a mailbox: its token, its flags and keywords.
pub(crate) type Entry = (String, BTreeSet<String>);

/// A mailbox that only one client works on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Box {
    pub(crate) validity: Option<u32>,
    /// No UID from here on was given out.
    pub(crate) next: u32,
    /// The highest mod-sequence that was told; it may have grown since.
    pub(crate) modseq: u64,
    pub(crate) messages: BTreeMap<u32, Entry>,
}

pub(crate) type Boxes = BTreeMap<String, Box>;

/// A command of such a client, and what its mailboxes hold once it is done.
pub(crate) struct Step {
    pub(crate) asked: Asked,
    pub(crate) after: Boxes,
}

/// A client with mailboxes of its own, whose names begin alike.
pub(crate) struct Filing {
    pub(crate) account: &'static str,
    pub(crate) prefix: String,
    pub(crate) steps: Vec<Step>,
}

/// What a reader of INBOX was shown.
pub(crate) struct Shown {
    pub(crate) at: Place,
    pub(crate) validity: u32,
    pub(crate) next: u32,
    pub(crate) modseq: u64,
}

/// A message of INBOX that a reader took away.
pub(crate) struct Removal {
    pub(crate) asked: Asked,
    pub(crate) token: String,
}

/// All of it.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(crate) accounts: Vec<(&'static str, Asked)>,
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) filings: Vec<Filing>,
    pub(crate) shown: Vec<Shown>,
    /// UIDs of INBOX that a reader was shown, with the token.
    pub(crate) uids: Vec<(Place, u32, String)>,
    pub(crate) removals: Vec<Removal>,
    /// Tokens that the other server took, or refused for good, and the place before it said so.
    pub(crate) taken: HashMap<String, Place>,
    pub(crate) refused: HashMap<String, Place>,
    /// Token to message.
    pub(crate) texts: HashMap<String, Arc<str>>,
}

impl Ledger {
    pub(crate) fn join(&mut self, other: Self) {
        self.accounts.extend(other.accounts);
        self.deliveries.extend(other.deliveries);
        self.filings.extend(other.filings);
        self.shown.extend(other.shown);
        self.uids.extend(other.uids);
        self.removals.extend(other.removals);
        self.texts.extend(other.texts);
    }

    /// Places of all answers.
    pub(crate) fn answers(&self) -> Vec<Place> {
        let steps = self.filings.iter().flat_map(|filing| &filing.steps).map(|step| step.asked);
        let deliveries = self.deliveries.iter().map(|delivery| delivery.asked);
        let removals = self.removals.iter().map(|removal| removal.asked);
        steps.chain(deliveries).chain(removals).filter_map(|asked| asked.answered).collect()
    }
}
