//! Local programs and a real store: who may write as whom, who gets it, and what is refused.

use super::*;
use delivery::{RouteConfig, Router};
use smtp_door::Pattern;
use std::sync::Arc;
use storage::{Columns, Store, UidSet};

struct House {
    desk: LocalDesk,
    store: Store,
    _dir: tempfile::TempDir,
}

async fn house(config: LocalConfig) -> House {
    let dir = tempfile::tempdir().unwrap();
    let world = world::fake::world(5);
    let store = Store::open(storage::Config::new(dir.path()), world.clone()).await.unwrap();
    store.create_account("alice@o.ex").await.unwrap();
    let domain = |name: &str| Domain::parse(name).unwrap();
    let route = RouteConfig {
        hostname: domain("box.o.ex"),
        local_domains: vec![domain("o.ex")],
        aliases: delivery::Aliases::default(),
        subaddress: None,
        postmaster: None,
    };
    let router = Router::load(route, store.clone(), world.clone()).await.unwrap();
    let intake = Intake::new(Arc::new(router), store.clone(), world.clone());
    let spool_dir = store.spool_dir().to_owned();
    House {
        desk: LocalDesk { config, intake, world, spool_dir, size_max: 10_000, pace: Pace::default() },
        store,
        _dir: dir,
    }
}

impl House {
    async fn inbox(&self) -> Vec<String> {
        let account = self.store.account("alice@o.ex").await.unwrap().unwrap().id;
        let mailbox = self.store.mailbox(account, "INBOX").await.unwrap().id;
        let rows = self.store.fetch(mailbox, &UidSet::all(), Columns::MESSAGE, 100).await.unwrap();
        let text =
            |row: &storage::Row| String::from_utf8(row.message.as_ref().unwrap().to_vec().unwrap()).unwrap();
        rows.iter().map(text).collect()
    }

    async fn queue(&self) -> Vec<String> {
        let jobs = self.store.queue(None, 10).await.unwrap();
        let to = |job: &storage::Job| {
            job.recipients.iter().map(|one| one.recipient.address.to_string()).collect::<Vec<_>>().join(" ")
        };
        jobs.iter().map(|job| format!("<{}> {}", job.from, to(job))).collect()
    }

    async fn say(&self, user: &LocalUser, order: Order, message: &str) -> String {
        match self.desk.take(user, order, message.as_bytes().to_vec()).await {
            Ok(_) => "ok".to_owned(),
            Err(reply) => reply.to_string(),
        }
    }
}

fn user(name: &str) -> LocalUser {
    LocalUser { uid: 1000, name: name.to_owned(), rank: Rank::Usual }
}

fn to(recipients: &[&str]) -> Order {
    Order {
        from: None,
        full_name: None,
        recipients: recipients.iter().map(|one| (*one).to_owned()).collect(),
        take: Recipients::Given,
        notify: Notify::Default,
        ret: None,
        envid: None,
    }
}

#[tokio::test]
async fn cron_writes_to_alice() {
    let house = house(LocalConfig::default()).await;
    let text = "From: root (Cron Daemon)\nTo: alice@o.ex\nSubject: Cron\n\n10%\r20%\ndone\n.\nmore\n";
    let root = LocalUser { uid: 0, name: "root".to_owned(), rank: Rank::Trusted };
    assert_eq!(house.say(&root, to(&["alice@o.ex"]), text).await, "ok");
    let mail = house.inbox().await.remove(0).replace("\r\n\t", " ");
    assert!(mail.contains("Return-Path: <root@box.o.ex>\r\n"), "{mail}");
    assert!(mail.contains("Received: by box.o.ex (from userid 0) id "), "{mail}");
    assert!(mail.contains("\r\nFrom: root@box.o.ex (Cron Daemon)\r\n"), "{mail}");
    assert!(mail.contains("\r\nDate: ") && mail.contains("\r\nMessage-ID: <"), "{mail}");
    assert!(mail.ends_with("\r\n\r\n10%\r\n20%\r\ndone\r\n.\r\nmore\r\n"), "{mail}");
}

#[tokio::test]
async fn recipients_come_from_the_header_too() {
    let house =
        house(LocalConfig { domain: Some(Domain::parse("o.ex").unwrap()), ..LocalConfig::default() }).await;
    let text = "To: alice, Far <far@e.ex>\nCc: friends: ALICE@o.ex;\nBcc: blind@e.ex\n\nhi\n";
    let order =
        Order { take: Recipients::AndOfHeader, full_name: Some("The Web".to_owned()), ..to(&["other@e.ex"]) };
    assert_eq!(house.say(&user("www"), order, text).await, "ok");
    let mail = house.inbox().await.remove(0);
    assert!(mail.contains("\r\nFrom: \"The Web\" <www@o.ex>\r\n") && !mail.contains("blind"), "{mail}");
    assert_eq!(house.queue().await, ["<www@o.ex> other@e.ex far@e.ex blind@e.ex"]);
    let order = Order { take: Recipients::AndOfHeader, ..to(&[]) };
    assert_eq!(
        house.say(&user("www"), order.clone(), "Subject: x\n\nhi").await,
        "554 5.5.4 There are no recipients"
    );
    let bad = house.say(&user("www"), order, "To: alice@@o.ex, <>\n\nhi").await;
    assert!(bad.starts_with("501 5.1.3 The field To") || bad.starts_with("554 5.5.4"), "{bad}");
}

