//! What administrators do to the queue, what is kept of attempts, and which addresses get nothing any more.

use crate::help::*;
use crate::queue::outcome;
use mail::{Priority, Reply, Status};
use std::time::Duration;
use storage::*;

const LEASE: Duration = Duration::from_secs(600);

fn only(job: JobId) -> QueueFilter {
    QueueFilter { job: Some(job), ..QueueFilter::default() }
}

/// The jobs that a filter finds.
async fn found(bench: &Bench, filter: &QueueFilter) -> Vec<i64> {
    let jobs = bench.store.queue_matching(filter, None, 100).await.unwrap();
    assert_eq!(bench.store.count_jobs(filter).await, Ok(jobs.len() as u64));
    jobs.iter().map(|job| job.id.get()).collect()
}

#[tokio::test]
async fn filters_find_what_they_say() {
    let bench = Bench::new().await;
    for (n, (from, to)) in [
        ("a@here.example", &["x@far.example", "y@near.example"][..]),
        ("B@here.example", &["x_y@far.example"]),
        ("", &["xzy@far.example"]),
    ]
    .iter()
    .enumerate()
    {
        let mut new = job(from, to);
        new.arrived = NOW - 100 * n as i64;
        let mail =
            Acceptance { mail_id: format!("m{n}"), jobs: vec![new], ..acceptance(&n.to_string(), &[], &[]) };
        bench.store.accept(mail).await.unwrap();
    }
    bench.store.hold(only(JobId::from_number(2)), NOW).await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = QueueFilter::default;
    for (filter, want) in [
        (none(), &[1, 2, 3][..]),
        (QueueFilter { from: text("b@HERE.example"), ..none() }, &[2]),
        (QueueFilter { from: text("*@here.example"), ..none() }, &[1, 2]),
        (QueueFilter { from: text(""), ..none() }, &[3]),
        (QueueFilter { to: text("x_y@far.example"), ..none() }, &[2]),
        (QueueFilter { to: text("x*y@*"), ..none() }, &[2, 3]),
        (QueueFilter { domain: text("near.example"), ..none() }, &[1]),
        (QueueFilter { domain: text("far.example"), from: text(""), ..none() }, &[3]),
        (QueueFilter { arrived_until: Some(NOW - 100), ..none() }, &[2, 3]),
        (QueueFilter { mail_id: text("m0"), ..none() }, &[1]),
        (QueueFilter { hold: Some(Hold::Held), ..none() }, &[2]),
        (QueueFilter { hold: Some(Hold::Free), ..none() }, &[1, 3]),
        (QueueFilter { from: text("%"), ..none() }, &[]),
    ] {
        assert_eq!(found(&bench, &filter).await, want, "{filter:?}");
    }
}

