//! What became of mailboxes that nobody has selected, from one look at them to the next: pure, two scenes go in and
//! responses come out (RFC 5465 §5).

use crate::command::list::listed;
use imap_proto::command::{Event, EventGroup, Filter, Source, StatusItem};
use imap_proto::response::Listed;
use imap_proto::{StatusValue, Untagged};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use storage::{AccountId, DELIMITER, Mailbox, MailboxId, MailboxKind, ModSeq, SpecialUse};

/// Whose a mailbox is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Own,
    Others,
}

/// A mailbox that the account can see.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) mailbox: Mailbox,
    pub(crate) whose: Whose,
    /// Whether its messages may be told of (RFC 5465 §5).
    pub(crate) readable: bool,
}

/// All that can be seen at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scene {
    pub(crate) items: BTreeMap<MailboxId, Item>,
    /// Names that are subscribed to and lead to nothing that can be seen.
    pub(crate) wishes: BTreeSet<String>,
    /// The newest mod-sequence of the mailboxes of each account.
    pub(crate) modseqs: HashMap<AccountId, ModSeq>,
}

/// Which events of one mailbox are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wants {
    /// MessageNew and MessageExpunge, which go together.
    pub(crate) messages: bool,
    pub(crate) flags: bool,
    pub(crate) names: bool,
    pub(crate) subscriptions: bool,
    pub(crate) metadata: bool,
}

impl Wants {
    fn add(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::MessageNew(_) | Event::MessageExpunge => self.messages = true,
                Event::FlagChange => self.flags = true,
                Event::MailboxName => self.names = true,
                Event::SubscriptionChange => self.subscriptions = true,
                Event::MailboxMetadataChange => self.metadata = true,
                Event::ServerMetadataChange | Event::AnnotationChange | Event::Unknown => {}
            }
        }
    }
}

/// What is wanted of a mailbox; several groups may speak of it (RFC 5465 §6).
pub(crate) fn wanted(groups: &[EventGroup], item: &Item) -> Wants {
    let mut wants = Wants::default();
    for EventGroup { filter, events } in groups {
        if let Filter::Others(source) = filter
            && is_meant(source, item.whose, &item.mailbox)
        {
            wants.add(events);
        }
    }
    wants
}

/// The same of a name without a mailbox that could be seen.
fn wanted_of_name(groups: &[EventGroup], name: &str) -> Wants {
    let mut wants = Wants::default();
    for EventGroup { filter, events } in groups {
        let is_meant = match filter {
            Filter::Others(Source::Subscribed) => true,
            Filter::Others(Source::Mailboxes(names)) => names.iter().any(|known| known == name),
            Filter::Others(Source::Subtree(names)) => {
                names.iter().any(|above| known_below(above, name) || above == name)
            }
            _ => false,
        };
        if is_meant {
            wants.add(events);
        }
    }
    wants
}

fn known_below(above: &str, name: &str) -> bool {
    name.strip_prefix(above).is_some_and(|rest| rest.starts_with(DELIMITER))
}

/// Whether a source means a mailbox (RFC 5465 §6, RFC 7377 §2.2). Not for the selected one as such.
pub(crate) fn is_meant(source: &Source, whose: Whose, mailbox: &Mailbox) -> bool {
    let below = |name: &String| {
        mailbox.name.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix(DELIMITER))
    };
    match source {
        Source::Selected => false,
        // What mail is delivered to: what is thought to be junk goes elsewhere.
        Source::Inboxes => mailbox.name == "INBOX" || mailbox.special_use == Some(SpecialUse::Junk),
        Source::Personal => whose == Whose::Own,
        Source::Subscribed => mailbox.subscribed,
        Source::Mailboxes(names) => names.contains(&mailbox.name),
        Source::Subtree(names) => names.iter().any(|name| *name == mailbox.name || below(name).is_some()),
        Source::SubtreeOne(names) => names
            .iter()
            .any(|name| *name == mailbox.name || below(name).is_some_and(|rest| !rest.contains(DELIMITER))),
    }
}

/// What the session did itself since it looked last, and need not hear.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Names that it made, took away, or subscribed to or not.
    pub(crate) names: HashSet<String>,
    /// How many messages it put into a mailbox, and the mod-sequence that they have.
    pub(crate) filed: HashMap<MailboxId, (u32, ModSeq)>,
}

/// What is told, and how.
pub(crate) struct Asking<'a> {
    pub(crate) groups: &'a [EventGroup],
    /// Its messages are told of in another way.
    pub(crate) selected: Option<MailboxId>,
    /// Whether HIGHESTMODSEQ is told.
    pub(crate) condstore: bool,
    pub(crate) own: &'a Own,
}

/// The responses that lead from one scene to the next.
pub(crate) fn changes(before: &Scene, now: &Scene, asking: &Asking<'_>) -> Vec<Untagged> {
    let mut lists = Lists { before, now, asking, told: BTreeSet::new(), lines: Vec::new() };
    let renamed = lists.renames();
    lists.comings_and_goings();
    lists.subscriptions(&renamed);
    lists.access();
    let mut lines = lists.lines;
    for (id, item) in now.items.iter().filter(|(id, _)| asking.selected != Some(**id)) {
        lines.extend(state(before.items.get(id), item, asking));
    }
    lines
}

