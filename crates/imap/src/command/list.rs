//! LIST, plain and extended, and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9).

use super::{acl, metadata, status};
use crate::client::{Client, Gone, Outcome};
use crate::pattern::Pattern;
use crate::reach::{Sight, Visible};
use crate::refusal;
use imap_proto::command::{List, ListForm, ListReturn, ListSelect};
use imap_proto::response::Listed;
use imap_proto::{Response, Untagged};
use std::collections::{BTreeMap, HashSet};
use storage::{AccountId, DELIMITER, Mailbox, MailboxKind, Rights};
use tracing::warn;

/// A name that may be listed.
#[derive(Default)]
struct Entry<'a> {
    /// `None`: it is only subscribed to, or stands above such a name or above a mailbox of another account.
    visible: Option<&'a Visible>,
    subscribed: bool,
    /// It stands above mailboxes of other accounts that can be seen.
    is_level: bool,
}

impl<'a> Entry<'a> {
    fn mailbox(&self) -> Option<&'a Mailbox> {
        self.visible.map(|visible| &visible.mailbox)
    }
}

/// All names of an account, also those that exist only as wishes.
struct Names<'a> {
    entries: BTreeMap<(bool, &'a str), Entry<'a>>,
    /// Names that stand above something subscribed.
    above: HashSet<&'a str>,
}

impl<'a> Names<'a> {
    fn new(sight: &'a Sight) -> Self {
        let mut names = Self { entries: BTreeMap::new(), above: HashSet::new() };
        for visible in &sight.mailboxes {
            let subscribed = visible.mailbox.subscribed;
            let entry = Entry { visible: Some(visible), subscribed, is_level: false };
            names.entries.insert(order(&visible.mailbox.name), entry);
        }
        let wishes = sight.subscribed_only.iter().map(String::as_str);
        for name in wishes.clone() {
            names.entries.entry(order(name)).or_default().subscribed = true;
        }
        let exist = sight.mailboxes.iter().map(|visible| &visible.mailbox);
        let exist = exist.filter(|mailbox| mailbox.subscribed).map(|mailbox| mailbox.name.as_str());
        for name in exist.chain(wishes) {
            for parent in parents(name) {
                names.above.insert(parent);
                names.entries.entry(order(parent)).or_default();
            }
        }
        for visible in &sight.mailboxes[sight.own..] {
            for parent in parents(&visible.mailbox.name) {
                names.entries.entry(order(parent)).or_default().is_level = true;
            }
        }
        names
    }

    fn iter(&self) -> impl Iterator<Item = (&'a str, &Entry<'a>)> {
        self.entries.iter().map(|((_, name), entry)| (*name, entry))
    }

    /// Whether something subscribed below `name` is not listed by itself.
    fn hides_below(&self, name: &str, patterns: &[Pattern]) -> bool {
        let prefix = format!("{name}{DELIMITER}");
        // What lies below a name stands together behind it.
        let below = self.entries.range((true, prefix.as_str())..);
        below
            .take_while(|((_, other), _)| other.starts_with(&prefix))
            .any(|((_, other), entry)| entry.subscribed && !fits(patterns, other))
    }
}

/// INBOX first, then by name.
fn order(name: &str) -> (bool, &str) {
    (name != "INBOX", name)
}

fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(DELIMITER).map(|(at, _)| &name[..at])
}

fn fits(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(name))
}

pub(super) async fn run(client: &mut Client, account: AccountId, list: List) -> Outcome {
    if list.form == ListForm::Plain && list.patterns.iter().all(String::is_empty) {
        return Ok(root(client));
    }
    let sight = match client.sight(account).await {
        Ok(sight) => sight,
        Err(error) => return Ok(refusal::response(&error)),
    };
    let names = Names::new(&sight);
    let patterns: Vec<Pattern> =
        list.patterns.iter().map(|pattern| Pattern::new(&list.reference, pattern)).collect();
    for (name, entry) in names.iter().filter(|(name, _)| fits(&patterns, name)) {
        let Some(line) = choose(&list, &names, &patterns, name, entry) else { continue };
        let is_itself = is_chosen(&list, &patterns, name, entry);
        let _ = client.session.tell(&Untagged::List(line));
        if let Some(visible) = entry.visible {
            for give in &list.give {
                more(client, account, visible, give, is_itself).await;
            }
        }
        client.relieve().await?;
    }
    Ok(Response::ok("Listed."))
}

