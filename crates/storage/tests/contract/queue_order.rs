//! Who is next: by priority, by domain, by due time; what is held stays.

use crate::help::*;
use crate::queue::outcome;
use mail::Priority;
use std::time::Duration;
use storage::*;

const LEASE: Duration = Duration::from_secs(600);

/// `job domain` of each claim.
fn told(claims: &[Claim]) -> Vec<String> {
    claims.iter().map(|claim| format!("{} {}", claim.job, claim.domain)).collect()
}

async fn put(bench: &Bench, to: &str, priority: i64, due: i64) {
    let mut mail = acceptance("text", &[], &[to]);
    mail.jobs[0].envelope.params.priority = Priority::new(priority).unwrap();
    mail.jobs[0].due = NOW + due;
    bench.store.accept(mail).await.unwrap();
}

/// The places where something waits, which triggers keep: domains with the earliest time of each, seen from outside.
async fn places(bench: &Bench, domains: &[&str]) -> Vec<Option<i64>> {
    let mut out = Vec::new();
    for domain in domains {
        let others: Vec<String> =
            domains.iter().filter(|other| other != &domain).map(|other| (*other).to_owned()).collect();
        out.push(bench.store.next_due_except(&others).await.unwrap().map(|due| due - NOW));
    }
    out
}

#[tokio::test]
async fn one_large_destination_does_not_hide_the_others() {
    let bench = Bench::new().await;
    for _ in 0..50 {
        put(&bench, "a@big.example", 0, -100).await;
    }
    for n in 0..5 {
        put(&bench, &format!("a@small{n}.example"), 0, -10).await;
    }
    let claims = bench.store.claim_fairly(NOW, 8, 3, LEASE, &[]).await.unwrap();
    // One of each first, then the second of the one that has more.
    let want = ["1 big", "51 small0", "52 small1", "53 small2", "54 small3", "55 small4", "2 big", "3 big"];
    assert_eq!(told(&claims), want.map(|text| format!("{text}.example")));
    let big = ["big.example".to_owned()];
    assert_eq!(bench.store.claim_fairly(NOW, 8, 3, LEASE, &big).await, Ok(vec![]));
    let next = bench.store.claim_fairly(NOW, 2, 3, LEASE, &[]).await.unwrap();
    assert_eq!(told(&next), ["4 big.example", "5 big.example"], "in the order in which they came");
}

#[tokio::test]
async fn the_urgent_come_first() {
    let bench = Bench::new().await;
    put(&bench, "a@x.example", -3, -50).await;
    put(&bench, "b@x.example", 0, -40).await;
    put(&bench, "c@x.example", 9, -1).await;
    put(&bench, "d@x.example", 9, 60).await;
    put(&bench, "e@y.example", 2, -5).await;
    let claims = bench.store.claim_fairly(NOW, 1, 1, LEASE, &[]).await.unwrap();
    assert_eq!(told(&claims), ["3 x.example"]);
    let claims = bench.store.claim_due_whole(NOW, 2, LEASE).await.unwrap();
    assert_eq!(told(&claims), ["5 y.example", "2 x.example"]);
    let claims = bench.store.claim_fairly(NOW, 9, 9, LEASE, &[]).await.unwrap();
    assert_eq!(told(&claims), ["1 x.example"], "what is not due waits, urgent or not");
    let claim = &claims[0];
    assert_eq!(claim.params.priority.get(), -3);
}

#[tokio::test]
async fn places_follow_their_recipients() {
    let bench = Bench::new().await;
    let domains = ["x.example", "y.example"];
    put(&bench, "a@x.example", 0, 10).await;
    put(&bench, "b@x.example", 5, 20).await;
    put(&bench, "c@y.example", 0, 30).await;
    assert_eq!(places(&bench, &domains).await, [Some(10), Some(30)]);
    let claim = bench.store.claim_due(NOW + 10, 1, LEASE).await.unwrap().remove(0);
    assert_eq!(places(&bench, &domains).await, [Some(20), Some(30)]);
    bench.store.renew(&claim, NOW + 10, Duration::from_secs(5)).await.unwrap();
    assert_eq!(places(&bench, &domains).await, [Some(15), Some(30)]);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Again { due: NOW + 90 })];
    bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    let jobs = bench.store.queue(None, 10).await.unwrap();
    bench.store.remove_job(jobs[1].id).await.unwrap();
    assert_eq!(places(&bench, &domains).await, [Some(90), Some(30)]);
    let (old, new) = (address("c@y.example"), address("c@x.example"));
    bench.store.edit_job(jobs[2].id, Edit::Recipient { old, new }, NOW + 1).await.unwrap();
    assert_eq!(places(&bench, &domains).await, [Some(30), None], "it is not to go before its time");
    let (old, new) = (address("a@x.example"), address("a@y.example"));
    bench.store.edit_job(jobs[0].id, Edit::Recipient { old, new }, NOW + 50).await.unwrap();
    assert_eq!(places(&bench, &domains).await, [Some(30), Some(50)]);
    assert_eq!(bench.store.remove_jobs(QueueFilter::default()).await, Ok(2));
    assert_eq!(places(&bench, &domains).await, [None, None]);
    assert_eq!(bench.store.queue_length().await, Ok(0));
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn no_attempt_is_counted_where_none_was_made() {
    let bench = Bench::new().await;
    put(&bench, "a@x.example", 0, 0).await;
    let claim = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    let first = vec![outcome(&claim.recipients[0], Next::Again { due: NOW + 5 })];
    bench.store.settle(claim, first, vec![]).await.unwrap();
    let claim = bench.store.claim_due(NOW + 5, 1, LEASE).await.unwrap().remove(0);
    let second = vec![outcome(&claim.recipients[0], Next::Later { due: NOW + 50 })];
    bench.store.settle(claim, second, vec![]).await.unwrap();
    let recipient = bench.store.queue(None, 1).await.unwrap()[0].recipients[0].clone();
    assert_eq!((recipient.attempts, recipient.due), (1, NOW + 50));
    assert_eq!(recipient.last.unwrap().reply.to_string(), "451 later");
}

