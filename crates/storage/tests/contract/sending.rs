//! What may be sent in a day: counted with the message, over restarts, and never more than is allowed.

use crate::help::*;
use std::time::Duration;
use storage::*;

const WHO: &str = "a@a.example";

fn mail(text: &str, to: &[&str]) -> Acceptance {
    let recipients = to.iter().map(|to| (*to).to_owned()).collect();
    let charge = Some(Charge::Sent { sender: WHO.to_owned(), recipients });
    Acceptance { charge, ..acceptance(text, &[], &["x@far.example"]) }
}

fn limits(messages: u64, new_recipients: u64) -> DailyLimits {
    DailyLimits { messages: Some(messages), new_recipients: Some(new_recipients) }
}

/// `ok`, or what was reached.
async fn send(bench: &Bench, to: &[&str]) -> String {
    match bench.store.accept(mail("x", to)).await {
        Ok(_) => "ok".to_owned(),
        Err(Error::SendingLimit(exceeded)) => format!("{:?} {}", exceeded.counted, exceeded.limit),
        Err(other) => panic!("{other}"),
    }
}

async fn counts(bench: &Bench) -> (u64, u64, u64) {
    let standing = bench.store.sending(WHO).await.unwrap();
    (standing.messages, standing.new_recipients, standing.known)
}

