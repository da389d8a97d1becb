//! Quotas hold to the octet, whoever adds a message, and what is used is what there is.

use crate::help::*;
use storage::*;
use world::Random;
use world::fake::FakeRandom;
use world::system::SystemRandom;

const NAME: &str = "a@a.example";

fn limits(octets: u64, messages: u64) -> Limits {
    Limits { octets: Limit::At(octets), messages: Limit::At(messages) }
}

async fn used(bench: &Bench) -> (u64, u64) {
    let account = bench.account(NAME).await;
    let used = bench.store.allowance(account).await.unwrap().used;
    (used.octets, used.messages)
}

#[tokio::test]
async fn what_does_not_fit_is_refused_whole() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let account = bench.account(NAME).await;
    let sent = bench.store.mailbox(account, "Sent").await.unwrap().id;
    bench.store.set_limits(NAME, limits(10, 3)).await.unwrap();
    let full = || Error::OverQuota(NAME.to_owned());
    bench.append(inbox, "12345").await;
    assert_eq!(bench.store.append(inbox, vec![message("123456")]).await, Err(full()));
    assert_eq!(bench.store.append(inbox, vec![message("12"), message("1234")]).await, Err(full()));
    assert_eq!(used(&bench).await, (5, 1));
    bench.append(inbox, "67890").await;
    // Not one octet more, by whatever way.
    assert_eq!(bench.store.copy(inbox, &UidSet::one(1), sent).await, Err(full()));
    let delivered = bench.store.accept(acceptance("x", &[NAME], &[])).await;
    assert_eq!(delivered, Err(full()));
    bench.store.move_messages(inbox, &UidSet::one(1), sent).await.unwrap();
    assert_eq!(used(&bench).await, (10, 2));
    // A replacement has the room of what it replaces, and no more.
    assert_eq!(bench.store.replace(inbox, message("123456"), sent, 1).await, Err(full()));
    bench.store.replace(inbox, message("1234"), sent, 1).await.unwrap().unwrap();
    assert_eq!(used(&bench).await, (9, 2));
    // A notice comes in any case.
    let mut notice = acceptance("a notice that is too long", &[NAME], &[]);
    notice.filings[0].space = Space::Granted;
    bench.store.accept(notice).await.unwrap();
    // Messages from another account count where they go.
    let other = bench.inbox("b@a.example").await;
    bench.append(other, "1").await;
    assert_eq!(bench.store.move_messages(other, &UidSet::all(), inbox).await, Err(full()));
    bench.store.move_messages(inbox, &UidSet::all(), other).await.unwrap();
    assert_eq!(used(&bench).await, (0, 0));
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

/// One commit takes the work of many; each sees what those before it took.
#[tokio::test]
async fn those_who_share_a_commit_share_the_room() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    bench.store.set_configured_quota(Quota { octets: Some(100), messages: Some(7) });
    let work = (0..20).map(|_| bench.store.append(inbox, vec![message("0123456789")]));
    let outcomes = futures_util::future::join_all(work).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(used(&bench).await, (70, 7));
    bench
        .store
        .set_limits(NAME, Limits { octets: Limit::AsConfigured, messages: Limit::Unlimited })
        .await
        .unwrap();
    let work = (0..20).map(|_| bench.store.append(inbox, vec![message("0123456789")]));
    let outcomes = futures_util::future::join_all(work).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    let missing = bench.store.set_limits("nobody", Limits::default()).await;
    assert_eq!(missing, Err(Error::NoSuchAccount("nobody".to_owned())));
}

/// The counters of the account are those of its mailboxes, whatever happened, and never above the limits.
#[tokio::test]
async fn the_counters_are_true() {
    let seed = SystemRandom.below(u64::MAX);
    println!("seed {seed}");
    let random = FakeRandom::seeded(seed);
    let pick = |end: u64| random.below(end);
    let mut bench = Bench::new().await;
    let account = bench.account(NAME).await;
    bench.store.set_limits(NAME, limits(2_000, 40)).await.unwrap();
    for step in 0..300 {
        let store = bench.store.clone();
        let listing = store.list(account).await.unwrap().mailboxes;
        let one = listing[pick(listing.len() as u64) as usize].clone();
        let other = &listing[pick(listing.len() as u64) as usize];
        let uids = set(&[(1, 1 + pick(u64::from(one.uidnext)) as Uid)]);
        let text = "x".repeat(1 + pick(200) as usize);
        let outcome = match pick(9) {
            0..=2 => store.append(one.id, vec![message(&text)]).await.map(drop),
            3 => store.copy(one.id, &uids, other.id).await.map(drop),
            4 => store.move_messages(one.id, &uids, other.id).await.map(drop),
            5 => store.expunge(one.id, &uids, Which::Any).await.map(drop),
            6 => store.replace(one.id, message(&text), other.id, 1).await.map(drop),
            7 if one.name == "INBOX" => store.rename_mailbox(account, "INBOX", &format!("old{step}")).await,
            7 => store.delete_mailbox(account, &one.name).await,
            _ => store.create_mailbox(account, &format!("new{step}"), None).await.map(drop),
        };
        assert!(matches!(outcome, Ok(()) | Err(Error::OverQuota(_))), "seed {seed} step {step}: {outcome:?}");
        let listing = store.list(account).await.unwrap().mailboxes;
        let sums = listing
            .iter()
            .fold((0, 0), |sums, mailbox| (sums.0 + mailbox.size, sums.1 + u64::from(mailbox.messages)));
        assert_eq!(used(&bench).await, sums, "seed {seed} step {step}");
        assert!(sums.0 <= 2_000 && sums.1 <= 40, "seed {seed} step {step}: {sums:?}");
        if step % 100 == 50 {
            bench.reopen().await;
        }
    }
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new(), "seed {seed}");
}

/// Above a limit that was lowered a message can still be made smaller, and not larger.
#[tokio::test]
async fn replace_may_always_leave_less() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let store = &bench.store;
    bench.append(inbox, "0123456789").await;
    bench.append(inbox, "0123456789").await;
    store.set_limits(NAME, limits(5, 1)).await.unwrap();
    let over = Err(Error::OverQuota(NAME.to_owned()));
    assert_eq!(store.replace(inbox, message("0123456789+"), inbox, 1).await, over);
    assert!(store.replace(inbox, message("012345678"), inbox, 1).await.unwrap().is_some());
    assert!(store.replace(inbox, message("abcdefghij"), inbox, 2).await.unwrap().is_some());
    assert_eq!(used(&bench).await, (19, 2));
    // In an account of somebody else nothing is given back.
    let other = bench.inbox("other@a.example").await;
    store.set_limits("other@a.example", limits(5, 1)).await.unwrap();
    let over = Err(Error::OverQuota("other@a.example".to_owned()));
    assert_eq!(store.replace(other, message("012345"), inbox, 3).await, over);
    assert!(store.replace(other, message("01234"), inbox, 3).await.unwrap().is_some());
}
