//! One thing that is known of the messages of a mailbox, by UID: what they count for by one criterion of SORT, or all that
//! THREAD asks for. What a message says never changes, so what is in a column stays right.

use super::Depth;
use super::casemap::fold;
use super::facts::Facts;
use super::subject::{Kind as SubjectKind, Subject};
use super::symbols::Symbols;
use super::thread::Threaded;
use crate::seek::seek;
use crate::view::Target;
use imap_proto::By;
use imap_proto::command::SortKey;
use storage::Uid;

/// What a column is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum About {
    Arrival,
    Date,
    Size,
    Subject,
    From,
    To,
    Cc,
    DisplayFrom,
    DisplayTo,
    Threads,
}

/// What is known of one message.
pub(super) enum Fact {
    Number(i64),
    /// Folded; the empty one comes first.
    Text(String),
    Thread(Box<ThreadFact>),
}

pub(super) struct ThreadFact {
    sent: i64,
    received: i64,
    /// Base subject, folded.
    subject: String,
    kind: SubjectKind,
    id: Option<String>,
    references: Vec<String>,
}

impl About {
    /// `None`: no message tells it by itself.
    pub(super) fn of(key: SortKey) -> Option<Self> {
        Some(match key {
            SortKey::Arrival => Self::Arrival,
            SortKey::Date => Self::Date,
            SortKey::Size => Self::Size,
            SortKey::Subject => Self::Subject,
            SortKey::From => Self::From,
            SortKey::To => Self::To,
            SortKey::Cc => Self::Cc,
            SortKey::DisplayFrom => Self::DisplayFrom,
            SortKey::DisplayTo => Self::DisplayTo,
            SortKey::Relevancy => return None,
        })
    }

    /// What has to be looked at.
    pub(super) fn depth(self) -> Depth {
        if matches!(self, Self::Arrival | Self::Size) { Depth::Row } else { Depth::Keys }
    }

    pub(super) fn fact(self, facts: &Facts) -> Fact {
        Fact::Text(match self {
            Self::Arrival => return Fact::Number(facts.received),
            Self::Date => return Fact::Number(facts.sent()),
            Self::Size => return Fact::Number(i64::try_from(facts.size).unwrap_or(i64::MAX)),
            Self::Subject => fold(&Subject::new(&facts.subject()).base),
            Self::From => fold(&facts.mailbox("from")),
            Self::To => fold(&facts.mailbox("to")),
            Self::Cc => fold(&facts.mailbox("cc")),
            Self::DisplayFrom => fold(&facts.display("from")),
            Self::DisplayTo => fold(&facts.display("to")),
            Self::Threads => return Fact::Thread(Box::new(ThreadFact::of(facts))),
        })
    }
}

impl ThreadFact {
    fn of(facts: &Facts) -> Self {
        let subject = Subject::new(&facts.subject());
        Self {
            sent: facts.sent(),
            received: facts.received,
            subject: fold(&subject.base),
            kind: subject.kind,
            id: facts.message_id(),
            references: facts.references(),
        }
    }
}

/// What is known so far, ascending by UID.
#[derive(Clone, Debug, Default)]
pub(crate) enum Column {
    #[default]
    Empty,
    Numbers(Vec<(Uid, i64)>),
    Texts(Texts),
    Threads(Threads),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    known: Vec<(Uid, u32)>,
    symbols: Symbols,
    /// All symbols in the order of their texts, and the place of each in it.
    order: Vec<u32>,
    ranks: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Threads {
    known: Vec<Linked>,
    subjects: Symbols,
    ids: Symbols,
    /// The references of all messages.
    references: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Linked {
    uid: Uid,
    subject: Option<u32>,
    id: Option<u32>,
    /// Of its references.
    first: u32,
    count: u8,
    kind: SubjectKind,
    sent: i64,
    received: i64,
}

impl Column {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Numbers(known) => known.len(),
            Self::Texts(texts) => texts.known.len(),
            Self::Threads(threads) => threads.known.len(),
        }
    }