/// What a return option tells of a mailbox besides its line, if the rights on it allow that.
async fn more(
    client: &mut Client,
    account: AccountId,
    Visible { mailbox, rights }: &Visible,
    give: &ListReturn,
    is_itself: bool,
) {
    let line = match give {
        ListReturn::MyRights if is_itself => Ok(acl::told(mailbox, *rights)),
        ListReturn::Metadata(entries) if is_itself && rights.has_any(metadata::NEEDED) => {
            metadata::of_mailbox(client, account, mailbox, entries).await
        }
        ListReturn::Status(items)
            if mailbox.kind == MailboxKind::Selectable && rights.contains(Rights::READ) =>
        {
            status::line(client, mailbox, items).await
        }
        _ => return,
    };
    match line {
        // Only EXPUNGE can be too early.
        Ok(line) => client.session.tell(&line).unwrap_or_default(),
        // What cannot be looked up is left out (RFC 9590 §3).
        Err(error) => warn!(%error, "what is told of a mailbox could not be read"),
    }
}

/// `LIST "" ""` asks for the delimiter (RFC 9051 §6.3.9).
fn root(client: &mut Client) -> Response {
    let root =
        Listed { attributes: vec!["\\Noselect".into()], delimiter: Some(DELIMITER), ..Listed::default() };
    super::tell(client, Untagged::List(root), "Listed.")
}

/// Whether the selection options let a name through for its own sake.
fn is_chosen(list: &List, patterns: &[Pattern], name: &str, entry: &Entry<'_>) -> bool {
    let subscribed = list.select.contains(&ListSelect::Subscribed);
    let special = list.select.contains(&ListSelect::SpecialUse);
    (!subscribed || entry.subscribed)
        && (!special || entry.mailbox().is_some_and(|mailbox| mailbox.special_use.is_some()))
        && (subscribed || entry.visible.is_some() || entry.is_level && asks_for_level(patterns, name))
}

/// Whether a name is asked for even if there is no mailbox that can be seen (RFC 9051 §6.3.9, RFC 4314 §4).
fn asks_for_level(patterns: &[Pattern], name: &str) -> bool {
    patterns.iter().any(|pattern| pattern.asks_for_levels() && pattern.matches(name))
}

/// The line for a name that fits a pattern, if the selection options let it through.
fn choose(
    list: &List,
    names: &Names<'_>,
    patterns: &[Pattern],
    name: &str,
    entry: &Entry<'_>,
) -> Option<Listed> {
    let subscribed = list.select.contains(&ListSelect::Subscribed);
    let recursive = list.select.contains(&ListSelect::RecursiveMatch);
    let chosen = is_chosen(list, patterns, name, entry);
    let child_info = recursive && subscribed && names.above.contains(name);
    let for_children = child_info && names.hides_below(name, patterns);
    if !chosen && !for_children {
        return None;
    }
    let mut line = match entry.mailbox() {
        Some(mailbox) => listed(mailbox),
        None => {
            let mut attributes = vec!["\\NonExistent".into()];
            if entry.is_level {
                attributes.extend(["\\Noselect".into(), "\\HasChildren".into()]);
            }
            Listed { attributes, delimiter: Some(DELIMITER), name: name.to_owned(), ..Listed::default() }
        }
    };
    if entry.subscribed && (subscribed || list.give.contains(&ListReturn::Subscribed)) {
        line.attributes.push("\\Subscribed".into());
    }
    line.child_info = child_info;
    Some(line)
}

/// A mailbox with what is always told: children and special use as well, since clients look for them in any LIST.
pub(crate) fn listed(mailbox: &Mailbox) -> Listed {
    let mut attributes = Vec::new();
    if mailbox.kind == MailboxKind::NoSelect {
        attributes.push("\\Noselect".into());
    }
    attributes.push(if mailbox.has_children { "\\HasChildren".into() } else { "\\HasNoChildren".into() });
    if let Some(special) = mailbox.special_use {
        attributes.push(special.as_str().into());
    }
    Listed { attributes, delimiter: Some(DELIMITER), name: mailbox.name.clone(), ..Listed::default() }
}

/// LSUB: with `%` a name above something subscribed is told as `\Noselect` (RFC 3501 §6.3.9).
pub(super) async fn lsub(client: &mut Client, account: AccountId, reference: &str, pattern: &str) -> Outcome {
    let sight = match client.sight(account).await {
        Ok(sight) => sight,
        Err(error) => return Ok(refusal::response(&error)),
    };
    let names = Names::new(&sight);
    let patterns = [Pattern::new(reference, pattern)];
    for (name, entry) in names.iter().filter(|(name, _)| fits(&patterns, name)) {
        if !entry.subscribed && !names.hides_below(name, &patterns) {
            continue;
        }
        let mut line = entry.mailbox().map(listed).unwrap_or_default();
        line.name = name.to_owned();
        line.delimiter = Some(DELIMITER);
        if !entry.subscribed && !line.attributes.iter().any(|attribute| attribute == "\\Noselect") {
            line.attributes.insert(0, "\\Noselect".into());
        }
        let told: Result<(), Gone> = {
            let _ = client.session.tell(&Untagged::Lsub(line));
            client.relieve().await
        };
        told?;
    }
    Ok(Response::ok("Listed."))
}
