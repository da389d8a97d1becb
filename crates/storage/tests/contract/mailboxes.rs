//! Mailboxes: made, deleted, renamed, subscribed, as scripts. A line that begins with `>` does something, the lines
//! after it are what was answered, or what LIST shows.

use crate::help::*;
use storage::*;

/// Runs a script against a fresh account; panics with what differs.
async fn run(script: &str) {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    let mut got = String::new();
    for line in script.lines().map(str::trim).filter(|line| line.starts_with('>')) {
        got += line;
        got += "\n";
        got += &act(&bench, account, line[1..].trim()).await;
    }
    let want: String = script.lines().map(|line| line.trim().to_owned() + "\n").skip(1).collect();
    let want = want.trim_end();
    assert_eq!(got.trim_end(), want);
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

async fn act(bench: &Bench, account: AccountId, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let store = &bench.store;
    let outcome = match words.as_slice() {
        ["create", name] => store.create_mailbox(account, name, None).await.map(|_| ()),
        ["create", name, special] => {
            store.create_mailbox(account, name, Some(special.parse().unwrap())).await.map(|_| ())
        }
        ["use", name, "-"] => store.set_special_use(account, name, None).await,
        ["use", name, special] => store.set_special_use(account, name, Some(special.parse().unwrap())).await,
        ["delete", name] => store.delete_mailbox(account, name).await,
        ["rename", from, to] => store.rename_mailbox(account, from, to).await,
        ["subscribe", name] => store.subscribe(account, name).await,
        ["unsubscribe", name] => store.unsubscribe(account, name).await,
        ["append", name, text] => {
            let mailbox = store.mailbox(account, name).await.unwrap();
            store.append(mailbox.id, vec![message(text)]).await.map(|_| ())
        }
        ["show", name] => {
            let mailbox = store.mailbox(account, name).await.unwrap();
            return bench.show(mailbox.id).await;
        }
        ["list"] => return list(&store.list(account).await.unwrap()),
        _ => panic!("unknown line: {line}"),
    };
    match outcome {
        Ok(()) => String::new(),
        Err(error) => format!("{error}\n"),
    }
}

/// One mailbox a line, the first six but INBOX left out unless they changed.
fn list(listing: &Listing) -> String {
    let mut out = String::new();
    for mailbox in &listing.mailboxes {
        let plain = ["Archive", "Drafts", "Junk", "Sent", "Trash"].contains(&mailbox.name.as_str());
        if plain && mailbox.special_use.is_some() && mailbox.subscribed {
            continue;
        }
        out += &mailbox.name;
        if mailbox.kind == MailboxKind::NoSelect {
            out += " noselect";
        }
        if mailbox.has_children {
            out += " children";
        }
        if mailbox.subscribed {
            out += " subscribed";
        }
        if let Some(special) = mailbox.special_use {
            out += &format!(" {special}");
        }
        if mailbox.messages > 0 {
            out += &format!(" {} messages, {} octets", mailbox.messages, mailbox.size);
        }
        out += "\n";
    }
    for name in &listing.subscribed_only {
        out += &format!("({name})\n");
    }
    out
}

#[tokio::test]
async fn create() {
    run("
        > create a/b/c
        > create d/
        > create a/b
        a/b exists already
        > create inbox
        INBOX exists already
        > create inBOX/sub
        > create e//f
        \"e//f\" cannot be a name: a level of it is empty
        > create a-b
        > create Papierkorb \\Trash
        > list
        INBOX children subscribed
        INBOX/sub
        Papierkorb \\Trash
        Trash subscribed
        a children
        a/b children
        a/b/c
        a-b
        d
    ")
    .await;
}

#[tokio::test]
async fn delete() {
    run("
        > create a/b/c
        > append a one
        > append a/b two
        > delete a
        > list
        INBOX subscribed
        a noselect children
        a/b children 1 messages, 3 octets
        a/b/c
        > delete a
        a holds other mailboxes: delete those first
        > append a no
        a only holds other mailboxes
        > create a
        > append a new
        > show a
        1 -  new
        > delete a/b/c
        > delete a/b
        > delete a
        > delete a
        there is no mailbox a
        > delete Inbox
        INBOX cannot be deleted
        > list
        INBOX subscribed
    ")
    .await;
}

#[tokio::test]
async fn rename() {
    run("
        > create a/b
        > create ab
        > append a one
        > append a/b two
        > subscribe a/b
        > rename a x/y/z
        > list
        INBOX subscribed
        ab
        x children
        x/y children
        x/y/z children 1 messages, 3 octets
        x/y/z/b subscribed 1 messages, 3 octets
        > show x/y/z/b
        1 -  two
        > rename x/y x/y/z/w
        a mailbox cannot be moved beneath itself
        > rename x/y ab
        ab exists already
        > rename none n
        there is no mailbox none
        > rename x/y x%
        \"x%\" cannot be a name: it has a wildcard of LIST (% or *)
    ")
    .await;
}

#[tokio::test]
async fn rename_inbox_moves_its_messages() {
    run("
        > create INBOX/kept
        > append INBOX one
        > append INBOX two
        > rename inbox old/2025
        > append INBOX three
        > show INBOX
        3 -  three
        > show old/2025
        1 -  one
        2 -  two
        > list
        INBOX children subscribed 1 messages, 5 octets
        INBOX/kept
        old children
        old/2025 2 messages, 6 octets
    ")
    .await;
}

#[tokio::test]
async fn subscriptions_and_special_use() {
    run("
        > subscribe none/such
        > subscribe inbox
        > unsubscribe Junk
        > use Sent -
        > use Archive \\Sent
        > unsubscribe none
        > list
        INBOX subscribed
        Junk \\Junk
        Sent subscribed
        (none/such)
        > unsubscribe none/such
        > delete Junk
        > list
        INBOX subscribed
        Sent subscribed
    ")
    .await;
}

/// A name never has a UIDVALIDITY that it had before or one below (RFC 9051 §2.3.1.1).
#[tokio::test]
async fn uidvalidity_of_a_name_only_grows() {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    let store = &bench.store;
    let validity = async |name: &str| store.mailbox(account, name).await.unwrap().uidvalidity;
    store.create_mailbox(account, "a", None).await.unwrap();
    store.create_mailbox(account, "b", None).await.unwrap();
    let (a, b) = (validity("a").await, validity("b").await);
    assert!(b > a);
    // A fresh name keeps what clients know of the mailbox.
    store.rename_mailbox(account, "a", "c").await.unwrap();
    assert_eq!(validity("c").await, a);
    // A name that had a greater value does not take a smaller one.
    store.delete_mailbox(account, "b").await.unwrap();
    store.rename_mailbox(account, "c", "b").await.unwrap();
    let second = validity("b").await;
    assert!(second > b);
    store.delete_mailbox(account, "b").await.unwrap();
    store.create_mailbox(account, "b", None).await.unwrap();
    let third = validity("b").await;
    assert!(third > second);
    store.create_mailbox(account, "b/d", None).await.unwrap();
    store.delete_mailbox(account, "b").await.unwrap();
    store.create_mailbox(account, "b", None).await.unwrap();
    let fourth = validity("b").await;
    assert!(fourth > third);
    // Not even a clock that goes back makes it shrink.
    bench.clock.set(1000);
    store.rename_mailbox(account, "b", "e").await.unwrap();
    store.create_mailbox(account, "b", None).await.unwrap();
    assert!(validity("b").await > fourth);
}

#[tokio::test]
async fn a_rename_keeps_its_place_in_limits() {
    let bench = Bench::new().await;
    let account = bench.account("a@a.example").await;
    let deep = vec!["x"; LEVELS_MAX].join("/");
    bench.store.create_mailbox(account, &deep, None).await.unwrap();
    let refused = bench.store.rename_mailbox(account, "x", "y/x").await;
    assert!(matches!(refused, Err(Error::BadName(_, "it has more than 32 levels"))), "{refused:?}");
    // Nothing of it was done: not even the parent was made.
    assert!(matches!(bench.store.mailbox(account, "y").await, Err(Error::NoSuchMailbox(_))));
    let long = "x".repeat(NAME_MAX + 1);
    assert!(matches!(bench.store.create_mailbox(account, &long, None).await, Err(Error::BadName(..))));
}