    /// About how much memory it takes.
    pub(super) fn octets(&self) -> usize {
        let inner = match self {
            Self::Empty => 0,
            Self::Numbers(known) => known.capacity() * size_of::<(Uid, i64)>(),
            Self::Texts(texts) => {
                (texts.known.capacity() * 2 + texts.order.capacity() + texts.ranks.capacity())
                    * size_of::<u32>()
                    + texts.symbols.octets()
            }
            Self::Threads(threads) => {
                threads.known.capacity() * size_of::<Linked>()
                    + threads.references.capacity() * size_of::<u32>()
                    + threads.subjects.octets()
                    + threads.ids.octets()
            }
        };
        size_of::<Self>() + inner
    }

    /// Those of `targets`, which ascend, that are not in it.
    pub(super) fn missing(&self, targets: &[Target]) -> Vec<Target> {
        let mut missing = targets.to_vec();
        let mut at = 0;
        missing.retain(|target| match self.seek(at, target.uid) {
            Ok(found) => {
                at = found + 1;
                false
            }
            Err(next) => {
                at = next;
                true
            }
        });
        missing
    }

    fn seek(&self, from: usize, uid: Uid) -> Result<usize, usize> {
        match self {
            Self::Empty => Err(0),
            Self::Numbers(known) => seek(known, from, uid, |entry| entry.0),
            Self::Texts(texts) => seek(&texts.known, from, uid, |entry| entry.0),
            Self::Threads(threads) => seek(&threads.known, from, uid, |entry| entry.uid),
        }
    }

    /// What each of `targets`, which ascend, counts for: a smaller number comes first. `None`: it is gone.
    pub(super) fn values(&self, targets: &[Target]) -> Vec<Option<i64>> {
        let mut at = 0;
        let value = |target: &Target| {
            let found = self.seek(at, target.uid);
            at = found.map_or_else(|next| next, |found| found + 1);
            match (self, found.ok()?) {
                (Self::Numbers(known), at) => Some(known[at].1),
                (Self::Texts(texts), at) => Some(i64::from(texts.ranks[texts.known[at].1 as usize])),
                _ => None,
            }
        };
        targets.iter().map(value).collect()
    }

    /// Those of `targets`, which ascend, that are not gone, with all that THREAD asks for.
    pub(super) fn threaded(&self, targets: &[Target], by: By) -> Vec<Threaded<'_>> {
        let Self::Threads(threads) = self else { return Vec::new() };
        let mut at = 0;
        let mut found = Vec::with_capacity(targets.len());
        for target in targets {
            match self.seek(at, target.uid) {
                Ok(there) => {
                    found.push(threads.threaded(there, target.name(by)));
                    at = there + 1;
                }
                Err(next) => at = next,
            }
        }
        found
    }

    /// Adds what was not known; all facts are of one kind. Takes a moment where there are many.
    pub(super) fn add(&mut self, facts: Vec<(Uid, Fact)>) {
        for (uid, fact) in facts {
            self.push(uid, fact);
        }
        // What is there is in order and most of what comes is behind it: sorting that costs one look at each.
        match self {
            Self::Empty => {}
            Self::Numbers(known) => known.sort_by_key(|entry| entry.0),
            Self::Texts(texts) => texts.arrange(),
            Self::Threads(threads) => threads.known.sort_by_key(|entry| entry.uid),
        }
    }

    fn push(&mut self, uid: Uid, fact: Fact) {
        match (&mut *self, fact) {
            (Self::Numbers(known), Fact::Number(number)) => known.push((uid, number)),
            (Self::Texts(texts), Fact::Text(text)) => {
                let symbol = texts.symbols.number(&text);
                texts.known.push((uid, symbol));
            }
            (Self::Threads(threads), Fact::Thread(fact)) => threads.push(uid, &fact),
            (_, fact) => {
                *self = match &fact {
                    Fact::Number(_) => Self::Numbers(Vec::new()),
                    Fact::Text(_) => Self::Texts(Texts::default()),
                    Fact::Thread(_) => Self::Threads(Threads::default()),
                };
                self.push(uid, fact);
            }
        }
    }
}

