//! What a session hears unasked, as NOTIFY says it (RFC 5465). The bells say that something may have changed; the store
//! says what: by a look at the mailboxes that changed since the last look, or at all of them where names, subscriptions or rights
//! have changed.

pub(crate) mod changes;

use crate::client::{Client, Gone};
use crate::command::fetch;
use crate::reach::{Sight, Visible};
use crate::view::{Hears, Target};
use changes::{Asking, Item, Own, Scene, Wants, Whose, changed, changes, no_access, status, wanted};
use imap_proto::command::{Event, EventGroup, FetchItem, Filter, Notify, NotifyStatus};
use imap_proto::server::Unasked;
use imap_proto::{Response, Untagged};
use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use storage::{AccountId, Error, MailboxId, ModSeq, Rights, Uid};
use tokio::sync::watch;
use tracing::warn;

/// Most mailboxes that one session watches.
pub(crate) const WATCHED_MAX: usize = 5_000;
/// Most other accounts whose mailboxes one session watches.
pub(crate) const OWNERS_MAX: usize = 200;
/// Most new messages whose items are told at once.
pub(crate) const NEW_MAX: usize = 1_000;
/// What can be watched (RFC 5465 §3.1, BADEVENT).
const BAD_EVENT: &str = "BADEVENT (MessageNew MessageExpunge FlagChange MailboxName SubscriptionChange \
                         MailboxMetadataChange ServerMetadataChange)";
/// RFC 5465 §5.8.
const OVERFLOW: &str = "NOTIFICATIONOVERFLOW";

/// What a session watches since it said NOTIFY.
pub(crate) struct Watch {
    /// Empty: nothing.
    groups: Vec<EventGroup>,
    /// The last look.
    scene: Scene,
    /// Of the account itself, and of those whose mailboxes are watched.
    bells: HashMap<AccountId, watch::Receiver<ModSeq>>,
    /// What [`storage::Store::names_version`] said of them before the last look at all mailboxes.
    names: HashMap<AccountId, u64>,
    rights: watch::Receiver<u64>,
    /// Whether the last look failed.
    is_stale: bool,
    own: Own,
    /// Messages that the session put into the selected mailbox itself.
    own_uids: BTreeSet<Uid>,
}

/// Where messages were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Selected,
    Elsewhere,
}

impl Watch {
    fn selected(&self) -> Option<&EventGroup> {
        self.groups.iter().find(|group| group.filter.is_selected())
    }

    /// What is told of the selected mailbox.
    pub(crate) fn hears(&self) -> Hears {
        let events = self.selected().map(|group| group.events.as_slice()).unwrap_or_default();
        match events.contains(&Event::MessageExpunge) {
            true if events.contains(&Event::FlagChange) => Hears::All,
            true => Hears::Messages,
            false => Hears::Nothing,
        }
    }

    /// Whether EXPUNGE may be told between commands.
    pub(crate) fn unasked(&self) -> Unasked {
        match self.selected() {
            Some(EventGroup { filter: Filter::Selected, .. }) => Unasked::WithExpunges,
            _ => Unasked::WithoutExpunges,
        }
    }

    fn items(&self) -> &[FetchItem] {
        let events = self.selected().map(|group| group.events.as_slice()).unwrap_or_default();
        let items = events.iter().find_map(|event| match event {
            Event::MessageNew(items) => Some(items.as_slice()),
            _ => None,
        });
        items.unwrap_or_default()
    }

    /// Whether annotations are told: of a mailbox, or of the server.
    pub(crate) fn wants_metadata(&self, mailbox: Option<MailboxId>) -> bool {
        match mailbox {
            None => self.groups.iter().any(|group| group.events.contains(&Event::ServerMetadataChange)),
            Some(id) => self.scene.items.get(&id).is_some_and(|item| wanted(&self.groups, item).metadata),
        }
    }

    /// Whether annotations are told of anything.
    pub(crate) fn hears_metadata(&self) -> bool {
        let is_metadata =
            |event: &Event| matches!(event, Event::MailboxMetadataChange | Event::ServerMetadataChange);
        self.groups.iter().flat_map(|group| &group.events).any(is_metadata)
    }

    /// What the bell of an account says.
    pub(crate) fn rung_up_to(&self, owner: AccountId) -> ModSeq {
        self.bells.get(&owner).map_or(0, |bell| *bell.borrow())
    }

