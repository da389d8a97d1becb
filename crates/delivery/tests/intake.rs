//! The way in, against a real store: an envelope and a message in, mailboxes and jobs out, as text.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of a test fail by panicking")]

use delivery::{AliasKey, Aliases, Arrival, Intake, RouteConfig, Router};
use mail::{
    Address, Blob, Domain, Envelope, Mail, MailParams, Message, Notify, Recipient, Reply, ReversePath,
};
use std::sync::Arc;
use storage::{Columns, Folder, SpecialUse, Store, UidSet};
use world::World;

const MESSAGE: &str = "From: x@s.ex\r\nSubject: hello\r\n\r\nhow are you?\r\n";

struct House {
    store: Store,
    intake: Intake,
    world: World,
    _dir: tempfile::TempDir,
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

impl House {
    async fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = world::fake::world(11);
        let store = Store::open(storage::Config::new(dir.path()), world.clone()).await.unwrap();
        for account in ["alice@o.ex", "bob@o.ex"] {
            store.create_account(account).await.unwrap();
        }
        let mut aliases = Aliases::default();
        for (alias, targets) in [
            ("sales@o.ex", "alice@o.ex far@e.ex"),
            ("out@o.ex", "far@e.ex"),
            ("both@o.ex", "alice@o.ex bob@o.ex"),
            ("chain@o.ex", "out@o.ex bob@o.ex"),
        ] {
            let targets = targets.split(' ').map(address).collect();
            aliases.insert(&AliasKey::parse(alias).unwrap(), targets);
        }
        let config = RouteConfig {
            hostname: domain("mx.o.ex"),
            local_domains: vec![domain("o.ex")],
            aliases,
            subaddress: Some('+'),
            postmaster: None,
        };
        let router = Router::load(config, store.clone(), world.clone()).await.unwrap();
        let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
        Self { store, intake, world, _dir: dir }
    }

    async fn accept(&self, mail: Mail, folder: Folder) -> Result<(usize, usize), Reply> {
        let arrival = Arrival { folder, ..Arrival::own("mailidmailid") };
        self.intake.accept(mail, arrival).await.map(|accepted| (accepted.local, accepted.remote))
    }

    /// The messages of a mailbox, one text each.
    async fn messages(&self, account: &str, mailbox: &str) -> Vec<String> {
        let account = self.store.account(account).await.unwrap().unwrap().id;
        let mailbox = self.store.mailbox(account, mailbox).await.unwrap().id;
        let rows = self.store.fetch(mailbox, &UidSet::all(), Columns::MESSAGE, 100).await.unwrap();
        let text = |message: &Message| String::from_utf8(message.to_vec().unwrap()).unwrap();
        rows.iter().map(|row| text(row.message.as_ref().unwrap())).collect()
    }

    /// The queue: `<sender> recipient NOTIFY…`, one line for each recipient.
    async fn queue(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for job in self.store.queue(None, 100).await.unwrap() {
            for one in &job.recipients {
                lines.push(format!("<{}> {} {:?}", job.from, one.recipient.address, one.recipient.notify));
            }
        }
        lines
    }
}

fn mail(from: &str, to: &[&str], message: &str) -> Mail {
    let from = if from.is_empty() { ReversePath::Null } else { ReversePath::Address(address(from)) };
    let recipients = to.iter().map(|to| Recipient::plain(address(to))).collect();
    let mut message = Message::new(Blob::from_bytes(message.as_bytes()));
    message.prepend("Received: by mx.o.ex");
    Mail { envelope: Envelope { from, params: MailParams::default(), recipients }, message }
}

fn with_notify(mut mail: Mail, notify: Notify) -> Mail {
    for recipient in &mut mail.envelope.recipients {
        recipient.notify = notify;
    }
    mail
}

const SUCCESS: Notify = Notify::On { success: true, failure: false, delay: false };

#[tokio::test]
async fn each_mailbox_has_its_own_fields_in_front() {
    let house = House::build().await;
    let sent = mail("x@s.ex", &["alice+tag@o.ex", "bob@o.ex", "alice@o.ex"], MESSAGE);
    assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((2, 0)));
    assert_eq!(
        house.messages("alice@o.ex", "INBOX").await,
        [format!(
            "Return-Path: <x@s.ex>\r\nDelivered-To: alice+tag@o.ex\r\nReceived: by mx.o.ex\r\n{MESSAGE}"
        )]
    );
    assert_eq!(
        house.messages("bob@o.ex", "INBOX").await,
        [format!("Return-Path: <x@s.ex>\r\nDelivered-To: bob@o.ex\r\nReceived: by mx.o.ex\r\n{MESSAGE}")]
    );
    assert!(house.queue().await.is_empty());
}