#[tokio::test]
async fn what_is_held_stays_until_it_is_released() {
    let mut bench = Bench::new().await;
    for text in ["one", "two", "three"] {
        bench.store.accept(acceptance(text, &[], &["a@x.example", "b@x.example"])).await.unwrap();
    }
    let tried = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    assert_eq!(bench.store.hold(QueueFilter::default(), NOW).await, Ok(3));
    assert_eq!(bench.store.hold(QueueFilter::default(), NOW).await, Ok(0));
    // The attempt under way may go on; what it does not deliver is held then.
    let outcomes = vec![
        outcome(&tried.recipients[0], Next::Delivered),
        outcome(&tried.recipients[1], Next::Again { due: NOW + 9 }),
    ];
    bench.store.settle(tried, outcomes, vec![]).await.unwrap();
    bench.reopen().await;
    bench.store.recover_queue().await.unwrap();
    assert_eq!(bench.store.claim_due(NOW + 100, 9, LEASE).await, Ok(vec![]));
    assert_eq!(bench.store.next_due().await, Ok(None));
    assert_eq!(bench.store.retry_now(None, NOW + 100).await, Ok(0));
    let job = &bench.store.queue(None, 9).await.unwrap()[0];
    assert_eq!((job.held, job.recipients[1].state), (Some(NOW), RecipientState::Held));
    let mut bell = bench.store.watch_queue();
    assert_eq!(bench.store.unhold(only(job.id)).await, Ok(1));
    bell.changed().await.unwrap();
    assert_eq!(bench.store.claim_due(NOW + 8, 9, LEASE).await, Ok(vec![]));
    assert_eq!(bench.store.claim_due(NOW + 9, 9, LEASE).await.unwrap().len(), 1);
    assert_eq!(bench.store.unhold(QueueFilter::default()).await, Ok(2));
    assert_eq!(bench.store.claim_due_whole(NOW + 9, 9, LEASE).await.unwrap().len(), 2);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_a_dead_worker_held_comes_to_rest() {
    for whole in [false, true] {
        let bench = Bench::new().await;
        bench.store.accept(acceptance("one", &[], &["a@x.example"])).await.unwrap();
        let first = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
        bench.store.hold(QueueFilter::default(), NOW).await.unwrap();
        // Nobody settles it, and its lease runs out.
        bench.clock.advance(LEASE);
        let claims = match whole {
            false => bench.store.claim_due(NOW + 600, 9, LEASE).await,
            true => bench.store.claim_due_whole(NOW + 600, 9, LEASE).await,
        };
        assert_eq!(claims, Ok(vec![]), "{whole}");
        assert_eq!(bench.store.next_due().await, Ok(None));
        assert_eq!(bench.store.release(first).await, Err(Error::LeaseLost));
        bench.store.unhold(QueueFilter::default()).await.unwrap();
        assert_eq!(bench.store.claim_due(NOW + 600, 9, LEASE).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_claim_that_is_given_back_is_held_too() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example"])).await.unwrap();
    let claim = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    bench.store.hold(QueueFilter::default(), NOW).await.unwrap();
    bench.store.release(claim).await.unwrap();
    assert_eq!(bench.store.queue(None, 1).await.unwrap()[0].recipients[0].state, RecipientState::Held);
}

#[tokio::test]
async fn jobs_are_edited_within_limits() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example", "b@x.example", "c@x.example"])).await.unwrap();
    bench
        .store
        .accept(Acceptance { jobs: vec![job("", &["d@x.example"])], ..acceptance("two", &[], &[]) })
        .await
        .unwrap();
    let claim = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    let (one, two) = (claim.job, JobId::from_number(2));
    let recipient = |old: &str, new: &str| Edit::Recipient { old: address(old), new: address(new) };
    let edit = async |job, edit: Edit| match bench.store.edit_job(job, edit, NOW + 7).await {
        Ok(()) => "done".to_owned(),
        Err(error) => error.to_string(),
    };
    let under_way =
        "this cannot be changed: an attempt is under way: hold it, and come again when it is over";
    assert_eq!(edit(one, Edit::Sender(address("z@here.example"))).await, under_way);
    assert_eq!(edit(one, recipient("a@x.example", "z@y.example")).await, under_way);
    let outcomes = vec![
        outcome(&claim.recipients[0], Next::Delivered),
        outcome(&claim.recipients[1], Next::Again { due: NOW + 500 }),
        outcome(&claim.recipients[2], Next::Again { due: NOW + 500 }),
    ];
    bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    for (job, change, want) in [
        (one, Edit::Sender(address("z@here.example")), "done"),
        (one, recipient("B@x.example", "B@y.example"), "done"),
        (one, recipient("a@x.example", "z@y.example"), "this cannot be changed: the recipient is done with"),
        (one, recipient("q@x.example", "z@y.example"), "this cannot be changed: it has no such recipient"),
        (
            one,
            recipient("c@x.example", "B@y.example"),
            "this cannot be changed: the new address is a recipient already",
        ),
        (
            two,
            Edit::Sender(address("z@here.example")),
            "this cannot be changed: it is a notice, and must not have a sender",
        ),
        (two, Edit::Priority(Priority::HIGHEST), "done"),
        (
            JobId::from_number(9),
            recipient("a@x.example", "z@y.example"),
            "there is no message 9 in the queue",
        ),
    ] {
        assert_eq!(edit(job, change).await, want, "{job}");
    }
    let claims = bench.store.claim_due(NOW + 7, 9, LEASE).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.job).collect::<Vec<_>>(), [two, one], "the urgent first");
    let changed = &claims[1];
    assert_eq!((changed.domain.as_str(), changed.from.to_string().as_str()), ("y.example", "z@here.example"));
    let written = changed.recipients[0].recipient.original.clone().unwrap();
    assert_eq!((written.kind.as_str(), written.address.as_str()), ("rfc822", "b@x.example"));
    assert_eq!(changed.recipients[0].attempts, 0);
}

