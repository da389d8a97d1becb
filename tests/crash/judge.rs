//! Opens what a power cut left, and compares it with what was promised before.

use crate::ledger::{Box, Boxes, Delivery, Filing, Ledger};
use crate::load::{ALICE, BOB};
use crate::log::Place;
use crate::mails::{MARK, body_of, token_of};
use mail::{Blob, Message};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use storage::{
    AccountId, Columns, Config, Flags, Mailbox, NewMessage, PAGE_MAX, QUEUE_PAGE_MAX, Shape, Store, Trouble,
    UidSet,
};
use tests::PATIENCE;
use world::system::without_dns;

/// What is wrong, as sentences.
pub(crate) type Losses = Vec<String>;

/// How often each token is there.
type Counts = BTreeMap<String, u32>;

/// One state directory after a cut.
pub(crate) struct Judge<'a> {
    ledger: &'a Ledger,
    cut: Place,
    losses: Losses,
}

/// What was found besides mailboxes of filing clients.
#[derive(Default)]
struct Found {
    alice: Counts,
    bob: Counts,
    /// Notices about messages that could not be delivered, in alice's INBOX.
    notices: Counts,
    jobs: Counts,
}

/// All that is wrong with the state directory.
pub(crate) async fn judge(dir: &Path, ledger: &Ledger, cut: Place) -> Losses {
    let mut judge = Judge { ledger, cut, losses: Vec::new() };
    match open(dir).await {
        Err(error) => judge.lost(format!("the store does not open: {error}")),
        Ok(store) => {
            if let Err(error) = judge.look(&store).await {
                judge.lost(format!("reading failed: {error}"));
            }
            store.close().await;
        }
    }
    if judge.losses.is_empty() {
        // What the first opening did to it must have done no harm either.
        match open(dir).await {
            Err(error) => judge.lost(format!("the store does not open a second time: {error}")),
            Ok(store) => {
                judge.verify(&store).await;
                store.close().await;
            }
        }
    }
    judge.losses
}