    /// The account itself, and those whose mailboxes are watched.
    pub(crate) fn owners(&self) -> impl Iterator<Item = AccountId> + '_ {
        self.bells.keys().copied()
    }

    /// The session itself put messages into a mailbox.
    pub(crate) fn filed(
        &mut self,
        mailbox: MailboxId,
        place: Place,
        uids: impl Iterator<Item = Uid>,
        modseq: ModSeq,
    ) {
        match place {
            Place::Selected => self.own_uids.extend(uids),
            Place::Elsewhere => {
                let count = u32::try_from(uids.count()).unwrap_or(u32::MAX);
                self.own.filed.insert(mailbox, (count, modseq));
            }
        }
    }

    /// It made, took away or subscribed to a name, or the contrary.
    pub(crate) fn named(&mut self, name: &str) {
        self.own.names.insert(name.trim_end_matches('/').to_owned());
    }

    /// Watches nothing.
    fn nothing(store: &storage::Store) -> Self {
        Self {
            groups: Vec::new(),
            scene: Scene::default(),
            bells: HashMap::new(),
            names: HashMap::new(),
            rights: store.watch_rights(),
            is_stale: false,
            own: Own::default(),
            own_uids: BTreeSet::new(),
        }
    }

    /// Which bells have rung since this was asked last.
    fn rung(&mut self, store: &storage::Store) -> Rung {
        let mut all = take(&mut self.rights) | std::mem::take(&mut self.is_stale);
        let mut owners = Vec::new();
        for (owner, bell) in &mut self.bells {
            if take(bell) {
                all |= self.names.get(owner) != Some(&store.names_version(*owner));
                owners.push(*owner);
            }
        }
        if all { Rung::All } else { Rung::Messages(owners) }
    }

    /// All that rings from now on is news.
    fn listen(&mut self, store: &storage::Store) {
        take(&mut self.rights);
        for (owner, bell) in &mut self.bells {
            take(bell);
            self.names.insert(*owner, store.names_version(*owner));
        }
    }

    /// Looks at groups other than that of the selected mailbox.
    fn looks_around(&self) -> bool {
        self.groups.iter().any(|group| !group.filter.is_selected() && !group.events.is_empty())
    }
}

/// What bells say.
enum Rung {
    /// Mailboxes of these accounts may have changed, but neither their names nor rights.
    Messages(Vec<AccountId>),
    /// Anything may have changed.
    All,
}

fn take<T>(bell: &mut watch::Receiver<T>) -> bool {
    let rung = bell.has_changed().unwrap_or(false);
    bell.mark_unchanged();
    rung
}

