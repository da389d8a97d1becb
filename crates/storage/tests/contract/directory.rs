//! Logins and accounts: two things that may go together.

use crate::help::*;
use storage::*;

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text)
}

#[tokio::test]
async fn accounts_come_with_their_mailboxes() {
    let bench = Bench::new().await;
    let store = &bench.store;
    let id = store.create_account("a@a.example").await.unwrap();
    assert_eq!(store.create_account("a@a.example").await, Err(Error::Exists("a@a.example".to_owned())));
    let listing = store.list(id).await.unwrap();
    let told: Vec<String> = listing
        .mailboxes
        .iter()
        .map(|m| {
            let special = m.special_use.map_or("-", SpecialUse::as_str);
            assert!(m.subscribed && m.kind == MailboxKind::Selectable && !m.has_children && m.uidnext == 1);
            format!("{} {special}", m.name)
        })
        .collect();
    let want =
        ["INBOX -", "Archive \\Archive", "Drafts \\Drafts", "Junk \\Junk", "Sent \\Sent", "Trash \\Trash"];
    assert_eq!(told, want);
    assert_eq!(store.set_append_limit("a@a.example", Some(10)).await, Ok(()));
    bench.append(bench.inbox("a@a.example").await, "0123456789").await;
    let account = store.account("a@a.example").await.unwrap().unwrap();
    assert_eq!(
        (account.append_limit, account.mailboxes, account.messages, account.octets),
        (Some(10), 6, 1, 10)
    );
    assert_eq!(store.account("b@a.example").await, Ok(None));
    assert_eq!(store.first_account().await.unwrap().as_deref(), Some("a@a.example"));
    let names = ["a@a.example".to_owned(), "b@a.example".to_owned()];
    assert_eq!(store.existing_accounts(&names).await.unwrap().len(), 1);
    for (name, refusal) in [("", "it is empty"), ("a\n", "it has a control character")] {
        assert_eq!(store.create_account(name).await, Err(Error::BadName(name.to_owned(), refusal)));
    }
}

#[tokio::test]
async fn credentials() {
    let mut bench = Bench::new().await;
    bench.store.create_credential("a@a.example", &hash("one")).await.unwrap();
    let again = bench.store.create_credential("a@a.example", &hash("two")).await;
    assert_eq!(again, Err(Error::Exists("a@a.example".to_owned())));
    bench.clock.advance(std::time::Duration::from_secs(5));
    bench.store.set_password("a@a.example", &hash("two")).await.unwrap();
    let missing = bench.store.set_password("b@a.example", &hash("two")).await;
    assert_eq!(missing, Err(Error::NoSuchCredential("b@a.example".to_owned())));
    bench.reopen().await;
    let credential = bench.store.credential("a@a.example").await.unwrap().unwrap();
    assert_eq!((credential.password.as_str(), credential.created, credential.changed), ("two", NOW, NOW + 5));
    assert!(!format!("{credential:?}").contains("two"));
    bench.store.rename_credential("a@a.example", "c@a.example").await.unwrap();
    assert_eq!(bench.store.credential("a@a.example").await, Ok(None));
    bench.store.remove_credential("c@a.example").await.unwrap();
    assert_eq!(bench.store.credentials().await, Ok(vec![]));
}

#[tokio::test]
async fn users_are_both_at_once() {
    let bench = Bench::new().await;
    let store = &bench.store;
    store.create_account("b@a.example").await.unwrap();
    // What cannot be done whole is not done at all.
    assert_eq!(
        store.create_user("b@a.example", &hash("x")).await,
        Err(Error::Exists("b@a.example".to_owned()))
    );
    assert_eq!(store.credentials().await, Ok(vec![]));
    store.create_user("a@a.example", &hash("x")).await.unwrap();
    assert_eq!(
        store.rename_user("a@a.example", "b@a.example").await,
        Err(Error::Exists("b@a.example".to_owned()))
    );
    store.rename_user("a@a.example", "c@a.example").await.unwrap();
    let names: Vec<String> =
        store.accounts().await.unwrap().into_iter().map(|account| account.name).collect();
    assert_eq!(names, ["b@a.example", "c@a.example"]);
    assert!(store.credential("c@a.example").await.unwrap().is_some());
    store.remove_user("c@a.example").await.unwrap();
    store.remove_user("b@a.example").await.unwrap();
    let gone = store.remove_user("b@a.example").await;
    assert_eq!(gone, Err(Error::NoSuchAccount("b@a.example".to_owned())));
}