#[tokio::test]
async fn aliases_say_which_address_was_meant() {
    let house = House::build().await;
    let sent = mail("", &["both@o.ex"], MESSAGE);
    assert_eq!(house.accept(sent, Folder::Special(SpecialUse::Junk)).await, Ok((2, 0)));
    assert_eq!(
        house.messages("bob@o.ex", "Junk").await,
        [format!(
            "Return-Path: <>\r\nDelivered-To: bob@o.ex\r\nX-Original-To: both@o.ex\r\nReceived: by mx.o.ex\r\n{MESSAGE}"
        )]
    );
    assert!(house.messages("bob@o.ex", "INBOX").await.is_empty());
}

#[tokio::test]
async fn local_and_remote_are_one_acceptance() {
    let house = House::build().await;
    let sent = mail("alice@o.ex", &["bob@o.ex", "far@e.ex", "near@e.ex", "other@f.ex"], MESSAGE);
    assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((1, 3)));
    assert_eq!(
        house.queue().await,
        [
            "<alice@o.ex> far@e.ex Default",
            "<alice@o.ex> near@e.ex Default",
            "<alice@o.ex> other@f.ex Default"
        ]
    );
    let jobs = house.store.queue(None, 100).await.unwrap();
    assert_eq!(jobs.len(), 1);
    let queued = house.store.job_message(jobs[0].id).await.unwrap().to_vec().unwrap();
    assert_eq!(String::from_utf8(queued).unwrap(), format!("Received: by mx.o.ex\r\n{MESSAGE}"));
}

#[tokio::test]
async fn what_is_forwarded_has_a_sender_of_ours_and_finds_its_way_back() {
    let house = House::build().await;
    assert_eq!(house.accept(mail("x@s.ex", &["out@o.ex"], MESSAGE), Folder::Inbox).await, Ok((0, 1)));
    let jobs = house.store.queue(None, 100).await.unwrap();
    let sender = jobs[0].from.to_string();
    assert!(sender.starts_with("SRS0=") && sender.ends_with("=s.ex=x@o.ex"), "{sender}");
    let queued = house.store.job_message(jobs[0].id).await.unwrap().to_vec().unwrap();
    let queued = String::from_utf8(queued).unwrap();
    assert_eq!(queued, format!("Delivered-To: out@o.ex\r\nReceived: by mx.o.ex\r\n{MESSAGE}"));

    // Its bounce comes to the rewritten sender.
    assert_eq!(house.accept(mail("", &[&sender], MESSAGE), Folder::Inbox).await, Ok((0, 1)));
    assert_eq!(house.queue().await[1], "<> x@s.ex Default");

    // The message itself, come back, is stopped.
    let reply = house.accept(mail("x@s.ex", &["out@o.ex"], &queued), Folder::Inbox).await.unwrap_err();
    assert_eq!((reply.code, reply.status.unwrap().to_string()), (554, "5.4.6".into()));
}

#[tokio::test]
async fn loops_are_refused() {
    let house = House::build().await;
    let received = "Received: from a by b\r\n";
    for (message, to, want) in [
        (format!("Delivered-To: alice@o.ex\r\n{MESSAGE}"), vec!["alice@o.ex"], Err("554 5.4.6")),
        (format!("Delivered-To: ALICE@o.ex\r\n{MESSAGE}"), vec!["alice@o.ex"], Err("554 5.4.6")),
        (format!("Delivered-To: bob@o.ex\r\n{MESSAGE}"), vec!["alice@o.ex"], Ok((1, 0))),
        (format!("Delivered-To: alice@o.ex\r\n{MESSAGE}"), vec!["alice+x@o.ex"], Ok((1, 0))),
        (format!("{}{MESSAGE}", received.repeat(99)), vec!["alice@o.ex"], Ok((1, 0))),
        (format!("{}{MESSAGE}", received.repeat(100)), vec!["alice@o.ex"], Err("554 5.4.6")),
        (format!("{MESSAGE}{}", received.repeat(200)), vec!["alice@o.ex"], Ok((1, 0))),
    ] {
        let got = house.accept(mail("x@s.ex", &to, &message), Folder::Inbox).await;
        let got = got.map_err(|reply| format!("{} {}", reply.code, reply.status.unwrap()));
        assert_eq!(got, want.map_err(str::to_owned), "{}", &message[..40]);
    }
}

