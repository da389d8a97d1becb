//! What is kept of attempts, what senders wish for their messages, and addresses that keep failing.

use crate::fake_mx::FakeMx;
use crate::house::{House, address, config};
use delivery::Arrival;
use delivery::config::Config;
use mail::{
    Blob, ByMode, DeliverBy, Envelope, Mail, MailParams, Message, Notify, Priority, Recipient, Release,
    ReversePath,
};
use storage::{FailingRule, QueueFilter};
use world::Clock;

const TEXT: &str = "Subject: hello\r\n\r\ntext\r\n";

async fn send(house: &House, to: &[&str], params: MailParams) -> String {
    let recipients = to.iter().map(|to| Recipient::plain(address(to))).collect();
    let envelope = Envelope { from: ReversePath::Address(address("alice@o.ex")), params, recipients };
    let message = Message::new(Blob::from_bytes(TEXT.as_bytes()));
    let id = house.world.random.word(12);
    let arrival = Arrival::own(id.as_str());
    house.intake.accept(Mail { envelope, message }, arrival).await.unwrap();
    id
}

async fn host(offers: &[&str]) -> (House, FakeMx, Config) {
    let mx = FakeMx::start("127.0.0.2:0", "mx.e.ex", offers).await;
    let config = config(mx.address.port());
    (House::build().await, mx, config)
}

#[tokio::test]
async fn each_answer_is_kept() {
    let (mut house, mx, config) = host(&["PIPELINING", "ENHANCEDSTATUSCODES"]).await;
    mx.rule("RCPT TO:<b@", &["550 5.1.1 who is that"]);
    mx.rule("RCPT TO:<c@", &["451 4.7.1 not yet", "451 4.7.1 not yet"]);
    let id =
        send(&house, &["a@e.ex", "b@e.ex", "c@e.ex", "d@e.ex", "x@slow.ex"], MailParams::default()).await;
    house.work(config);
    house.queue_is(&["c@e.ex 1 451 4.7.1", "x@slow.ex 1 451 4.4.3"]).await;
    house.later(300).await;
    house.queue_is(&["c@e.ex 2 451 4.7.1", "x@slow.ex 2 451 4.4.3"]).await;
    let port = mx.address.port();
    let mut kept: Vec<String> = house
        .store
        .attempts_of_mail(&id)
        .await
        .unwrap()
        .into_iter()
        .map(|kept| kept.attempt)
        .map(|one| {
            let place = format!("{} {}", one.host, one.address).replace(&format!(":{port}"), ":25");
            format!(
                "{} [{place}] {} {:?} {} {}",
                one.domain, one.recipients, one.result, one.tls, one.reply.code
            )
        })
        .collect();
    kept.sort();
    let first_host = "e.ex [mx1.e.ex 127.0.0.2:25]";
    assert_eq!(
        kept,
        [
            format!("{first_host} a@e.ex d@e.ex Delivered none opportunistic 250"),
            format!("{first_host} b@e.ex Failed none opportunistic 550"),
            format!("{first_host} c@e.ex Deferred none opportunistic 451"),
            format!("{first_host} c@e.ex Deferred none opportunistic 451"),
            "slow.ex [ ] x@slow.ex NoWay  451".to_owned(),
            "slow.ex [ ] x@slow.ex NoWay  451".to_owned(),
        ]
    );
    house.stop().await;
}

#[tokio::test]
async fn nobody_gets_it_before_its_time() {
    let (mut house, mx, config) = host(&["PIPELINING"]).await;
    let params = MailParams { release: Some(Release::After(3600)), ..MailParams::default() };
    send(&house, &["a@e.ex", "alice@o.ex", "out@o.ex", "nobody@o.ex"], params).await;
    house.work(config);
    house.queue_is(&["a@e.ex 0 -", "alice@o.ex 0 -", "out@o.ex 0 -"]).await;
    house.later(3599).await;
    assert!(mx.messages().is_empty());
    assert_eq!(house.notices().await, ["nobody@o.ex failed 5.1.1"], "who is unknown is told at once");
    house.clock.advance(std::time::Duration::from_secs(1));
    // The bell wakes the worker, which would look by itself within a minute.
    house.store.unhold(QueueFilter::default()).await.unwrap();
    house.queue_is(&[]).await;
    // far@e.ex is what the alias out@o.ex leads to.
    let mut to: Vec<String> = mx.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    to.sort();
    assert_eq!(to, ["RCPT TO:<a@e.ex>", "RCPT TO:<far@e.ex>"]);
    let inbox = house.inbox().await;
    let filed: Vec<&String> = inbox.iter().filter(|text| text.contains("Subject: hello")).collect();
    assert!(
        filed.iter().any(|text| text.starts_with("Return-Path: <alice@o.ex>\r\nDelivered-To: alice@o.ex")),
        "{inbox:?}"
    );
    house.stop().await;
}