/// The responses to news of the messages of mailboxes, which come into the scene. What is not in it cannot be seen.
pub(crate) fn changed(scene: &mut Scene, news: Vec<Mailbox>, asking: &Asking<'_>) -> Vec<Untagged> {
    let mut lines = Vec::new();
    for Mailbox { id, account, uidvalidity, uidnext, modseq, messages, unseen, deleted, size, .. } in news {
        scene.note(account, modseq);
        let Some(item) = scene.items.get_mut(&id) else { continue };
        let before = item.clone();
        // Its name is that which the account knows it by.
        let known = item.mailbox.clone();
        item.mailbox = Mailbox { uidvalidity, uidnext, modseq, messages, unseen, deleted, size, ..known };
        if asking.selected != Some(id) {
            lines.extend(state(Some(&before), item, asking));
        }
    }
    lines
}

/// STATUS of a mailbox whose messages changed (RFC 5465 §5.1, §5.2, §5.3).
fn state(before: Option<&Item>, item: &Item, asking: &Asking<'_>) -> Option<Untagged> {
    let Item { mailbox, readable, .. } = item;
    let wants = wanted(asking.groups, item);
    if !readable || !wants.messages || mailbox.kind == MailboxKind::NoSelect {
        return None;
    }
    // What could not be seen before is new as a whole, if there is anything in it.
    let before = before.filter(|before| before.readable).map(|before| &before.mailbox);
    let Some(before) = before else {
        return (mailbox.messages > 0).then(|| status(mailbox, wants, asking.condstore));
    };
    let counts = |mailbox: &Mailbox| (mailbox.uidvalidity, mailbox.uidnext, mailbox.messages);
    if counts(before) != counts(mailbox) {
        let is_own = asking.own.filed.get(&mailbox.id).is_some_and(|(count, modseq)| {
            counts(mailbox) == (before.uidvalidity, before.uidnext + count, before.messages + count)
                && mailbox.modseq == *modseq
        });
        return (!is_own).then(|| status(mailbox, wants, asking.condstore));
    }
    if before.modseq == mailbox.modseq || !wants.flags {
        return None;
    }
    let mut items = Vec::new();
    if asking.condstore {
        items.push(StatusItem::HighestModSeq);
    }
    if before.unseen != mailbox.unseen {
        items.push(StatusItem::Unseen);
    }
    if items.is_empty() {
        return None;
    }
    items.push(StatusItem::UidValidity);
    Some(line(mailbox, &items))
}

/// All that is told of the messages of a mailbox that is watched (RFC 5465 §3.1).
pub(crate) fn status(mailbox: &Mailbox, wants: Wants, condstore: bool) -> Untagged {
    let mut items = vec![StatusItem::Messages, StatusItem::UidNext, StatusItem::UidValidity];
    if wants.flags {
        items.push(StatusItem::Unseen);
    }
    if condstore {
        items.push(StatusItem::HighestModSeq);
    }
    line(mailbox, &items)
}

fn line(mailbox: &Mailbox, items: &[StatusItem]) -> Untagged {
    let number = |item: &StatusItem| match item {
        StatusItem::Messages => u64::from(mailbox.messages),
        StatusItem::UidNext => u64::from(mailbox.uidnext),
        StatusItem::Unseen => u64::from(mailbox.unseen),
        StatusItem::HighestModSeq => mailbox.modseq,
        _ => u64::from(mailbox.uidvalidity),
    };
    let items = items.iter().map(|item| (*item, StatusValue::Number(number(item)))).collect();
    Untagged::MailboxStatus { name: mailbox.name.clone(), items }
}

/// A mailbox that is there but may not be read (RFC 5465 §3.1).
pub(crate) fn no_access(mailbox: &Mailbox) -> Untagged {
    let mut line = listed(mailbox);
    line.attributes.push("\\NoAccess".into());
    Untagged::List(line)
}

/// LIST responses on their way; each name is told once.
struct Lists<'a> {
    before: &'a Scene,
    now: &'a Scene,
    asking: &'a Asking<'a>,
    told: BTreeSet<String>,
    lines: Vec<Untagged>,
}