/// Opens the store. A child of this process that another test is about to start holds, until it is another program, a copy of
/// the lock: it is waited for.
async fn open(dir: &Path) -> storage::Result<Store> {
    let begun = std::time::Instant::now();
    loop {
        match Store::open(Config::new(dir), without_dns()).await {
            Err(storage::Error::Trouble(Trouble::InUse)) if begun.elapsed() < PATIENCE => {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}

impl Judge<'_> {
    fn lost(&mut self, what: String) {
        self.losses.push(what);
    }

    async fn verify(&mut self, store: &Store) {
        match store.verify().await {
            Ok(findings) => self.losses.extend(findings),
            Err(error) => self.lost(format!("verify failed: {error}")),
        }
    }

    async fn look(&mut self, store: &Store) -> storage::Result<()> {
        self.verify(store).await;
        let mut found = Found { jobs: self.jobs(store).await?, ..Found::default() };
        for (name, asked) in &self.ledger.accounts {
            match store.account(name).await? {
                Some(account) => self.account(store, name, account.id, &mut found).await?,
                None if asked.is_promised(self.cut) => self.lost(format!("account {name} is gone")),
                None => {}
            }
        }
        for delivery in &self.ledger.deliveries {
            self.delivery(delivery, &found);
        }
        Ok(())
    }

    async fn account(
        &mut self,
        store: &Store,
        name: &str,
        id: AccountId,
        found: &mut Found,
    ) -> storage::Result<()> {
        let listing = store.list(id).await?.mailboxes;
        for mailbox in listing.iter().filter(|mailbox| mailbox.name == "INBOX") {
            let messages = self.messages(store, mailbox).await?;
            for (uid, (text_token, notice)) in &messages.tokens {
                let counts = match (name, notice) {
                    (_, true) => &mut found.notices,
                    (ALICE, _) => &mut found.alice,
                    _ => &mut found.bob,
                };
                *counts.entry(text_token.clone()).or_default() += 1;
                if name == ALICE {
                    self.shown_uid(*uid, text_token, *notice);
                }
            }
            if name == ALICE {
                self.inbox(store, mailbox).await?;
            }
        }
        for filing in self.ledger.filings.iter().filter(|filing| filing.account == name) {
            let mut boxes = Boxes::new();
            for mailbox in listing.iter().filter(|mailbox| mailbox.name.starts_with(&filing.prefix)) {
                let messages = self.messages(store, mailbox).await?;
                boxes.insert(mailbox.name.clone(), messages.into_box(mailbox));
            }
            self.filing(filing, &boxes);
        }
        Ok(())
    }

    /// All messages of a mailbox, each compared with what was sent.
    async fn messages(&mut self, store: &Store, mailbox: &Mailbox) -> storage::Result<Messages> {
        let snapshot = store.snapshot(mailbox.id).await?;
        let mut messages = Messages::default();
        let mut uids = UidSet::all();
        loop {
            let rows = store.fetch(mailbox.id, &uids, Columns::MESSAGE, PAGE_MAX).await?;
            let Some(last) = rows.last() else { break };
            uids = uids.after(last.uid);
            for row in rows {
                let Some(message) = row.message else { continue };
                let octets = message.received.to_vec()?;
                let text = String::from_utf8_lossy(&octets);
                let Some((token, notice)) = token_of(&text) else {
                    self.lost(format!("{} UID {}: nobody sent this", mailbox.name, row.uid));
                    continue;
                };
                if !notice && !self.is_whole(token, &text) {
                    self.lost(format!("{} UID {}: {token} has other octets", mailbox.name, row.uid));
                }
                messages.tokens.insert(row.uid, (token.to_owned(), notice));
                let words = words(row.flags, row.keywords, &snapshot.keywords);
                messages.words.insert(row.uid, words);
            }
        }
        if messages.tokens.len() != mailbox.messages as usize {
            self.lost(format!(
                "{}: {} messages of {}",
                mailbox.name,
                messages.tokens.len(),
                mailbox.messages
            ));
        }
        Ok(messages)
    }

    /// Our own senders' messages get header fields; all others are as they were sent.
    fn is_whole(&self, token: &str, text: &str) -> bool {
        let Some(sent) = self.ledger.texts.get(token) else { return false };
        **sent == *text || (token.starts_with(&format!("{MARK}out")) && body_of(sent) == body_of(text))
    }

    async fn jobs(&mut self, store: &Store) -> storage::Result<Counts> {
        let mut counts = Counts::new();
        let mut after = None;
        loop {
            let jobs = store.queue(after, QUEUE_PAGE_MAX).await?;
            let Some(last) = jobs.last() else { return Ok(counts) };
            after = Some(last.id);
            for job in jobs {
                let octets = store.job_message(job.id).await?.received.to_vec()?;
                let text = String::from_utf8_lossy(&octets);
                match token_of(&text) {
                    Some((token, false)) if self.is_whole(token, &text) => {
                        *counts.entry(token.to_owned()).or_default() += 1;
                    }
                    _ => self.lost(format!("job {} has other octets", job.id)),
                }
            }
        }
    }

    /// Each message that was given over: there once, or as far as it may be, and in all its places or none.
    fn delivery(&mut self, delivery: &Delivery, found: &Found) {
        let token = delivery.token.as_str();
        let count = |counts: &Counts| counts.get(token).copied().unwrap_or(0);
        let cut = self.cut;
        let before = |places: &HashMap<String, Place>| places.get(token).is_some_and(|place| *place < cut);
        let mut there = Vec::new();
        for inbox in &delivery.inboxes {
            let counts = if *inbox == ALICE { &found.alice } else { &found.bob };
            let removal =
                self.ledger.removals.iter().find(|removal| *inbox == ALICE && removal.token == token);
            let may_go = removal.is_some_and(|removal| removal.asked.may_be(self.cut));
            let must_go = removal.is_some_and(|removal| removal.asked.is_promised(self.cut));
            match count(counts) {
                0 if may_go => {}
                n if must_go => self.lost(format!("{token} came back to {inbox} {n} times")),
                n if n <= 1 => there.push((format!("in the INBOX of {inbox}"), n == 1)),
                n => self.lost(format!("{token} is {n} times in the INBOX of {inbox}")),
            }
        }
        if delivery.goes_out {
            let (jobs, notices) = (count(&found.jobs), count(&found.notices));
            let is_settled = before(&self.ledger.taken) || (before(&self.ledger.refused) && notices == 1);
            if jobs + notices > 1 {
                self.lost(format!("{token} is {jobs} times in the queue and has {notices} notices"));
            }
            there.push(("in the queue or settled".to_owned(), jobs == 1 || is_settled));
        }
        let promised = delivery.asked.is_promised(self.cut);
        let lost = there.iter().filter(|(_, is)| promised && !is);
        let mut sentences: Losses =
            lost.map(|(place, _)| format!("{token} was promised and is not {place}")).collect();
        if !promised && there.iter().any(|(_, is)| *is != there[0].1) {
            sentences.push(format!("{token} is there by half: {there:?}"));
        }
        if !delivery.asked.may_be(self.cut) && there.iter().any(|(_, is)| *is) {
            sentences.push(format!("{token} is there before it was sent"));
        }
        self.losses.append(&mut sentences);
    }

    /// The mailboxes of a filing client hold what they held after its last command that was answered, or after the one that
    /// was not answered yet.
    fn filing(&mut self, filing: &Filing, boxes: &Boxes) {
        let done = filing.steps.iter().take_while(|step| step.asked.is_promised(self.cut)).count();
        let none = Boxes::new();
        let before = done.checked_sub(1).map_or(&none, |last| &filing.steps[last].after);
        let next = filing.steps.get(done).filter(|step| step.asked.may_be(self.cut));
        let wrong = difference(before, boxes);
        if let Some(wrong) = wrong
            && next.is_none_or(|next| difference(&next.after, boxes).is_some())
        {
            self.lost(format!("after command {done} of {}: {wrong}", filing.prefix));
        }
    }

    /// A UID that a reader was shown stands for the same message for ever.
    fn shown_uid(&mut self, uid: u32, token: &str, notice: bool) {
        let shown = self.ledger.uids.iter().find(|(_, shown, _)| *shown == uid);
        if let Some((_, _, was)) = shown
            && !notice
            && was != token
        {
            self.lost(format!("UID {uid} was {was} and is {token}"));
        }
    }

    /// Numbers never go back: not those of INBOX, and not those that are given out from here on.
    async fn inbox(&mut self, store: &Store, mailbox: &Mailbox) -> storage::Result<()> {
        let shown = self.ledger.shown.iter().filter(|shown| shown.at <= self.cut);
        let (mut next, mut modseq) = (mailbox.uidnext, mailbox.modseq);
        for shown in shown {
            next = next.max(shown.next);
            modseq = modseq.max(shown.modseq);
            if shown.validity != mailbox.uidvalidity {
                self.losses.push(format!("UIDVALIDITY was {}, is {}", shown.validity, mailbox.uidvalidity));
            }
        }
        let uids = self.ledger.uids.iter().filter(|(at, _, _)| *at <= self.cut);
        next = uids.map(|(_, uid, _)| uid + 1).max().unwrap_or(1).max(next);
        if (next, modseq) != (mailbox.uidnext, mailbox.modseq) {
            let now = (mailbox.uidnext, mailbox.modseq);
            self.lost(format!("UIDNEXT and MODSEQ were {:?}, are {now:?}", (next, modseq)));
        }
        let new = NewMessage {
            message: Message::new(Blob::from_bytes(*b"Subject: after the cut\r\n\r\n")),
            shape: Shape::default(),
            flags: Flags::NONE,
            keywords: Vec::new(),
            received: 0,
        };
        let appended = store.append(mailbox.id, vec![new]).await?;
        if appended.uids.iter().any(|uid| *uid < next) || appended.modseq <= modseq {
            self.lost(format!("the next message got {appended:?} after {:?}", (next, modseq)));
        }
        Ok(())
    }
}

#[derive(Default)]
struct Messages {
    /// Token, and whether it is a notice about it.
    tokens: BTreeMap<u32, (String, bool)>,
    words: BTreeMap<u32, BTreeSet<String>>,
}

impl Messages {
    fn into_box(mut self, mailbox: &Mailbox) -> Box {
        let tokens = self.tokens.into_iter();
        let messages = tokens
            .map(|(uid, (token, _))| (uid, (token, self.words.remove(&uid).unwrap_or_default())))
            .collect();
        let (validity, next) = (Some(mailbox.uidvalidity), mailbox.uidnext);
        Box { validity, next, modseq: mailbox.modseq, messages }
    }
}

fn words(flags: Flags, keywords: storage::Keywords, names: &[String]) -> BTreeSet<String> {
    let system = [
        (Flags::SEEN, "\\Seen"),
        (Flags::ANSWERED, "\\Answered"),
        (Flags::FLAGGED, "\\Flagged"),
        (Flags::DELETED, "\\Deleted"),
        (Flags::DRAFT, "\\Draft"),
    ];
    let system =
        system.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, word)| word.to_owned());
    system.chain(keywords.iter().filter_map(|bit| names.get(bit).cloned())).collect()
}

