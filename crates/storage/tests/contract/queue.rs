//! The queue: claims, leases, settling, and what people see of it.

use crate::help::*;
use mail::{Body, ByMode, DeliverBy, Notify, OriginalRecipient, Priority, Reply, Ret, Status};
use std::time::Duration;
use storage::*;

const LEASE: Duration = Duration::from_secs(600);

pub(crate) fn outcome(recipient: &JobRecipient, next: Next) -> Outcome {
    let reply = match next {
        Next::Delivered => Reply::new(250, Status::success(0, 0), "ok"),
        Next::Failed => Reply::new(550, Status::permanent(1, 1), "no such user\nsorry"),
        Next::Again { .. } | Next::AgainTold { .. } | Next::Later { .. } => Reply::bare(451, "later"),
    };
    Outcome { recipient: recipient.id, at: NOW + 1, host: "mx.far.example".to_owned(), reply, next }
}

/// The queue as text, a job a line.
async fn show(bench: &Bench) -> String {
    let mut out = String::new();
    for job in bench.store.queue(None, 100).await.unwrap() {
        out += &format!("{} <{}>", job.mail_id, job.from);
        for r in &job.recipients {
            let last =
                r.last.as_ref().map_or(String::new(), |last| format!(" ({}: {})", last.host, last.reply));
            out += &format!(", {} {:?} {} +{}{last}", r.recipient.address, r.state, r.attempts, r.due - NOW);
        }
        out += "\n";
    }
    out
}

#[tokio::test]
async fn claims_are_by_job_and_domain() {
    let bench = Bench::new().await;
    let to = ["a@x.example", "b@y.example", "c@x.example"];
    bench.store.accept(acceptance("one", &[], &to)).await.unwrap();
    bench.store.accept(acceptance("two", &[], &to[..1])).await.unwrap();
    let claims = bench.store.claim_due(NOW, 10, LEASE).await.unwrap();
    let told: Vec<String> = claims
        .iter()
        .map(|claim| {
            let to: Vec<&str> = claim.recipients.iter().map(|r| r.recipient.address.local()).collect();
            format!("{} {} {}", claim.job, claim.domain, to.join(","))
        })
        .collect();
    assert_eq!(told, ["1 x.example a,c", "1 y.example b", "2 x.example a"]);
    assert_eq!(claims[0].size, "Received: by us\r\none".len() as u64);
    assert_eq!(bench.store.claim_due(NOW, 10, LEASE).await, Ok(vec![]));
    assert_eq!(bench.store.next_due().await, Ok(Some(NOW + 600)));
}