impl Lists<'_> {
    fn tell(&mut self, line: Listed) {
        if !self.asking.own.names.contains(&line.name) && self.told.insert(line.name.clone()) {
            self.lines.push(Untagged::List(line));
        }
    }

    fn names_wanted(&self, item: &Item) -> bool {
        wanted(self.asking.groups, item).names
    }

    /// Mailboxes with another name than before, but for those that went with one above them (RFC 5465 §5.4). Gives all
    /// old and new names.
    fn renames(&mut self) -> Vec<(String, String)> {
        let mut renamed: Vec<(&Item, &Item)> = Vec::new();
        for (id, item) in &self.now.items {
            if let Some(before) = self.before.items.get(id)
                && before.mailbox.name != item.mailbox.name
            {
                renamed.push((before, item));
            }
        }
        renamed.sort_unstable_by_key(|(before, _)| before.mailbox.name.as_str());
        let mut moved: Vec<(String, String)> = Vec::new();
        for (before, item) in renamed {
            let (from, to) = (&before.mailbox.name, &item.mailbox.name);
            let went_along = moved.iter().any(|(above, above_now)| {
                let rest = from.strip_prefix(above.as_str()).filter(|rest| rest.starts_with(DELIMITER));
                rest.is_some_and(|rest| to.strip_prefix(above_now.as_str()) == Some(rest))
            });
            moved.push((from.clone(), to.clone()));
            if !went_along && (self.names_wanted(before) || self.names_wanted(item)) {
                let line = Listed { old_name: Some(from.clone()), ..self.existing(&item.mailbox) };
                self.tell(line);
            }
        }
        moved
    }

    /// Mailboxes that came, or came into sight, and that are gone; and those right above them.
    fn comings_and_goings(&mut self) {
        let (before, now) = (self.before, self.now);
        let mut above = Vec::new();
        for (id, item) in &now.items {
            if !before.items.contains_key(id) && self.names_wanted(item) {
                above.push(item.mailbox.name.as_str());
                self.tell(self.existing(&item.mailbox));
            }
        }
        let names: HashSet<&str> = now.items.values().map(|item| item.mailbox.name.as_str()).collect();
        for (id, item) in &before.items {
            let name = item.mailbox.name.as_str();
            if !now.items.contains_key(id) && !names.contains(name) && self.names_wanted(item) {
                above.push(name);
                self.tell(self.missing(name));
            }
        }
        let own = &self.asking.own.names;
        let above: HashSet<&str> = above
            .into_iter()
            .filter(|name| !own.contains(*name))
            .filter_map(|name| name.rsplit_once(DELIMITER).map(|(parent, _)| parent))
            .collect();
        for item in now.items.values().filter(|item| above.contains(item.mailbox.name.as_str())) {
            if self.names_wanted(item) {
                self.tell(self.existing(&item.mailbox));
            }
        }
    }

    /// Names that were subscribed to, and that are not any more (RFC 5465 §5.5).
    fn subscriptions(&mut self, renamed: &[(String, String)]) {
        let (before, now) = (self.before, self.now);
        let (had, has) = (before.subscribed(), now.subscribed());
        let moved: HashSet<&str> =
            renamed.iter().flat_map(|(from, to)| [from.as_str(), to.as_str()]).collect();
        for name in had.symmetric_difference(&has).filter(|name| !moved.contains(**name)) {
            let find =
                |scene: &'_ Scene| scene.items.values().find(|item| item.mailbox.name == **name).cloned();
            let (old, new) = (find(before), find(now));
            let mut is_wanted = wanted_of_name(self.asking.groups, name).subscriptions;
            for item in old.iter().chain(&new) {
                is_wanted |= wanted(self.asking.groups, item).subscriptions;
            }
            if is_wanted {
                self.tell(match new {
                    Some(item) => self.existing(&item.mailbox),
                    None => self.missing(name),
                });
            }
        }
    }

    /// Mailboxes that may not be read any more, or again (RFC 5465 §5.9).
    fn access(&mut self) {
        let (before, now) = (self.before, self.now);
        for (id, item) in &now.items {
            let Some(old) = before.items.get(id).filter(|old| old.readable != item.readable) else {
                continue;
            };
            if !wanted(self.asking.groups, old).messages && !wanted(self.asking.groups, item).messages {
                continue;
            }
            let mut line = self.existing(&item.mailbox);
            if !item.readable {
                line.attributes.push("\\NoAccess".into());
            }
            self.tell(line);
        }
    }

    fn existing(&self, mailbox: &Mailbox) -> Listed {
        let mut line = listed(mailbox);
        if mailbox.subscribed {
            line.attributes.push("\\Subscribed".into());
        }
        line
    }

    fn missing(&self, name: &str) -> Listed {
        let mut attributes = vec!["\\NonExistent".into()];
        if self.now.wishes.contains(name) {
            attributes.push("\\Subscribed".into());
        }
        Listed { attributes, delimiter: Some(DELIMITER), name: name.to_owned(), ..Listed::default() }
    }
}

impl Scene {
    pub(crate) fn add(&mut self, id: MailboxId, item: Item) {
        self.note(item.mailbox.account, item.mailbox.modseq);
        self.items.insert(id, item);
    }

    fn note(&mut self, account: AccountId, modseq: ModSeq) {
        let known = self.modseqs.entry(account).or_default();
        *known = modseq.max(*known);
    }

    fn subscribed(&self) -> BTreeSet<&str> {
        let mailboxes = self.items.values().map(|item| &item.mailbox);
        let mailboxes = mailboxes.filter(|mailbox| mailbox.subscribed).map(|mailbox| mailbox.name.as_str());
        mailboxes.chain(self.wishes.iter().map(String::as_str)).collect()
    }
}

#[cfg(test)]
mod tests;