impl Texts {
    fn arrange(&mut self) {
        self.known.sort_by_key(|entry| entry.0);
        let known = self.order.len();
        self.order.extend((known..self.symbols.len()).filter_map(|symbol| u32::try_from(symbol).ok()));
        self.order.sort_by(|a, b| self.symbols.text(*a).cmp(self.symbols.text(*b)));
        self.ranks.resize(self.order.len(), 0);
        for (rank, symbol) in (0..).zip(&self.order) {
            self.ranks[*symbol as usize] = rank;
        }
    }
}

impl Threads {
    fn push(&mut self, uid: Uid, fact: &ThreadFact) {
        let first = u32::try_from(self.references.len()).unwrap_or(u32::MAX);
        // No more are ever read of one message.
        let references = &fact.references[..fact.references.len().min(usize::from(u8::MAX))];
        for id in references {
            let symbol = self.ids.number(id);
            self.references.push(symbol);
        }
        self.known.push(Linked {
            uid,
            subject: (!fact.subject.is_empty()).then(|| self.subjects.number(&fact.subject)),
            id: fact.id.as_ref().map(|id| self.ids.number(id)),
            first,
            count: u8::try_from(references.len()).unwrap_or(u8::MAX),
            kind: fact.kind,
            sent: fact.sent,
            received: fact.received,
        });
    }

    fn threaded(&self, at: usize, name: u32) -> Threaded<'_> {
        let linked = &self.known[at];
        let first = linked.first as usize;
        let references = self.references.get(first..first + usize::from(linked.count)).unwrap_or_default();
        let Linked { subject, id, kind, sent, received, .. } = *linked;
        Threaded { name, sent, received, subject, kind, id, references }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(uids: &[Uid]) -> Vec<Target> {
        (1..).zip(uids).map(|(number, uid)| Target { number, uid: *uid }).collect()
    }

    #[test]
    fn what_is_added_in_any_order_is_found_and_ranked() {
        let mut column = Column::default();
        assert_eq!(column.missing(&targets(&[3, 5])).len(), 2);
        assert_eq!(column.values(&targets(&[3])), [None]);
        let text = |text: &str| Fact::Text(text.to_owned());
        column.add(vec![(5, text("m")), (9, text("b"))]);
        column.add(vec![(3, text("z")), (7, text("m")), (12, text(""))]);
        let all = targets(&[1, 3, 5, 7, 9, 12, 13]);
        let missing: Vec<Uid> = column.missing(&all).iter().map(|target| target.uid).collect();
        assert_eq!((missing.as_slice(), column.len()), (&[1, 13][..], 5));
        assert_eq!(
            column.values(&all),
            [None, Some(3), Some(2), Some(2), Some(1), Some(0), None],
            "z, m, m, b and nothing"
        );
        // A text between the others moves those behind it.
        column.add(vec![(13, text("a"))]);
        assert_eq!(column.values(&targets(&[5, 9, 12, 13])), [Some(3), Some(2), Some(0), Some(1)]);
    }

    #[test]
    fn references_stay_with_their_messages() {
        let fact = |id: &str, references: &[&str]| {
            Fact::Thread(Box::new(ThreadFact {
                sent: 1,
                received: 2,
                subject: String::new(),
                kind: SubjectKind::Original,
                id: Some(id.to_owned()),
                references: references.iter().map(|id| (*id).to_owned()).collect(),
            }))
        };
        let mut column = Column::default();
        column.add(vec![(4, fact("a", &[])), (8, fact("b", &["a"]))]);
        column.add(vec![(6, fact("c", &["a", "b"]))]);
        let found = column.threaded(&targets(&[4, 5, 6, 8]), By::Uid);
        let lists: Vec<(u32, Vec<u32>)> =
            found.iter().map(|message| (message.name, message.references.to_vec())).collect();
        assert_eq!(lists, [(4, vec![]), (6, vec![0, 1]), (8, vec![0])]);
        assert_eq!(found.iter().map(|message| message.id).collect::<Vec<_>>(), [Some(0), Some(2), Some(1)]);
        assert!(found.iter().all(|message| message.subject.is_none()));
    }
}