/// The first thing in which the mailboxes are not what they should be.
fn difference(wanted: &Boxes, found: &Boxes) -> Option<String> {
    let names = |boxes: &Boxes| boxes.keys().cloned().collect::<Vec<_>>();
    if names(wanted) != names(found) {
        return Some(format!("mailboxes {:?}, wanted {:?}", names(found), names(wanted)));
    }
    for (name, wanted) in wanted {
        let found = &found[name];
        if wanted.validity.is_some_and(|validity| Some(validity) != found.validity) {
            return Some(format!("{name}: UIDVALIDITY {:?}, wanted {:?}", found.validity, wanted.validity));
        }
        if wanted.next != found.next {
            return Some(format!("{name}: UIDNEXT {}, wanted {}", found.next, wanted.next));
        }
        if found.modseq < wanted.modseq {
            return Some(format!("{name}: HIGHESTMODSEQ {}, was {}", found.modseq, wanted.modseq));
        }
        let uids = wanted.messages.keys().chain(found.messages.keys());
        for uid in uids {
            let (wanted, found) = (wanted.messages.get(uid), found.messages.get(uid));
            if wanted != found {
                return Some(format!("{name} UID {uid}: {found:?}, wanted {wanted:?}"));
            }
        }
    }
    None
}

/// The accounts of the load.
pub(crate) const ACCOUNTS: [&str; 2] = [ALICE, BOB];