#[tokio::test]
async fn what_is_sent_to_us_by_hand_is_filed() {
    let (mut house, _mx, config) = host(&["PIPELINING"]).await;
    send(&house, &["a@slow.ex", "b@slow.ex"], MailParams::default()).await;
    house.store.hold(QueueFilter::default(), house.clock.unix()).await.unwrap();
    let job = house.store.queue(None, 1).await.unwrap()[0].id;
    for (old, new) in [("a@slow.ex", "alice@o.ex"), ("b@slow.ex", "unknown@o.ex")] {
        let edit = storage::Edit::Recipient { old: address(old), new: address(new) };
        house.store.edit_job(job, edit, house.clock.unix()).await.unwrap();
    }
    house.store.unhold(QueueFilter::default()).await.unwrap();
    house.work(config);
    house.queue_is(&[]).await;
    let inbox = house.inbox().await;
    assert_eq!(inbox.len(), 2, "the message, and the notice about the other recipient");
    assert_eq!(house.notices().await, ["unknown@o.ex failed 5.1.1"]);
    let notice = inbox.iter().find(|text| text.contains("Original-Recipient: rfc822; b@slow.ex"));
    assert!(notice.is_some(), "{inbox:?}");
    house.stop().await;
}

#[tokio::test]
async fn priority_and_time_are_handed_on() {
    let by = |seconds, mode| Some(DeliverBy { seconds, mode, trace: false });
    let (mut house, mx, config) = host(&["PIPELINING", "MT-PRIORITY", "DELIVERBY"]).await;
    let priority = Priority::new(-4).unwrap();
    send(&house, &["a@e.ex"], MailParams { priority, by: by(600, ByMode::Return), ..MailParams::default() })
        .await;
    house.clock.advance(std::time::Duration::from_secs(60));
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(mx.heard()[1], "MAIL FROM:<alice@o.ex> MT-PRIORITY=-4 BY=540;R");
    house.stop().await;
}

#[tokio::test]
async fn who_promises_no_time_does_not_get_what_must_be_in_time() {
    let (mut house, mx, config) = host(&["PIPELINING"]).await;
    let by = |seconds, mode, trace| MailParams {
        by: Some(DeliverBy { seconds, mode, trace }),
        ..MailParams::default()
    };
    send(&house, &["return@e.ex"], by(600, ByMode::Return, false)).await;
    send(&house, &["notify@e.ex"], by(600, ByMode::Notify, false)).await;
    send(&house, &["trace@e.ex"], by(600, ByMode::Notify, true)).await;
    house.work(config);
    house.queue_is(&[]).await;
    let mut notices = house.notices().await;
    notices.sort();
    assert_eq!(
        notices,
        ["notify@e.ex relayed 2.0.0", "return@e.ex failed 5.3.3", "trace@e.ex relayed 2.0.0"]
    );
    assert_eq!(mx.messages().len(), 2);
    house.stop().await;
}

/// RFC 2852 §4.1.4.2: who promises no time may promise notices of delay, and when the time is over it has been told already.
#[tokio::test]
async fn who_promises_no_time_is_asked_to_tell_of_delay() {
    let (mut house, mx, config) = host(&["PIPELINING", "DSN", "MT-PRIORITY"]).await;
    let by = |seconds, mode| MailParams {
        by: Some(DeliverBy { seconds, mode, trace: false }),
        ..MailParams::default()
    };
    send(&house, &["notify@e.ex"], by(600, ByMode::Notify)).await;
    send(&house, &["late@e.ex"], by(-5, ByMode::Notify)).await;
    house.work(config);
    house.queue_is(&[]).await;
    let mut rcpt: Vec<String> = mx.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
    rcpt.sort();
    assert_eq!(rcpt, ["RCPT TO:<late@e.ex>", "RCPT TO:<notify@e.ex> NOTIFY=FAILURE,DELAY"]);
    assert_eq!(house.notices().await, ["notify@e.ex relayed 2.0.0"]);
    assert!(mx.heard().contains(&"MAIL FROM:<alice@o.ex> MT-PRIORITY=0".to_owned()), "{:?}", mx.heard());
    house.stop().await;
}

#[tokio::test]
async fn what_is_late_goes_back_or_is_told() {
    let (mut house, mx, config) = host(&["PIPELINING", "DELIVERBY"]).await;
    mx.rule("RCPT", &["451 4.7.1 not yet"; 4]);
    let by = |mode| MailParams {
        by: Some(DeliverBy { seconds: 200, mode, trace: false }),
        ..MailParams::default()
    };
    send(&house, &["return@e.ex"], by(ByMode::Return)).await;
    send(&house, &["notify@e.ex"], by(ByMode::Notify)).await;
    house.work(config);
    house.queue_is(&["return@e.ex 1 451", "notify@e.ex 1 451"]).await;
    let due: Vec<i64> =
        house.store.queue(None, 9).await.unwrap().iter().map(|job| job.recipients[0].due).collect();
    assert!(due.iter().all(|due| *due <= house.clock.unix() + 300), "no wait goes past the time");
    house.later(200).await;
    house.queue_is(&["notify@e.ex 2 451"]).await;
    let mut notices = house.notices().await;
    notices.sort();
    assert_eq!(notices, ["notify@e.ex delayed 4.4.7", "return@e.ex failed 5.4.7"]);
    let heard = mx.heard();
    let tries = heard.iter().filter(|line| line.starts_with("RCPT TO:<return@")).count();
    assert_eq!(tries, 1, "once it is late it is not offered any more: {heard:?}");
    house.stop().await;
}