fn attempt(at: i64, text: &str) -> Attempt {
    Attempt {
        at,
        domain: "x.example".to_owned(),
        recipients: "a@x.example b@x.example".to_owned(),
        recipient_count: 2,
        host: "mx.x.example".to_owned(),
        address: "192.0.2.1:25".to_owned(),
        tls: "encrypted TLSv1.3".to_owned(),
        result: AttemptResult::Deferred,
        reply: Reply::new(451, Status::transient(7, 1), text),
    }
}

async fn try_once(bench: &Bench, attempts: Vec<Attempt>) {
    let claim = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Again { due: NOW })];
    let settlement = Settlement { outcomes, attempts, ..Settlement::default() };
    bench.store.settle_all(claim, settlement).await.unwrap();
}

#[tokio::test]
async fn attempts_are_kept_within_bounds() {
    let mut bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example"])).await.unwrap();
    let long = Attempt {
        recipients: "somebody@x.example ".repeat(500),
        recipient_count: 500,
        reply: Reply::new(451, Status::transient(7, 1), "ü".repeat(5000)),
        ..attempt(NOW, "")
    };
    try_once(&bench, vec![attempt(NOW, "first"), long]).await;
    bench.reopen().await;
    let job = JobId::from_number(1);
    let kept = bench.store.attempts(job).await.unwrap();
    assert_eq!(kept, bench.store.attempts_of_mail("m1").await.unwrap());
    assert_eq!(
        (kept[0].job, kept[0].mail_id.as_str(), &kept[0].attempt),
        (job, "m1", &attempt(NOW, "first"))
    );
    let long = &kept[1].attempt;
    assert!(long.recipients.len() <= 1024 && long.recipients.ends_with("somebody@x.example"));
    assert_eq!((long.recipient_count, long.reply.text.chars().count()), (500, 512));
    for n in 0..6 {
        try_once(&bench, (0..50).map(|m| attempt(NOW + n, &format!("{n} {m}"))).collect()).await;
    }
    let kept = bench.store.attempts(job).await.unwrap();
    assert_eq!(kept.len() as i64, ATTEMPTS_PER_JOB_MAX);
    assert_eq!(kept[0].attempt.reply.text, "2 0");
    // They outlive the message, until they are too old.
    bench.store.remove_job(job).await.unwrap();
    assert_eq!(bench.store.forget_attempts(NOW + 4).await, Ok(100));
    assert_eq!(bench.store.attempts(job).await.unwrap().len(), 100);
    assert_eq!(bench.store.forget_attempts(NOW + 9).await, Ok(100));
    assert_eq!(bench.store.attempts_of_mail("m1").await.unwrap(), []);
}