#[tokio::test]
async fn nobody_writes_in_another_name() {
    let patterns = vec![
        ("www".to_owned(), vec![As::parse("shop@o.ex").unwrap()]),
        ("away".to_owned(), vec![As::Nobody]),
    ];
    let house = house(LocalConfig { users: patterns, ..LocalConfig::default() }).await;
    let message = |from: &str| format!("From: {from}\nSubject: x\n\nhi\n");
    let as_ = |from: &str| Order { from: Some(from.to_owned()), ..to(&["alice@o.ex"]) };
    for (name, envelope, from, want) in [
        ("www", "shop@o.ex", "shop@o.ex", "ok"),
        ("www", "", "www", "550 5.7.1 The user www may not leave out the sender"),
        ("away", "", "away", "ok"),
        ("away", "<>", "alice@o.ex", "550 5.7.1 The user away may not write as <alice@o.ex>, named in From"),
        ("www", "<www@BOX.o.ex>", "www@box.o.ex", "ok"),
        (
            "www",
            "shop@o.ex",
            "alice@o.ex",
            "550 5.7.1 The user www may not write as <alice@o.ex>, named in From",
        ),
        ("www", "alice@o.ex", "www", "550 5.7.1 The user www may not write as <alice@o.ex>, the sender"),
        ("bob", "bob", "shop@o.ex", "550 5.7.1 The user bob may not write as <shop@o.ex>"),
        (
            "bob",
            "bob",
            "bob <bob@box.o.ex>\nSender: alice@o.ex",
            "550 5.7.1 The user bob may not write as <alice",
        ),
        ("bob", "a b", "bob", "501 5.1.3"),
    ] {
        let said = house.say(&user(name), as_(envelope), &message(from)).await;
        assert!(said.starts_with(want), "{name} {envelope} {from}: {said}");
    }
    let trusted = LocalUser { rank: Rank::Trusted, ..user("root") };
    assert_eq!(house.say(&trusted, as_("alice@o.ex"), &message("any@where.ex")).await, "ok");
}

#[tokio::test]
async fn lists_hold_for_everybody() {
    let pattern = |text: &str| vec![Pattern::parse(text).unwrap()];
    let config = LocalConfig {
        senders: pattern("@box.o.ex"),
        recipients: pattern("alice@o.ex"),
        ..LocalConfig::default()
    };
    let house = house(config).await;
    let root = LocalUser { rank: Rank::Trusted, ..user("root") };
    let text = "Subject: x\n\nhi";
    assert_eq!(house.say(&root, to(&["alice@o.ex"]), text).await, "ok");
    assert!(house.say(&root, to(&["far@e.ex"]), text).await.starts_with("550 5.7.1 <far@e.ex> is not among"));
    let other = Order { from: Some("x@o.ex".to_owned()), ..to(&["alice@o.ex"]) };
    assert!(house.say(&root, other, text).await.starts_with("550 5.7.1 <x@o.ex>, the sender, is not among"));
    assert!(house.say(&root, to(&["alice@o.ex", "nobody@o.ex"]), text).await.starts_with("550 5.1.1"));
    assert_eq!(house.inbox().await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_delivered_is_refused_as_a_whole() {
    let house = house(LocalConfig::default()).await;
    let text = "Subject: x\n\nhi";
    let said = house.say(&user("bob"), to(&["alice@o.ex", "nobody@o.ex"]), text).await;
    assert!(said.starts_with("550 5.1.1 "), "{said}");
    assert!(house.inbox().await.is_empty());
    let many: Vec<String> = (0..=RECIPIENTS_MAX).map(|n| format!("a{n}@e.ex")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(house.say(&user("bob"), to(&many), text).await.starts_with("452 4.5.3"));
    assert!(house.say(&user("bob"), to(&["alice@o.ex"]), &"x".repeat(10_001)).await.starts_with("552 5.3.4"));
    assert!(
        house
            .say(&user("bob"), to(&["alice@o.ex"]), "From: a@b\nFrom: c@d\n\n")
            .await
            .starts_with("550 5.6.0")
    );
}

#[tokio::test]
async fn one_user_sends_so_often_and_so_much() {
    let config = LocalConfig { rate: policy::Rate::parse("3/1m").ok(), ..LocalConfig::default() };
    let house = house(config).await;
    let text = "Subject: x\n\nhi";
    for _ in 0..3 {
        assert_eq!(house.say(&user("www"), to(&["alice@o.ex"]), text).await, "ok");
    }
    let said = house.say(&user("www"), to(&["alice@o.ex"]), text).await;
    assert!(said.starts_with("451 4.7.1 The user www sends too often (more than 3/1m)"), "{said}");
    let root = LocalUser { uid: 0, rank: Rank::Trusted, ..user("root") };
    for _ in 0..4 {
        assert_eq!(house.say(&root, to(&["alice@o.ex"]), text).await, "ok");
    }
    let limits = storage::DailyLimits { messages: Some(5), new_recipients: Some(2) };
    house.store.set_configured_sending(limits);
    assert_eq!(house.say(&root, to(&["a@e.ex"]), text).await, "ok");
    let said = house.say(&root, to(&["alice@o.ex"]), text).await;
    assert!(said.starts_with("451 4.7.1 sendmail:root has sent the 5 messages"), "{said}");
    let other = LocalUser { uid: 1001, ..user("bob") };
    let said = house.say(&other, to(&["a@e.ex", "b@e.ex", "c@e.ex"]), text).await;
    assert!(said.starts_with("450 4.7.1 sendmail:bob has written to as many new recipients"), "{said}");
    assert_eq!(house.store.sending("sendmail:bob").await.unwrap().messages, 0);
}