/// Waits for a bell of what is watched.
pub(crate) async fn rung(watch: Option<&Watch>) {
    let Some(watch) = watch.filter(|watch| watch.looks_around()) else { return pending().await };
    let mut waits: Vec<_> = watch.bells.values().map(|bell| Box::pin(heard(bell))).collect();
    let bells = std::future::poll_fn(|context| {
        let done = waits.iter_mut().any(|wait| wait.as_mut().poll(context).is_ready());
        if done { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    });
    tokio::select! {
        () = bells => {}
        () = heard(&watch.rights) => {}
    }
}

/// Waits for one bell, which can still be heard afterwards; one that will never ring again is waited for in vain.
async fn heard<T>(bell: &watch::Receiver<T>) {
    if bell.clone().changed().await.is_err() {
        pending().await
    }
}

/// NOTIFY SET and NOTIFY NONE.
pub(crate) async fn run(client: &mut Client, account: AccountId, asked: Notify) -> Result<Response, Gone> {
    let (status, groups) = match asked {
        Notify::None => (NotifyStatus::Left, Vec::new()),
        Notify::Set { status, groups } => (status, groups),
    };
    let is_bad = |event: &Event| matches!(event, Event::AnnotationChange | Event::Unknown);
    if groups.iter().flat_map(|group| &group.events).any(is_bad) {
        return Ok(Response::no("Not all of these events are known here.").word(BAD_EVENT));
    }
    if !groups.is_empty() {
        // All that was held back until now (RFC 5465 §3.1).
        client.watch = None;
        client.sync().await?;
    }
    let store = &client.house.store;
    let bells = HashMap::from([(account, store.watch(account))]);
    let mut watch = Watch { groups, bells, ..Watch::nothing(store) };
    if watch.looks_around() {
        match look(client, account, &mut watch).await {
            Ok(Some(scene)) => watch.scene = scene,
            Ok(None) => {
                let text = "These are too many mailboxes to watch.";
                return Ok(Response::no(text).word(OVERFLOW));
            }
            Err(error) => return Ok(crate::refusal::response(&error)),
        }
        tell_state(client, &watch, status).await?;
    }
    let is_nothing = watch.groups.is_empty();
    client.watch = Some(watch);
    Ok(Response::ok(if is_nothing { "Nothing is told unasked." } else { "What happens is told." }))
}

/// What SET STATUS asks for, and what cannot be watched though it can be seen (RFC 5465 §3.1).
async fn tell_state(client: &mut Client, watch: &Watch, status_wanted: NotifyStatus) -> Result<(), Gone> {
    let selected = client.selected.as_ref().map(|selected| selected.mailbox);
    for (id, item) in &watch.scene.items {
        let wants = wanted(&watch.groups, item);
        if !wants.messages {
            continue;
        }
        let line = match status_wanted {
            _ if !item.readable => no_access(&item.mailbox),
            NotifyStatus::Told if selected != Some(*id) => {
                // HIGHESTMODSEQ goes with FlagChange, since CONDSTORE is known here.
                status(&item.mailbox, wants, wants.flags || client.session.is_condstore())
            }
            _ => continue,
        };
        // Only EXPUNGE can be too early.
        let _ = client.session.tell(&line);
        client.relieve().await?;
    }
    Ok(())
}

/// Looks at everything that is watched, and hangs up bells for it. `None`: it is too much.
async fn look(client: &Client, account: AccountId, watch: &mut Watch) -> Result<Option<Scene>, Error> {
    loop {
        // Before the look, so that nothing falls between.
        watch.listen(&client.house.store);
        let Sight { mailboxes, subscribed_only, own } = client.sight(account).await?;
        let mut scene = Scene { wishes: subscribed_only.into_iter().collect(), ..Scene::default() };
        let (mut watched, mut is_new) = (0, false);
        for (at, Visible { mailbox, rights }) in mailboxes.into_iter().enumerate() {
            let whose = if at < own { Whose::Own } else { Whose::Others };
            let readable = rights.contains(Rights::LOOKUP.or(Rights::READ));
            let (id, owner) = (mailbox.id, mailbox.account);
            let item = Item { mailbox, whose, readable };
            if wanted(&watch.groups, &item) != Wants::default() {
                watched += 1;
                is_new |= !watch.bells.contains_key(&owner);
                watch.bells.entry(owner).or_insert_with(|| client.house.store.watch(owner));
            }
            scene.add(id, item);
        }
        if watched > WATCHED_MAX || watch.bells.len() > OWNERS_MAX + 1 {
            return Ok(None);
        }
        if !is_new {
            let owners: BTreeSet<AccountId> = scene.items.values().map(|item| item.mailbox.account).collect();
            watch.bells.retain(|owner, _| *owner == account || owners.contains(owner));
            watch.names.retain(|owner, _| *owner == account || owners.contains(owner));
            return Ok(Some(scene));
        }
    }
}

/// Tells what became of what is watched, but for the selected mailbox.
pub(crate) async fn tell(client: &mut Client) -> Result<(), Gone> {
    let (Some(mut watch), Some(account)) = (client.watch.take(), client.account_id()) else { return Ok(()) };
    let own = std::mem::take(&mut watch.own);
    watch.own_uids.clear();
    if !watch.looks_around() {
        client.watch = Some(watch);
        return Ok(());
    }
    let lines = match watch.rung(&client.house.store) {
        Rung::All => look_again(client, account, &mut watch, &own).await,
        Rung::Messages(owners) => look_at(client, &owners, &mut watch, &own).await.map(Some),
    };
    match lines {
        Ok(Some(lines)) => {
            client.watch = Some(watch);
            for line in lines {
                let _ = client.session.tell(&line);
                client.relieve().await?;
            }
        }
        Ok(None) => overflow(client),
        Err(error) => {
            warn!(%error, "mailboxes that are watched could not be read");
            watch.is_stale = true;
            client.watch = Some(watch);
        }
    }
    Ok(())
}

/// What there is to tell of everything. `None`: it has become too much.
async fn look_again(
    client: &Client,
    account: AccountId,
    watch: &mut Watch,
    own: &Own,
) -> Result<Option<Vec<Untagged>>, Error> {
    let Some(scene) = look(client, account, watch).await? else { return Ok(None) };
    let before = std::mem::replace(&mut watch.scene, scene);
    Ok(Some(changes(&before, &watch.scene, &asking(client, &watch.groups, own))))
}

/// What there is to tell of the messages in mailboxes of these accounts.
async fn look_at(
    client: &Client,
    owners: &[AccountId],
    watch: &mut Watch,
    own: &Own,
) -> Result<Vec<Untagged>, Error> {
    let mut lines = Vec::new();
    for owner in owners {
        let since = watch.scene.modseqs.get(owner).copied().unwrap_or(0);
        let news = client.house.store.changed_mailboxes(*owner, since).await?;
        lines.extend(changed(&mut watch.scene, news, &asking(client, &watch.groups, own)));
    }
    Ok(lines)
}

fn asking<'a>(client: &Client, groups: &'a [EventGroup], own: &'a Own) -> Asking<'a> {
    Asking {
        groups,
        selected: client.selected.as_ref().map(|selected| selected.mailbox),
        condstore: client.session.is_condstore(),
        own,
    }
}

/// From now on nothing is told unasked (RFC 5465 §5.8).
fn overflow(client: &mut Client) {
    let store = &client.house.store;
    client.watch = Some(Watch::nothing(store));
    let line = Response::ok("There is too much to tell; say NOTIFY again.").word(OVERFLOW);
    let _ = client.session.tell(&Untagged::Status(line));
}

/// The items of messages that came to the selected mailbox after `last` (RFC 5465 §5.2).
pub(crate) async fn tell_new(client: &mut Client, last: Uid) -> Result<(), Gone> {
    let (Some(watch), Some(selected)) = (&client.watch, &client.selected) else { return Ok(()) };
    let items = watch.items().to_vec();
    if items.is_empty() {
        return Ok(());
    }
    let mut targets: Vec<Target> = selected.view.after(last);
    targets.retain(|target| !watch.own_uids.contains(&target.uid));
    if targets.len() > NEW_MAX {
        overflow(client);
        return Ok(());
    }
    if targets.is_empty() { Ok(()) } else { fetch::announce(client, items, &targets).await }
}