#[tokio::test]
async fn who_fails_again_and_again_is_suppressed() {
    let bench = Bench::new().await;
    let rule = FailingRule { after: 3, within: 1000, keep: 5000 };
    let key = "a@x.example";
    let refused = || Verdict::Refused { address: key.to_owned(), reason: "550 5.1.1 who".to_owned(), rule };
    let learn = async |verdicts: Vec<Verdict>| {
        bench.store.accept(acceptance("text", &[], &["a@x.example"])).await.unwrap();
        let now = NOW + 100_000;
        let claim = bench.store.claim_due(now, 1, LEASE).await.unwrap().remove(0);
        let outcomes = vec![outcome(&claim.recipients[0], Next::Failed)];
        let settlement = Settlement { outcomes, verdicts, ..Settlement::default() };
        bench.store.settle_all(claim, settlement).await.unwrap();
    };
    let is_suppressed = async || bench.store.suppressed(key).await.unwrap().is_some();
    learn(vec![refused()]).await;
    learn(vec![refused()]).await;
    assert!(!is_suppressed().await, "twice is not enough");
    learn(vec![Verdict::Reached { address: key.to_owned() }]).await;
    learn(vec![refused()]).await;
    learn(vec![refused()]).await;
    assert!(!is_suppressed().await, "in between it was reached");
    bench.clock.advance(Duration::from_secs(2000));
    learn(vec![refused()]).await;
    assert!(!is_suppressed().await, "the others are too long ago");
    learn(vec![refused()]).await;
    learn(vec![refused()]).await;
    let found = bench.store.suppressed(key).await.unwrap().unwrap();
    assert_eq!((found.failures, found.until), (3, Some(NOW + 2000 + 5000)));
    assert_eq!(found.reason, "550 5.1.1 who");
    assert_eq!(bench.store.suppressions("").await.unwrap(), [found]);
    bench.clock.advance(Duration::from_secs(5000));
    assert!(!is_suppressed().await, "it is tried again after a while");
    learn(vec![refused()]).await;
    assert!(!is_suppressed().await, "and counted anew");
}

#[tokio::test]
async fn what_an_administrator_suppresses_stays() {
    let mut bench = Bench::new().await;
    bench.store.suppress("b@x.example", "asked not to be written to").await.unwrap();
    bench.store.suppress("a@x.example", "x").await.unwrap();
    bench.store.suppress("a@x.example", "y").await.unwrap();
    bench.reopen().await;
    let all = bench.store.suppressions("").await.unwrap();
    let shown: Vec<_> =
        all.iter().map(|one| (one.address.as_str(), one.reason.as_str(), one.until)).collect();
    assert_eq!(shown, [("a@x.example", "y", None), ("b@x.example", "asked not to be written to", None)]);
    assert_eq!(bench.store.suppressions("a@x.example").await.unwrap().len(), 1);
    assert_eq!(bench.store.unsuppress("a@x.example").await, Ok(true));
    assert_eq!(bench.store.unsuppress("a@x.example").await, Ok(false));
    assert_eq!(bench.store.suppressed("a@x.example").await, Ok(None));
}

#[tokio::test]
async fn hurrying_leaves_what_was_to_go_later() {
    let bench = Bench::new().await;
    let mut later = acceptance("later", &[], &["a@x.example"]);
    later.jobs[0].due = NOW + 900;
    bench.store.accept(later).await.unwrap();
    let before = bench.store.hurries();
    assert_eq!(bench.store.hurry(QueueFilter::default(), NOW + 1).await, Ok(0));
    assert_eq!(bench.store.hurries(), before + 1);
    assert_eq!(bench.store.queue(None, 1).await.unwrap()[0].release_at, Some(NOW + 900));
    let claim = bench.store.claim_due(NOW + 900, 1, LEASE).await.unwrap().remove(0);
    assert_eq!(claim.released, NOW + 900);
    bench.store.release(claim).await.unwrap();
    // Whoever names it wants it.
    let to_far = QueueFilter { domain: Some("far.example".to_owned()), ..QueueFilter::default() };
    assert_eq!(bench.store.hurry(to_far, NOW + 1).await, Ok(0));
    assert_eq!(bench.store.hurry(only(JobId::from_number(1)), NOW + 1).await, Ok(1));
    assert_eq!(bench.store.next_due_except(&["y.example".to_owned()]).await, Ok(Some(NOW + 1)));
}