#[tokio::test]
async fn a_clock_that_goes_back_puts_nothing_off() {
    let bench = Bench::new().await;
    for mail in ["tried later", "taken in"] {
        bench.store.accept(acceptance(mail, &[], &["a@x.example"])).await.unwrap();
    }
    let claim = bench.store.claim_due(NOW, 1, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Again { due: NOW + 9000 })];
    bench.store.settle(claim, outcomes, Vec::new()).await.unwrap();
    // The attempt was at NOW + 1: a clock that has gone on leaves all as it is.
    assert_eq!(bench.store.heed_earlier_clock(NOW + 2, LEASE).await, Ok(0));
    assert_eq!(bench.store.heed_earlier_clock(NOW, LEASE).await, Ok(1));
    assert_eq!(bench.store.claim_due(NOW, 10, LEASE).await.unwrap().len(), 2);
    // What somebody is at is theirs.
    assert_eq!(bench.store.heed_earlier_clock(NOW - 100, LEASE).await, Ok(0));
    bench.store.recover_queue().await.unwrap();
    assert_eq!(bench.store.heed_earlier_clock(NOW - 100, LEASE).await, Ok(2));
    assert_eq!(bench.store.next_due().await, Ok(Some(NOW - 100)));
    // Whoever held it by the later clock is dead, and nobody waits for years.
    let later = NOW + 400_000_000;
    assert_eq!(bench.store.claim_due(later, 10, LEASE).await.unwrap().len(), 2);
    assert_eq!(bench.store.heed_earlier_clock(NOW, LEASE).await, Ok(0));
    assert!(bench.store.claim_due(NOW, 10, LEASE).await.unwrap().is_empty());
    let end = NOW + i64::try_from(LEASE.as_secs()).unwrap();
    assert_eq!(bench.store.next_due().await, Ok(Some(end)));
    assert_eq!(bench.store.claim_due(end, 10, LEASE).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_claim_of_the_whole_job_has_every_domain() {
    let bench = Bench::new().await;
    let to = ["a@x.example", "b@y.example", "c@x.example"];
    bench.store.accept(acceptance("one", &[], &to)).await.unwrap();
    bench.store.accept(acceptance("two", &[], &to[1..2])).await.unwrap();
    let held = bench.store.claim_due_except(NOW, 1, LEASE, &[]).await.unwrap();
    assert_eq!(held[0].recipients.len(), 2);
    let claims = bench.store.claim_due_whole(NOW, 10, LEASE).await.unwrap();
    let told = |claims: &[Claim]| -> Vec<String> {
        let to = |claim: &Claim| -> String {
            claim.recipients.iter().map(|r| r.recipient.address.local()).collect()
        };
        claims.iter().map(|claim| format!("{} {}", claim.job, to(claim))).collect()
    };
    assert_eq!(told(&claims), ["1 b", "2 b"], "what somebody is at is left to them");
    for claim in claims.into_iter().chain(held) {
        bench.store.release(claim).await.unwrap();
    }
    let claims = bench.store.claim_due_whole(NOW, 1, LEASE).await.unwrap();
    assert_eq!(told(&claims), ["1 acb"]);
    assert_eq!(claims[0].domain.as_str(), "x.example");
}

#[tokio::test]
async fn everything_of_the_envelope_comes_back() {
    let mut bench = Bench::new().await;
    let mut mail = acceptance("one", &[], &["a@x.example", "b@x.example", "\"c d\"@x.example"]);
    let envelope = &mut mail.jobs[0].envelope;
    envelope.params.body = Body::BinaryMime;
    envelope.params.utf8 = true;
    envelope.params.ret = Some(Ret::Headers);
    envelope.params.envid = Some("QQ314159".to_owned());
    envelope.params.require_tls = true;
    envelope.params.priority = Priority::new(-4).unwrap();
    envelope.params.by = Some(DeliverBy { seconds: -5, mode: ByMode::Return, trace: true });
    envelope.recipients[0].notify = Notify::Never;
    envelope.recipients[1].notify = Notify::On { success: true, failure: false, delay: true };
    envelope.recipients[2].original =
        Some(OriginalRecipient { kind: "rfc822".to_owned(), address: "first@z.example".to_owned() });
    let want = envelope.clone();
    bench.store.accept(mail).await.unwrap();
    bench
        .store
        .accept(Acceptance { jobs: vec![job("", &["d@x.example"])], ..acceptance("two", &[], &[]) })
        .await
        .unwrap();
    bench.reopen().await;
    // The other is more urgent.
    let claim = &bench.store.claim_due(NOW, 10, LEASE).await.unwrap()[1];
    assert_eq!((&claim.from, &claim.params), (&want.from, &want.params));
    let recipients: Vec<_> = claim.recipients.iter().map(|r| r.recipient.clone()).collect();
    assert_eq!(recipients, want.recipients);
    let listed = bench.store.queue(Some(claim.job), 10).await.unwrap();
    assert!(listed[0].from.is_null() && listed.len() == 1);
    assert_eq!(listed[0].recipients[0].state, RecipientState::Trying);
}

#[tokio::test]
async fn settled_bit_by_bit() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("sender@here.example").await;
    let large = "large ".repeat(100_000);
    bench
        .store
        .accept(acceptance(&large, &[], &["a@x.example", "b@x.example", "c@x.example"]))
        .await
        .unwrap();
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    let r = claim.recipients.clone();
    let outcomes = vec![
        outcome(&r[0], Next::Delivered),
        outcome(&r[1], Next::AgainTold { due: NOW + 300 }),
        outcome(&r[2], Next::Failed),
    ];
    let notice = acceptance("delayed", &["sender@here.example"], &[]);
    let settled = bench.store.settle(claim, outcomes, vec![notice]).await.unwrap();
    assert_eq!((settled.job, settled.notices[0].filed[0].mailbox), (JobEnd::GoesOn, inbox));
    assert_eq!(
        show(&bench).await,
        "m1 <sender@here.example>, a@x.example Delivered 1 +0 (mx.far.example: 250 2.0.0 ok), \
         b@x.example Waiting 1 +300 (mx.far.example: 451 later), \
         c@x.example Failed 1 +0 (mx.far.example: 550 5.1.1 no such user sorry)\n"
    );
    assert_eq!(bench.store.next_due().await, Ok(Some(NOW + 300)));
    assert_eq!(bench.store.claim_due(NOW + 299, 10, LEASE).await, Ok(vec![]));
    let claim = bench.store.claim_due(NOW + 300, 10, LEASE).await.unwrap().remove(0);
    assert_eq!(claim.recipients.len(), 1);
    assert_eq!(claim.recipients[0].delay_told, Some(NOW + 1));
    let outcomes = vec![outcome(&claim.recipients[0], Next::Failed)];
    let settled = bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    assert_eq!(settled.job, JobEnd::Finished);
    assert_eq!((show(&bench).await, bench.store.queue_length().await), (String::new(), Ok(0)));
    bench.settle_down(|bench| bench.body_files().is_empty()).await;
    assert_eq!(bench.show(inbox).await.lines().count(), 2);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_notice_that_is_refused_settles_nothing() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example"])).await.unwrap();
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Failed)];
    let notice = acceptance("bounce", &["nobody@here.example"], &[]);
    let refused = bench.store.settle(claim.clone(), outcomes.clone(), vec![notice]).await;
    assert_eq!(refused, Err(Error::NoSuchAccount("nobody@here.example".to_owned())));
    assert_eq!(bench.store.queue_length().await, Ok(1));
    // The claim still holds.
    assert!(bench.store.settle(claim, outcomes, vec![]).await.is_ok());
}