#[tokio::test]
async fn a_day_has_its_limits_and_a_restart_changes_nothing() {
    let mut bench = Bench::with(|config| config.sending = limits(4, 3)).await;
    assert_eq!(send(&bench, &["b", "c"]).await, "ok");
    // The same address twice is one.
    assert_eq!(send(&bench, &["c", "c", "d"]).await, "ok");
    assert_eq!(send(&bench, &["e"]).await, "NewRecipients 3");
    assert_eq!(bench.store.new_recipients(WHO, &["b".into(), "e".into(), "e".into()]).await, Ok(1));
    bench.reopen_with(|config| config.sending = limits(4, 3)).await;
    assert_eq!(send(&bench, &["b", "e"]).await, "NewRecipients 3");
    assert_eq!(send(&bench, &["b"]).await, "ok");
    assert_eq!(send(&bench, &["b"]).await, "ok");
    assert_eq!(send(&bench, &["b"]).await, "Messages 4");
    assert_eq!(counts(&bench).await, (4, 3, 3));
    // What was refused is not there.
    assert_eq!(bench.store.queue(None, 100).await.unwrap().len(), 4);
    let until = bench.store.sending(WHO).await.unwrap().until;
    assert!(until % 86_400 == 0 && until > bench.world.clock.unix(), "{until}");
    bench.clock.advance(Duration::from_secs(86_400));
    assert_eq!(counts(&bench).await, (0, 0, 3));
    assert_eq!(send(&bench, &["b", "c", "d", "e", "f", "g"]).await, "ok");
    assert_eq!(counts(&bench).await, (1, 3, 6));
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn those_who_share_a_commit_share_the_day() {
    let bench = Bench::with(|config| config.sending = limits(7, 100)).await;
    let texts: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let work = texts.iter().map(|text| bench.store.accept(mail(text, &[text])));
    let outcomes = futures_util::future::join_all(work).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(counts(&bench).await, (7, 7, 7));
    assert_eq!(bench.store.queue(None, 100).await.unwrap().len(), 7);
    // What fails for another reason is not counted.
    bench.store.set_configured_sending(DailyLimits::default());
    let refused =
        Acceptance { filings: acceptance("x", &["nobody@a.example"], &[]).filings, ..mail("x", &["z"]) };
    assert_eq!(bench.store.accept(refused).await, Err(Error::NoSuchAccount("nobody@a.example".into())));
    assert_eq!(counts(&bench).await, (7, 7, 7));
}

#[tokio::test]
async fn limits_of_ones_own_come_first() {
    let bench = Bench::with(|config| config.sending = limits(1, 1)).await;
    let own = OwnLimits { messages: Limit::Unlimited, new_recipients: Limit::At(2) };
    bench.store.set_sending_limits(WHO, own).await.unwrap();
    for to in ["b", "c", "b"] {
        assert_eq!(send(&bench, &[to]).await, "ok");
    }
    assert_eq!(send(&bench, &["d"]).await, "NewRecipients 2");
    let standing = bench.store.sending(WHO).await.unwrap();
    assert_eq!((standing.own, standing.limits.messages), (own, None));
    bench.store.reset_sending(WHO).await.unwrap();
    assert_eq!(send(&bench, &["d"]).await, "ok");
    bench.store.set_sending_limits(WHO, OwnLimits::default()).await.unwrap();
    assert_eq!(send(&bench, &["b"]).await, "Messages 1");
    assert_eq!(bench.store.sendings().await.unwrap().len(), 1);
    assert_eq!(bench.store.sending("nobody").await.unwrap().messages, 0);
}

#[tokio::test]
async fn one_notice_a_day_is_taken() {
    let bench = Bench::new().await;
    let notice = || Acceptance {
        charge: Some(Charge::Notice { sender: WHO.to_owned() }),
        ..acceptance("you may send no more", &[], &["x@far.example"])
    };
    assert!(!bench.store.sending(WHO).await.unwrap().is_told);
    bench.store.accept(notice()).await.unwrap();
    assert!(bench.store.sending(WHO).await.unwrap().is_told);
    assert_eq!(bench.store.accept(notice()).await, Err(Error::ToldBefore));
    assert_eq!(counts(&bench).await, (0, 0, 0));
    bench.clock.advance(Duration::from_secs(86_400));
    bench.store.accept(notice()).await.unwrap();
    assert_eq!(bench.store.queue(None, 100).await.unwrap().len(), 2);
}

#[tokio::test]
async fn no_more_is_remembered_than_there_is_room_for() {
    let bench = Bench::new().await;
    let most = u64::try_from(KNOWN_MAX).unwrap();
    for round in 0..5 {
        let names: Vec<String> = (0..5000).map(|n| format!("{round}.{n}@far.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(send(&bench, &names).await, "ok");
        assert!(counts(&bench).await.2 <= most);
        bench.clock.advance(Duration::from_secs(10 * 86_400));
    }
    // The oldest went: all of the first round, and as many of the second as that was too few.
    let gone = 25_000 - counts(&bench).await.2;
    let new_of = async |round: usize| {
        let names: Vec<String> = (0..5000).map(|n| format!("{round}.{n}@far.example")).collect();
        bench.store.new_recipients(WHO, &names).await.unwrap()
    };
    assert_eq!((new_of(0).await, new_of(1).await, new_of(4).await), (5000, gone - 5000, 0));
    let name = bench.store.new_recipients(WHO, &["4.17@far.example".to_owned()]).await;
    assert_eq!(name, Ok(0));
    let never = bench.store.new_recipients(WHO, &["never@far.example".to_owned()]).await;
    assert_eq!(never, Ok(1));
}

#[tokio::test]
async fn a_sender_goes_with_its_login() {
    let bench = Bench::new().await;
    let hash = |name: &str| PasswordHash::new(format!("hash of {name}"));
    bench.store.create_user(WHO, &hash("a")).await.unwrap();
    assert_eq!(send(&bench, &["b"]).await, "ok");
    bench.store.rename_user(WHO, "b@a.example").await.unwrap();
    assert_eq!(counts(&bench).await, (0, 0, 0));
    assert_eq!(bench.store.sending("b@a.example").await.unwrap().known, 1);
    bench.store.remove_user("b@a.example").await.unwrap();
    assert_eq!(bench.store.sending("b@a.example").await.unwrap().known, 0);
    // One that has been idle for more than a year is forgotten when somebody else sends.
    assert_eq!(send(&bench, &["b"]).await, "ok");
    bench.clock.advance(Duration::from_secs(401 * 86_400));
    let other = Charge::Sent { sender: "c@a.example".to_owned(), recipients: vec!["b".to_owned()] };
    bench.store.accept(Acceptance { charge: Some(other), ..mail("y", &[]) }).await.unwrap();
    assert_eq!(bench.store.sendings().await.unwrap().len(), 1);
}

#[tokio::test]
async fn who_brought_a_message_is_kept_with_it() {
    let mut bench = Bench::new().await;
    let client = mail::Client {
        address: "2001:db8::1".parse().unwrap(),
        port: 4711,
        here: Some("[2001:db8::2]:587".parse().unwrap()),
        hello: Some("a \"b\".example".to_owned()),
        extended: true,
        name: None,
        login: Some("alice@a.example".to_owned()),
    };
    let mut new = acceptance("x", &[], &["x@far.example"]);
    new.jobs[0].client = Some(client.clone());
    bench.store.accept(new).await.unwrap();
    bench.store.accept(acceptance("y", &[], &["y@near.example"])).await.unwrap();
    bench.reopen().await;
    let claims = bench.store.claim_due(NOW, 10, Duration::from_secs(60)).await.unwrap();
    let mut found: Vec<_> = claims.into_iter().map(|claim| claim.client).collect();
    found.sort_by_key(Option::is_some);
    assert_eq!(found, [None, Some(client)]);
}