#[tokio::test]
async fn one_recipient_in_a_circle_is_told_and_the_others_get_it() {
    let house = House::build().await;
    let message = format!("Delivered-To: alice@o.ex\r\n{MESSAGE}");
    let sent = mail("bob@o.ex", &["alice@o.ex", "bob+copy@o.ex"], &message);
    assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((1, 0)));
    let inbox = house.messages("bob@o.ex", "INBOX").await;
    assert_eq!(inbox.len(), 2);
    let notice = inbox.iter().find(|text| text.contains("multipart/report")).unwrap();
    assert!(notice.starts_with("Return-Path: <>\r\nDelivered-To: bob@o.ex\r\n"), "{notice}");
    assert!(
        notice.contains("Final-Recipient: rfc822; alice@o.ex\r\nAction: failed\r\nStatus: 5.4.6\r\n"),
        "{notice}"
    );
    assert!(house.messages("alice@o.ex", "INBOX").await.is_empty());
}

/// The circle closes at an alias behind the one that was written to; the wishes are those about the latter.
#[tokio::test]
async fn a_circle_behind_an_alias_is_told_as_was_wished() {
    let message = format!("Delivered-To: out@o.ex\r\n{MESSAGE}");
    let success = Notify::On { success: true, failure: false, delay: false };
    for (notify, want) in [
        (Notify::Never, None),
        (success, None),
        (Notify::Default, Some("Final-Recipient: rfc822; chain@o.ex\r\nAction: failed\r\nStatus: 5.4.6\r\n")),
    ] {
        let house = House::build().await;
        let sent = with_notify(mail("alice@o.ex", &["chain@o.ex"], &message), notify);
        assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((1, 0)));
        let inbox = house.messages("alice@o.ex", "INBOX").await;
        assert_eq!(inbox.len(), usize::from(want.is_some()), "{notify:?}: {inbox:#?}");
        assert!(inbox.iter().all(|notice| notice.contains(want.unwrap_or_default())), "{inbox:#?}");
    }
}

#[tokio::test]
async fn success_is_told_where_it_was_asked_for() {
    let house = House::build().await;
    let sent = with_notify(mail("bob@o.ex", &["alice@o.ex", "sales@o.ex"], MESSAGE), SUCCESS);
    assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((1, 1)));
    assert_eq!(house.queue().await, ["<bob@o.ex> far@e.ex Never"]);
    let inbox = house.messages("bob@o.ex", "INBOX").await;
    assert_eq!(inbox.len(), 1);
    let notice = &inbox[0];
    for want in [
        "Final-Recipient: rfc822; alice@o.ex\r\nAction: delivered\r\nStatus: 2.1.5\r\n",
        "Final-Recipient: rfc822; sales@o.ex\r\nAction: expanded\r\nStatus: 2.1.5\r\n",
    ] {
        assert!(notice.contains(want), "{want}\n{notice}");
    }

    // To a remote sender it goes by the queue; a null sender is told nothing.
    house
        .accept(with_notify(mail("x@s.ex", &["alice@o.ex"], MESSAGE), SUCCESS), Folder::Inbox)
        .await
        .unwrap();
    assert_eq!(house.queue().await[1..], ["<> x@s.ex Never"]);
    house.accept(with_notify(mail("", &["alice@o.ex"], MESSAGE), SUCCESS), Folder::Inbox).await.unwrap();
    assert_eq!(house.queue().await.len(), 2);
}

/// Nobody gets two copies, unless two wishes would have to be one.
#[tokio::test]
async fn one_address_by_two_ways_keeps_both_wishes() {
    for (wishes, want) in [
        ([Notify::Default, Notify::Default], &["out@o.ex Default"][..]),
        ([Notify::Default, SUCCESS], &["out@o.ex Default", "- On"]),
        ([Notify::Never, Notify::Default], &["out@o.ex Never", "- Default"]),
    ] {
        let house = House::build().await;
        let mut sent = mail("bob@o.ex", &["out@o.ex", "far@e.ex"], MESSAGE);
        for (recipient, notify) in sent.envelope.recipients.iter_mut().zip(wishes) {
            recipient.notify = notify;
        }
        assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((0, want.len())));
        let mut got = Vec::new();
        for job in house.store.queue(None, 100).await.unwrap() {
            for one in job.recipients {
                let original = one.recipient.original.map_or("-".to_owned(), |original| original.address);
                got.push(format!("{original} {:?}", one.recipient.notify));
            }
        }
        let fits = got.len() == want.len() && got.iter().zip(want).all(|(got, want)| got.starts_with(want));
        assert!(fits, "{got:?}, not {want:?}");
    }
}