/// The names that a route gives: what goes below slow.example has one, whoever sends it; mail of one sender another.
fn by_route() -> LaneOf {
    std::sync::Arc::new(|from, domain| match domain.as_str() {
        _ if from.address().is_some_and(|from| from.local() == "news") => "news".to_owned(),
        name if name.ends_with("slow.example") => "host".to_owned(),
        name => name.to_owned(),
    })
}

#[tokio::test]
async fn what_goes_one_way_has_one_place() {
    let bench = Bench::new().await;
    // Three of these are named when they come, and two when the names change.
    for n in 0..2 {
        put(&bench, &format!("a@d{n}.slow.example"), 0, -50).await;
    }
    bench.store.set_lanes(by_route());
    for n in 2..5 {
        put(&bench, &format!("a@d{n}.slow.example"), 0, -40).await;
    }
    put(&bench, "b@x.example", 0, -10).await;
    let host = ["host".to_owned()];
    assert_eq!(bench.store.next_due_except(&host).await, Ok(Some(NOW - 50)), "of the first two");
    assert_eq!(bench.store.name_lanes().await, Ok(2));
    assert_eq!(bench.store.name_lanes().await, Ok(0));
    assert_eq!(bench.store.next_due_except(&host).await, Ok(Some(NOW - 10)));
    let claims = bench.store.claim_fairly(NOW, 9, 2, LEASE, &[]).await.unwrap();
    assert_eq!(told(&claims), ["1 d0.slow.example", "6 x.example", "2 d1.slow.example"]);
    assert_eq!(bench.store.claim_fairly(NOW, 9, 2, LEASE, &host).await, Ok(vec![]));
    // A recipient and a sender that are changed go another way.
    let edit = |old: &str, new: &str| Edit::Recipient {
        old: mail::Address::parse(old).unwrap(),
        new: mail::Address::parse(new).unwrap(),
    };
    bench.store.edit_job(JobId::from_number(3), edit("a@d2.slow.example", "a@y.example"), NOW).await.unwrap();
    let news = Edit::Sender(mail::Address::parse("news@o.example").unwrap());
    bench.store.edit_job(JobId::from_number(4), news, NOW).await.unwrap();
    let except = ["host".to_owned(), "news".to_owned()];
    let claims = bench.store.claim_fairly(NOW, 9, 9, LEASE, &except).await.unwrap();
    assert_eq!(told(&claims), ["3 y.example"]);
    let claims = bench.store.claim_fairly(NOW, 9, 9, LEASE, &host).await.unwrap();
    assert_eq!(told(&claims), ["4 d3.slow.example"]);
}

#[tokio::test]
async fn many_settle_at_once_and_each_hears_its_own() {
    let bench = Bench::new().await;
    for n in 0..6 {
        put(&bench, &format!("a@d{n}.example"), 0, -10).await;
    }
    let claims = bench.store.claim_fairly(NOW, 9, 9, LEASE, &[]).await.unwrap();
    bench.store.release(claims[3].clone()).await.unwrap();
    let settle = |n: usize| {
        let (store, claim) = (bench.store.clone(), claims[n].clone());
        let next = if n == 4 { Next::Again { due: NOW + 60 } } else { Next::Delivered };
        async move {
            let outcomes = vec![outcome(&claim.recipients[0], next)];
            store.settle(claim, outcomes, vec![]).await
        }
    };
    // One after the other they are handed in while the writer is at the first.
    let all = tokio::join!(settle(0), settle(1), settle(2), settle(3), settle(4), settle(5), settle(5));
    for finished in [&all.0, &all.1, &all.2, &all.5] {
        assert_eq!(finished.as_ref().map(|settled| settled.job), Ok(JobEnd::Finished));
    }
    assert_eq!(all.3, Err(Error::LeaseLost), "it was given back");
    assert_eq!(all.4.map(|settled| settled.job), Ok(JobEnd::GoesOn));
    assert_eq!(all.6, Err(Error::LeaseLost), "nobody settles twice");
    let left: Vec<i64> = bench.store.queue(None, 9).await.unwrap().iter().map(|job| job.id.get()).collect();
    assert_eq!(left, [4, 5]);
    assert_eq!(bench.store.queue_length().await, Ok(2));
}