/// The usual notice comes first, and in its time that of the time that is over.
#[tokio::test]
async fn a_time_behind_the_usual_notice_is_told_as_well() {
    let (mut house, mx, config) = host(&["PIPELINING", "DELIVERBY"]).await;
    mx.rule("RCPT", &["451 4.7.1 not yet"; 40]);
    let by = Some(DeliverBy { seconds: 5 * 3600, mode: ByMode::Notify, trace: false });
    send(&house, &["notify@e.ex"], MailParams { by, ..MailParams::default() }).await;
    house.work(config);
    house.queue_is(&["notify@e.ex 1 451"]).await;
    house.later(4 * 3600).await;
    house.queue_is(&["notify@e.ex 2 451"]).await;
    let due = house.store.queue(None, 9).await.unwrap()[0].recipients[0].due;
    assert!(due <= house.clock.unix() + 3600, "one try falls on the end of its time");
    house.later(3600).await;
    house.queue_is(&["notify@e.ex 3 451"]).await;
    house.later(9 * 3600).await;
    house.queue_is(&["notify@e.ex 4 451"]).await;
    let mut notices = house.notices().await;
    notices.sort();
    assert_eq!(notices, ["notify@e.ex delayed 4.4.7", "notify@e.ex delayed 4.7.1"]);
    house.stop().await;
}

#[tokio::test]
async fn refusals_of_an_address_are_counted() {
    let (mut house, mx, config) = host(&["PIPELINING", "ENHANCEDSTATUSCODES"]).await;
    mx.rule("RCPT TO:<gone@", &["550 5.1.1 who"; 2]);
    mx.rule("RCPT TO:<spam@", &["550 5.7.1 not from you"; 2]);
    let rule = FailingRule { after: 2, within: 1000, keep: 1000 };
    house.work(Config { suppress: Some(rule), ..config });
    for _ in 0..2 {
        send(&house, &["gone@e.ex", "spam@e.ex"], MailParams::default()).await;
        house.queue_is(&[]).await;
    }
    let found = house.store.suppressions("").await.unwrap();
    let shown: Vec<_> = found.iter().map(|one| (one.address.as_str(), one.reason.as_str())).collect();
    assert_eq!(
        shown,
        [("gone@e.ex", "550 5.1.1 who")],
        "a refusal of the sender says nothing of the address"
    );
    let router = house.intake.router();
    let resolved = router.resolve(&address("Gone@e.ex")).await;
    let reply = router.suppressed(&address("Gone@e.ex"), &resolved).await.unwrap();
    assert!(
        reply.to_string().starts_with("550 5.1.1 Nothing is sent from here to <Gone@e.ex> until "),
        "{reply}"
    );
    assert!(
        reply.to_string().ends_with("it was refused 2 times, the last time with: 550 5.1.1 who"),
        "{reply}"
    );
    assert_eq!(router.suppressed(&address("spam@e.ex"), &resolved).await, None);
    house.stop().await;
}

#[tokio::test]
async fn success_of_what_is_filed_here_is_told() {
    let (mut house, _mx, config) = host(&[]).await;
    let recipient = Recipient {
        notify: Notify::On { success: true, failure: true, delay: false },
        ..Recipient::plain(address("alice@o.ex"))
    };
    let params = MailParams { release: Some(Release::After(60)), ..MailParams::default() };
    let envelope =
        Envelope { from: ReversePath::Address(address("alice@o.ex")), params, recipients: vec![recipient] };
    let message = Message::new(Blob::from_bytes(TEXT.as_bytes()));
    let arrival = Arrival::own("later");
    house.intake.accept(Mail { envelope, message }, arrival).await.unwrap();
    assert!(house.inbox().await.is_empty());
    house.clock.advance(std::time::Duration::from_secs(60));
    house.work(config);
    house.queue_is(&[]).await;
    assert_eq!(house.notices().await, ["alice@o.ex delivered 2.1.5"]);
    let inbox = house.inbox().await;
    assert_eq!(inbox.len(), 2);
    let notice = inbox.iter().find(|text| text.contains("Action: delivered")).unwrap();
    assert!(
        notice.contains("Arrival-Date: ") && notice.contains("Future-Release-Request: for;60\r\n"),
        "{notice}"
    );
    house.stop().await;
}
