//! What is brought in is there once, however often it is brought, and each message is refused by itself.

use crate::help::*;
use storage::*;

const NAME: &str = "a@a.example";

fn import(name: &str, text: &str) -> Import {
    Import { key: ImportKey::of(&[name.as_bytes()]), message: message(text) }
}

fn with(mut import: Import, keywords: &[&str]) -> Import {
    import.message.keywords = keywords.iter().map(|name| (*name).to_owned()).collect();
    import
}

#[tokio::test]
async fn each_message_is_brought_in_once() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let account = bench.account(NAME).await;
    let big = "x".repeat(300_000);
    let all = || vec![import("1", "one"), import("2", "two"), import("1", "one"), import("3", &big)];
    let outcomes = bench.store.import(inbox, all(), Space::Needed).await.unwrap();
    assert_eq!(outcomes, [Imported::New(1), Imported::New(2), Imported::Before, Imported::New(3)]);
    bench.reopen().await;
    let again = bench.store.import(inbox, all(), Space::Needed).await.unwrap();
    assert_eq!(again, vec![Imported::Before; 4]);
    let keys = ["1", "9", "3"].map(|name| ImportKey::of(&[name.as_bytes()]));
    assert_eq!(bench.store.imported(account, &keys).await.unwrap(), [true, false, true]);
    assert_eq!(keys[0].to_string().parse(), Ok(keys[0]));
    // That it was expunged since does not bring it back; another account is another.
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    assert_eq!(bench.store.import(inbox, all(), Space::Needed).await.unwrap(), vec![Imported::Before; 4]);
    let other = bench.inbox("b@a.example").await;
    let outcomes = bench.store.import(other, all(), Space::Needed).await.unwrap();
    assert_eq!(outcomes[0], Imported::New(1));
    assert_eq!(bench.store.forget_imported(account).await, Ok(3));
    assert_eq!(bench.store.import(inbox, all(), Space::Needed).await.unwrap()[1], Imported::New(5));
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_refusal_touches_no_other_and_is_not_remembered() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let limits = Limits { octets: Limit::At(10), messages: Limit::Unlimited };
    bench.store.set_limits(NAME, limits).await.unwrap();
    let all = || vec![import("1", "12345"), import("2", "too much"), import("3", "12345")];
    let full = || Imported::Refused(Error::OverQuota(NAME.to_owned()));
    let outcomes = bench.store.import(inbox, all(), Space::Needed).await.unwrap();
    assert_eq!(outcomes, [Imported::New(1), full(), Imported::New(2)]);
    let outcomes = bench.store.import(inbox, all(), Space::Granted).await.unwrap();
    assert_eq!(outcomes, [Imported::Before, Imported::New(3), Imported::Before]);
    let gone = MailboxId::from_number(999);
    assert!(matches!(bench.store.import(gone, all(), Space::Needed).await, Err(Error::NoSuchMailbox(_))));
    let many = (0..=IMPORTS_MAX).map(|n| import(&n.to_string(), "x")).collect();
    assert!(matches!(bench.store.import(inbox, many, Space::Needed).await, Err(Error::TooMany { .. })));
}

#[tokio::test]
async fn keywords_without_room_cost_no_message() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let names: Vec<String> = (0..KEYWORDS_MAX).map(|n| format!("k{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let all = vec![
        with(import("1", "a"), &names),
        with(import("2", "b"), &["one-more"]),
        with(import("3", "c"), &["not an atom"]),
        with(import("4", "d"), &["K1"]),
    ];
    let outcomes = bench.store.import(inbox, all, Space::Needed).await.unwrap();
    let want =
        [Imported::New(1), Imported::WithoutKeywords(3), Imported::WithoutKeywords(4), Imported::New(2)];
    assert_eq!(outcomes, want);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_was_brought_in_goes_with_the_account() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    bench.store.import(inbox, vec![import("1", "one")], Space::Needed).await.unwrap();
    bench.store.remove_account(NAME).await.unwrap();
    let inbox = bench.inbox(NAME).await;
    let outcomes = bench.store.import(inbox, vec![import("1", "one")], Space::Needed).await.unwrap();
    assert_eq!(outcomes, [Imported::New(1)]);
}