#[tokio::test]
async fn nobody_left_is_a_refusal() {
    let house = House::build().await;
    for (to, want) in [(vec!["nobody@o.ex"], "550 5.1.1"), (vec!["nobody@o.ex", "none@o.ex"], "550 5.1.1")] {
        let reply = house.accept(mail("x@s.ex", &to, MESSAGE), Folder::Inbox).await.unwrap_err();
        assert_eq!(format!("{} {}", reply.code, reply.status.unwrap()), want);
    }
    assert!(house.queue().await.is_empty());
    house.store.close().await;
    let reply = house.accept(mail("x@s.ex", &["alice@o.ex"], MESSAGE), Folder::Inbox).await.unwrap_err();
    assert_eq!(format!("{} {}", reply.code, reply.status.unwrap()), "451 4.3.2");
}

#[tokio::test]
async fn a_large_message_is_kept_as_it_came() {
    let house = House::build().await;
    let mut spool = mail::Spool::new(house.store.spool_dir());
    spool.push(MESSAGE.as_bytes()).unwrap();
    for n in 0..6000 {
        spool
            .push(format!("line {n} of a message that is larger than what is kept in memory\r\n").as_bytes())
            .unwrap();
    }
    let blob = spool.finish();
    assert!(blob.as_memory().is_none());
    let mut sent = mail("x@s.ex", &["alice@o.ex"], "");
    sent.message.received = blob.clone();
    assert_eq!(house.accept(sent, Folder::Inbox).await, Ok((1, 0)));
    let got = house.messages("alice@o.ex", "INBOX").await;
    assert!(got[0].ends_with(&String::from_utf8(blob.to_vec().unwrap()).unwrap()));
}

#[tokio::test]
async fn new_rules_hold_from_the_next_message_on() {
    let house = House::build().await;
    let config = RouteConfig {
        hostname: domain("mx.o.ex"),
        local_domains: vec![domain("o.ex"), domain("n.ex")],
        aliases: Aliases::default(),
        subaddress: None,
        postmaster: Some(address("bob@o.ex")),
    };
    let router = Router::load(config, house.store.clone(), house.world.clone()).await.unwrap();
    assert_eq!(router.bare_postmaster().unwrap().to_string(), "postmaster@o.ex");
    house.intake.set_router(Arc::new(router));
    assert_eq!(house.accept(mail("x@s.ex", &["postmaster@n.ex"], MESSAGE), Folder::Inbox).await, Ok((1, 0)));
    assert_eq!(house.messages("bob@o.ex", "INBOX").await.len(), 1);
    assert!(house.accept(mail("x@s.ex", &["alice+x@o.ex"], MESSAGE), Folder::Inbox).await.is_err());
}

/// What was answered 250 is in the mailbox or its sender hears that it is not: also if a quota is found to be used up only
/// when the message is filed.
#[tokio::test]
async fn who_is_full_and_whose_sender_cannot_be_told_gets_it_in_spite_of_the_quota() {
    let failure = Notify::On { success: false, failure: true, delay: false };
    for (from, notify, alice, told) in [
        ("x@s.ex", Notify::Default, 0, "<> x@s.ex Never"),
        ("x@s.ex", failure, 0, "<> x@s.ex Never"),
        ("x@s.ex", Notify::Never, 1, ""),
        ("x@s.ex", SUCCESS, 1, "<> x@s.ex Never"),
        ("", Notify::Default, 1, ""),
        // Nobody is there to be told.
        ("gone@o.ex", Notify::Default, 1, ""),
    ] {
        let house = House::build().await;
        let none = storage::Limits { messages: storage::Limit::At(0), ..storage::Limits::default() };
        house.store.set_limits("alice@o.ex", none).await.unwrap();
        let sent = || with_notify(mail(from, &["alice@o.ex", "bob@o.ex"], MESSAGE), notify);
        assert_eq!(house.accept(sent(), Folder::Inbox).await, Ok((1 + alice, 0)), "{from} {notify:?}");
        assert_eq!(house.messages("alice@o.ex", "INBOX").await.len(), alice, "{from} {notify:?}");
        assert_eq!(house.messages("bob@o.ex", "INBOX").await.len(), 1, "{from} {notify:?}");
        let queue = house.queue().await;
        assert_eq!(queue.len(), usize::from(!told.is_empty()), "{from} {notify:?} {queue:?}");
        assert!(queue.iter().all(|line| line == told), "{from} {notify:?} {queue:?}");
        // Where nobody would get it, it waits with its sender, whoever that is.
        house.store.set_limits("bob@o.ex", none).await.unwrap();
        let reply = house.accept(sent(), Folder::Inbox).await.unwrap_err();
        assert_eq!(format!("{} {}", reply.code, reply.status.unwrap()), "452 4.2.2", "{from} {notify:?}");
        assert_eq!(house.messages("bob@o.ex", "INBOX").await.len(), 1, "{from} {notify:?}");
    }
}