#[tokio::test]
async fn a_removed_account_leaves_nothing_and_comes_back_new() {
    let bench = Bench::new().await;
    let before = bench.inbox("a@a.example").await;
    let old = bench.store.mailbox_by_id(before).await.unwrap();
    for number in 0..30 {
        bench
            .append(before, &format!("{number} {}", "large ".repeat(if number < 3 { 100_000 } else { 1 })))
            .await;
    }
    let mut bell = bench.store.watch(bench.account("a@a.example").await);
    bench.store.remove_account("a@a.example").await.unwrap();
    bell.changed().await.unwrap();
    assert!(matches!(bench.store.snapshot(before).await, Err(Error::NoSuchMailbox(_))));
    let late = bench.store.append(before, vec![message("late")]).await;
    assert!(matches!(late, Err(Error::NoSuchMailbox(_))));
    bench.settle_down(|bench| bench.body_files().is_empty()).await;
    let after = bench.inbox("a@a.example").await;
    let new = bench.store.mailbox_by_id(after).await.unwrap();
    assert!(new.id != old.id && new.uidvalidity > old.uidvalidity && new.messages == 0);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn secrets_are_made_once() {
    let mut bench = Bench::new().await;
    let (one, two) = tokio::join!(bench.store.secret("srs", 32), bench.store.secret("srs", 32));
    let secret = one.unwrap();
    assert_eq!(two.unwrap(), secret);
    assert_eq!(secret.len(), 32);
    assert_ne!(bench.store.secret("other", 32).await.unwrap(), secret);
    bench.reopen().await;
    assert_eq!(bench.store.secret("srs", 32).await.unwrap(), secret);
}

/// Whoever asks for salts sees numbers of iterations too: a name without an account must not be told by them.
#[tokio::test]
async fn names_without_an_account_are_asked_like_others() {
    let bench = Bench::new().await;
    let asked = async |name: &str| bench.store.scram_salt(name).await.unwrap().asked_with;
    assert_eq!(asked("nobody@a.example").await, None);
    let scram = |salt: Vec<u8>, iterations| ScramVerifier {
        salt,
        iterations,
        sha_1: vec![1; 40],
        sha_256: vec![2; 64],
    };
    for (n, iterations) in [(1, 4096), (2, 4096), (3, 4096), (4, 10_000)] {
        let name = format!("old{n}@a.example");
        let salt = bench.store.scram_salt(&name).await.unwrap();
        let password = hash("one").with_scram(scram(salt.salt, iterations));
        bench.store.create_credential(&name, &password).await.unwrap();
        assert_eq!(asked(&name).await, Some(iterations));
    }
    let mut counts = (0, 0);
    for n in 0..400 {
        let name = format!("nobody{n}@a.example");
        let first = asked(&name).await;
        assert_eq!(first, asked(&name).await, "always the same");
        match first {
            Some(4096) => counts.0 += 1,
            Some(10_000) => counts.1 += 1,
            other => panic!("{other:?}: no account has that"),
        }
    }
    // The salts' secret is made by chance: within six standard deviations of three quarters.
    assert!((248..=352).contains(&counts.0), "{counts:?}");
    // An account that has none yet is asked in the same way, and its new secret is made with what is usual.
    bench.store.create_credential("nobody1@a.example", &hash("two")).await.unwrap();
    let salt = bench.store.scram_salt("nobody1@a.example").await.unwrap();
    assert_eq!(salt.iterations, None);
    assert!(matches!(salt.asked_with, Some(4096 | 10_000)));
}