#[tokio::test]
async fn leases_run_out() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example"])).await.unwrap();
    let first = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    bench.store.renew(&first, NOW + 500, LEASE).await.unwrap();
    assert_eq!(bench.store.claim_due(NOW + 601, 10, LEASE).await, Ok(vec![]));
    let second = bench.store.claim_due(NOW + 1100, 10, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&first.recipients[0], Next::Delivered)];
    assert_eq!(bench.store.settle(first.clone(), outcomes, vec![]).await, Err(Error::LeaseLost));
    assert_eq!(bench.store.renew(&first, NOW, LEASE).await, Err(Error::LeaseLost));
    assert_eq!(bench.store.release(first).await, Err(Error::LeaseLost));
    bench.store.release(second).await.unwrap();
    let third = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    assert_eq!(third.recipients[0].attempts, 0);
    // The worker of a new process takes back what the old one held.
    assert_eq!(bench.store.recover_queue().await, Ok(1));
    assert_eq!(bench.store.claim_due(NOW, 10, LEASE).await.unwrap().len(), 1);
    assert_eq!(bench.store.recover_queue().await, Ok(1));
    bench.store.remove_job(third.job).await.unwrap();
    assert_eq!(bench.store.remove_job(third.job).await, Err(Error::NoSuchJob(third.job)));
    assert_eq!(bench.store.settle(third, vec![], vec![]).await, Err(Error::LeaseLost));
}

#[tokio::test]
async fn recipients_without_an_outcome_are_due_again() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example", "b@x.example"])).await.unwrap();
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Delivered)];
    assert_eq!(bench.store.settle(claim, outcomes, vec![]).await.unwrap().job, JobEnd::GoesOn);
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    assert_eq!(claim.recipients[0].recipient.address.local(), "b");
}

#[tokio::test]
async fn hurried_by_hand() {
    let bench = Bench::new().await;
    for text in ["one", "two"] {
        bench.store.accept(acceptance(text, &[], &["a@x.example"])).await.unwrap();
    }
    for claim in bench.store.claim_due(NOW, 10, LEASE).await.unwrap() {
        let outcomes = vec![outcome(&claim.recipients[0], Next::Again { due: NOW + 9000 })];
        bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    }
    let jobs = bench.store.queue(None, 10).await.unwrap();
    let mut bell = bench.store.watch_queue();
    assert_eq!(bench.store.retry_now(Some(jobs[1].id), NOW + 5).await, Ok(1));
    bell.changed().await.unwrap();
    assert_eq!(bench.store.next_due().await, Ok(Some(NOW + 5)));
    assert_eq!(bench.store.retry_now(None, NOW + 6).await, Ok(2));
    let none = JobId::from_number(99);
    assert_eq!(bench.store.retry_now(Some(none), NOW).await, Err(Error::NoSuchJob(none)));
    assert_eq!(bench.store.job(none).await, Err(Error::NoSuchJob(none)));
    assert_eq!(bench.store.job(jobs[0].id).await.unwrap().recipients[0].due, NOW + 6);
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let bench = Bench::with(|config| config.queue_max = 2).await;
    let inbox = bench.inbox("a@a.example").await;
    let mut mail = acceptance("one", &["a@a.example"], &["a@x.example"]);
    mail.jobs.push(job("", &["b@x.example"]));
    mail.jobs.push(job("", &["c@x.example"]));
    assert_eq!(bench.store.accept(mail.clone()).await, Err(Error::QueueFull { limit: 2 }));
    mail.jobs.pop();
    bench.store.accept(mail.clone()).await.unwrap();
    assert_eq!(bench.store.accept(mail).await, Err(Error::QueueFull { limit: 2 }));
    // Mail for mailboxes still comes in, and what leaves makes room.
    bench.store.accept(acceptance("two", &["a@a.example"], &[])).await.unwrap();
    assert_eq!(bench.store.mailbox_by_id(inbox).await.unwrap().messages, 2);
    bench.store.remove_job(bench.store.queue(None, 1).await.unwrap()[0].id).await.unwrap();
    bench.store.accept(acceptance("three", &[], &["a@x.example"])).await.unwrap();
    assert_eq!(bench.store.queue_length().await, Ok(2));
}

#[tokio::test]
async fn some_destinations_are_left_alone() {
    let bench = Bench::new().await;
    bench.store.accept(acceptance("one", &[], &["a@x.example", "b@y.example"])).await.unwrap();
    let busy = ["x.example".to_owned()];
    let claims = bench.store.claim_due_except(NOW, 10, LEASE, &busy).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.domain.as_str()).collect::<Vec<_>>(), ["y.example"]);
    assert_eq!(bench.store.next_due_except(&busy).await, Ok(Some(NOW + 600)));
    assert_eq!(bench.store.next_due().await, Ok(Some(NOW)));
    assert_eq!(bench.store.claim_due_except(NOW, 10, LEASE, &busy).await, Ok(vec![]));
}

#[tokio::test]
async fn the_bell_rings_for_what_is_due_earlier_only() {
    let bench = Bench::new().await;
    let mut bell = bench.store.watch_queue();
    let mut rang = || {
        let rang = bell.has_changed().unwrap();
        bell.mark_unchanged();
        rang
    };
    bench.store.accept(acceptance("one", &["none@a.example"], &[])).await.unwrap_err();
    bench.store.create_account("a@a.example").await.unwrap();
    assert!(!rang());
    bench.store.accept(acceptance("one", &[], &["a@x.example", "b@x.example"])).await.unwrap();
    assert!(rang());
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    assert!(!rang());
    bench.store.release(claim).await.unwrap();
    assert!(rang());
    let claim = bench.store.claim_due(NOW, 10, LEASE).await.unwrap().remove(0);
    let outcomes = claim.recipients.iter().map(|r| outcome(r, Next::Again { due: NOW + 60 })).collect();
    bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    assert!(!rang());
    let claim = bench.store.claim_due(NOW + 60, 10, LEASE).await.unwrap().remove(0);
    let outcomes = vec![outcome(&claim.recipients[0], Next::Delivered)];
    bench.store.settle(claim, outcomes, vec![]).await.unwrap();
    assert!(rang());
}
