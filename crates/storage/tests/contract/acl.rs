//! Rights on mailboxes: who gets which, what new and deleted mailboxes do with them, and that they go with accounts.

use crate::help::*;
use rusqlite::Connection;
use storage::*;

const OWNER: &str = "owner@a.example";
const READER: &str = "reader@a.example";
const THIRD: &str = "third@a.example";

fn rights(text: &str) -> Rights {
    text.parse().unwrap()
}

fn account(name: &str) -> Grantee {
    Grantee::Account(name.to_owned())
}

async fn grant(bench: &Bench, mailbox: MailboxId, to: Grantee, text: &str) {
    let (sign, text) = text.strip_prefix('-').map_or((Sign::Positive, text), |text| (Sign::Negative, text));
    bench.store.grant(mailbox, to, sign, GrantChange::Set(rights(text))).await.unwrap();
}

async fn held(bench: &Bench, reader: &str, mailbox: MailboxId) -> String {
    let reader = bench.account(reader).await;
    bench.store.reach_id(reader, mailbox).await.unwrap().rights.to_string()
}

#[tokio::test]
async fn entries_come_together_and_the_owner_keeps_some() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(OWNER).await;
    assert_eq!(held(&bench, OWNER, inbox).await, "lrswipkxtea");
    assert_eq!(held(&bench, READER, inbox).await, "");
    let before = bench.store.rights_version();
    grant(&bench, inbox, account(READER), "lrs").await;
    assert_ne!(bench.store.rights_version(), before);
    grant(&bench, inbox, Grantee::Anyone, "lw").await;
    assert_eq!(held(&bench, READER, inbox).await, "lrsw");
    assert_eq!(held(&bench, THIRD, inbox).await, "lw");
    grant(&bench, inbox, account(READER), "-rw").await;
    assert_eq!(held(&bench, READER, inbox).await, "ls");
    grant(&bench, inbox, Grantee::Anyone, "-l").await;
    assert_eq!(held(&bench, READER, inbox).await, "s");
    assert_eq!(held(&bench, OWNER, inbox).await, "lrswipkxtea");
    grant(&bench, inbox, account(OWNER), "").await;
    assert_eq!(held(&bench, OWNER, inbox).await, "lwa");
    grant(&bench, inbox, account(OWNER), "-lrswipkxtea").await;
    assert_eq!(held(&bench, OWNER, inbox).await, "la");
    bench.store.grant(inbox, account(OWNER), Sign::Negative, GrantChange::Drop).await.unwrap();
    bench.store.grant(inbox, account(OWNER), Sign::Positive, GrantChange::Drop).await.unwrap();
    assert_eq!(held(&bench, OWNER, inbox).await, "lrswipkxtea");
}

#[tokio::test]
async fn entries_are_added_to_and_taken_from() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(OWNER).await;
    bench.account(READER).await;
    let change = async |to: &str, change| {
        bench.store.grant(inbox, account(to), Sign::Positive, change).await.unwrap();
    };
    change(READER, GrantChange::Add(rights("lr"))).await;
    change(READER, GrantChange::Add(rights("d"))).await;
    change(READER, GrantChange::Remove(rights("rc"))).await;
    // The owner's begins with everything.
    change(OWNER, GrantChange::Remove(rights("e"))).await;
    let grant = |to: &str, text| Grant { to: account(to), sign: Sign::Positive, rights: rights(text) };
    let want = [grant(OWNER, "lrswipkxta"), grant(READER, "lte")];
    assert_eq!(bench.store.grants(inbox).await.unwrap(), want);
    change(READER, GrantChange::Remove(rights("lted"))).await;
    change(OWNER, GrantChange::Drop).await;
    assert_eq!(bench.store.grants(inbox).await.unwrap(), []);
    let nobody = bench.store.grant(inbox, account("nobody"), Sign::Positive, GrantChange::Drop).await;
    assert_eq!(nobody, Err(Error::NoSuchAccount("nobody".to_owned())));
    let gone = MailboxId::from_number(9999);
    let nowhere = bench.store.grant(gone, Grantee::Anyone, Sign::Positive, GrantChange::Drop).await;
    assert_eq!(nowhere, Err(Error::NoSuchMailbox("9999".to_owned())));
}

#[tokio::test]
async fn lists_have_an_end() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(OWNER).await;
    let fill = (0..GRANTS_MAX).map(async |number| {
        let name = format!("n{number}@a.example");
        bench.account(&name).await;
        grant(&bench, inbox, account(&name), "lr").await;
    });
    futures_util::future::join_all(fill).await;
    let more = |sign, change| bench.store.grant(inbox, account(OWNER), sign, change);
    let refused = more(Sign::Negative, GrantChange::Set(rights("e"))).await;
    assert_eq!(refused, Err(Error::TooMany { what: "entries in a list of rights", limit: GRANTS_MAX }));
    // What changes nothing, or an entry that is there, needs no room.
    more(Sign::Negative, GrantChange::Set(rights(""))).await.unwrap();
    grant(&bench, inbox, account("n0@a.example"), "r").await;
    assert_eq!(bench.store.grants(inbox).await.unwrap().len() as u64, GRANTS_MAX);
}

#[tokio::test]
async fn what_is_shared_is_reached_by_its_owner_and_name() {
    let bench = Bench::new().await;
    let (owner, reader) = (bench.account(OWNER).await, bench.account(READER).await);
    let box_a = bench.store.create_mailbox(owner, "a/b", Some(SpecialUse::All)).await.unwrap();
    let names = async |reader| -> Vec<String> {
        let shared = bench.store.shared_with(reader).await.unwrap();
        shared.into_iter().map(|one| format!("{} {} {}", one.owner, one.mailbox.name, one.rights)).collect()
    };
    assert_eq!(names(reader).await, [""; 0]);
    let reach = async |name: &str| bench.store.reach(reader, Some(OWNER), name).await;
    assert_eq!(reach("a/b").await.unwrap().rights, Rights::NONE);
    grant(&bench, box_a, account(READER), "lr").await;
    let inbox = bench.inbox(OWNER).await;
    grant(&bench, inbox, Grantee::Anyone, "lri").await;
    // Without the right to see it, it is not shown, and reached all the same.
    let sent = bench.store.mailbox(owner, "Sent").await.unwrap().id;
    grant(&bench, sent, account(READER), "r").await;
    assert_eq!(names(reader).await, [format!("{OWNER} INBOX lri"), format!("{OWNER} a/b lr")]);
    assert_eq!(bench.store.shared_with(reader).await.unwrap()[1].mailbox.special_use, None);
    assert_eq!(names(owner).await, [""; 0]);
    let found = reach("inbox").await.unwrap();
    assert_eq!((found.mailbox.id, found.owner.as_str(), found.rights), (inbox, OWNER, rights("lri")));
    assert_eq!(reach("Sent").await.unwrap().rights, rights("r"));
    let missing = |name: &str| Err(Error::NoSuchMailbox(name.to_owned()));
    assert_eq!(reach("none").await, missing("none"));
    assert_eq!(bench.store.reach(reader, Some("nobody"), "INBOX").await, missing("INBOX"));
    // Nobody is another account to himself.
    assert_eq!(bench.store.reach(owner, Some(OWNER), "INBOX").await, missing("INBOX"));
    assert_eq!(bench.store.reach(owner, None, "INBOX").await.unwrap().rights, Rights::ALL);
    let above = bench.store.reach_above(reader, Some(OWNER), "a/b/c/d").await.unwrap().unwrap();
    assert_eq!((above.mailbox.id, above.rights), (box_a, rights("lr")));
    assert_eq!(bench.store.reach_above(reader, Some(OWNER), "z").await, Ok(None));
    assert_eq!(bench.store.reach_above(owner, None, "inbox/x").await.unwrap().unwrap().mailbox.id, inbox);
    grant(&bench, inbox, account(OWNER), "lra").await;
    assert_eq!(bench.store.own_rights(owner).await.unwrap().len(), 3);
    assert!(bench.store.own_rights(owner).await.unwrap().contains(&(inbox, rights("lria"))));
}

#[tokio::test]
async fn lists_go_down_to_new_mailboxes_and_away_with_old_ones() {
    let bench = Bench::new().await;
    let (owner, reader) = (bench.account(OWNER).await, bench.account(READER).await);
    let id = async |name: &str| bench.store.mailbox(owner, name).await.unwrap().id;
    let top = bench.store.create_mailbox(owner, "a", None).await.unwrap();
    grant(&bench, top, account(READER), "lrk").await;
    grant(&bench, top, Grantee::Anyone, "-k").await;
    let deep = bench.store.create_mailbox(owner, "a/b/c", None).await.unwrap();
    assert_eq!(bench.store.grants(deep).await.unwrap(), bench.store.grants(top).await.unwrap());
    assert_eq!(held(&bench, READER, id("a/b").await).await, "lr");
    // A list goes with its mailbox, and not with the name.
    bench.store.rename_mailbox(owner, "a/b", "z/b").await.unwrap();
    assert_eq!(held(&bench, READER, deep).await, "lr");
    assert_eq!(held(&bench, READER, id("z").await).await, "");
    let before = bench.store.rights_version();
    bench.store.delete_mailbox(owner, "a").await.unwrap();
    assert_ne!(bench.store.rights_version(), before);
    bench.store.create_mailbox(owner, "a", None).await.unwrap();
    assert_eq!(held(&bench, READER, id("a").await).await, "");
    // A name that stays for what it holds has no list, and takes the one above it when it is a mailbox again.
    bench.store.delete_mailbox(owner, "z/b").await.unwrap();
    assert_eq!(held(&bench, READER, id("z/b").await).await, "");
    grant(&bench, id("z").await, Grantee::Anyone, "l").await;
    bench.store.create_mailbox(owner, "z/b", None).await.unwrap();
    assert_eq!(held(&bench, READER, id("z/b").await).await, "l");
    // An account takes its entries with it, and what it shared.
    bench.store.remove_account(READER).await.unwrap();
    assert_eq!(bench.store.grants(deep).await.unwrap().len(), 1);
    let other = bench.account(THIRD).await;
    assert_eq!(bench.store.shared_with(other).await.unwrap().len(), 2);
    bench.store.remove_account(OWNER).await.unwrap();
    assert_eq!(bench.store.shared_with(other).await.unwrap(), []);
    assert_eq!(bench.store.reach_id(reader, deep).await, Err(Error::NoSuchMailbox(deep.to_string())));
    assert_eq!(bench.store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn those_concerned_are_woken() {
    let bench = Bench::new().await;
    let inbox = bench.inbox(OWNER).await;
    let (owner, reader) = (bench.account(OWNER).await, bench.account(READER).await);
    let (mut owners, mut readers) = (bench.store.watch(owner), bench.store.watch(reader));
    grant(&bench, inbox, account(READER), "lr").await;
    assert!(owners.has_changed().unwrap() && readers.has_changed().unwrap());
    owners.mark_unchanged();
    readers.mark_unchanged();
    grant(&bench, inbox, account(OWNER), "lr").await;
    assert!(owners.has_changed().unwrap() && !readers.has_changed().unwrap());
}

/// What is copied keeps the flags that may be set where it goes (RFC 4314 §4).
#[tokio::test]
async fn flags_are_kept_as_far_as_they_may_be_set() {
    let bench = Bench::new().await;
    let (from, to) = (bench.inbox(OWNER).await, bench.inbox(READER).await);
    let all = FlagChange { mode: FlagMode::Set, flags: Flags::ALL, keywords: vec!["tag".to_owned()] };
    bench.append(from, "x").await;
    bench.store.store_flags(from, &UidSet::all(), all, None).await.unwrap();
    for (way, text) in
        [(Way::Copy, ""), (Way::Copy, "s"), (Way::Copy, "td"), (Way::Copy, "w"), (Way::Move, "wt")]
    {
        bench.store.transfer(from, &UidSet::all(), to, way, rights(text)).await.unwrap();
    }
    assert_eq!(bench.show(to).await, "1 -  x\n2 S  x\n3 D  x\n4 AFT tag x\n5 AFDT tag x\n");
    assert_eq!(bench.show(from).await, "");
    let some =
        FlagChange { mode: FlagMode::SetAllowed(rights("s")), flags: Flags::SEEN, keywords: Vec::new() };
    bench.store.store_flags(to, &UidSet::all(), some.clone(), None).await.unwrap();
    assert_eq!(bench.show(to).await, "1 S  x\n2 S  x\n3 SD  x\n4 SAFT tag x\n5 SAFDT tag x\n");
    let none = FlagChange { mode: FlagMode::SetAllowed(rights("w")), flags: Flags::NONE, ..some };
    bench.store.store_flags(to, &UidSet::all(), none, None).await.unwrap();
    assert_eq!(bench.show(to).await, "1 S  x\n2 S  x\n3 SD  x\n4 S  x\n5 SD  x\n");
    assert_eq!(bench.store.verify().await.unwrap(), [""; 0]);
}

/// A name that now stands above mailboxes of others makes room.
#[tokio::test]
async fn names_that_are_taken_now_are_changed() {
    let mut bench = Bench::new().await;
    let owner = bench.account(OWNER).await;
    for name in ["Other Users", "Other Users/a", "My Other Users/a", "Other Users and more", "other users"] {
        bench.store.create_mailbox(owner, name, None).await.unwrap();
    }
    bench.store.subscribe(owner, "Other Users").await.unwrap();
    bench.store.close().await;
    let path = bench.dir.path().join("maddy.db");
    // As it is done to a database of the version before, whatever came after.
    let step = concat!("DROP TABLE acl;", include_str!("../../migrations/0008_acl.sql"));
    Connection::open(path).unwrap().execute_batch(step).unwrap();
    bench.reopen().await;
    let listing = bench.store.list(owner).await.unwrap();
    let id = |name: &str| listing.mailboxes.iter().any(|mailbox| mailbox.name == name);
    for name in ["My Other Users", "My Other Users/a", "Other Users and more", "other users"] {
        assert!(id(name), "{name}: {listing:?}");
    }
    let moved = listing.mailboxes.iter().filter(|mailbox| mailbox.name.starts_with("My Other Users "));
    let moved: Vec<&str> = moved.map(|mailbox| &*mailbox.name).collect();
    // Two could not have the new name, for it was taken.
    assert_eq!(moved.len(), 2, "{listing:?}");
    assert!(!listing.mailboxes.iter().any(|mailbox| mailbox.name.starts_with("Other Users/")));
    assert_eq!(listing.subscribed_only, [""; 0], "{listing:?}");
}

/// Other domains on the same server are other people's: anyone is whoever has the owner's domain.
#[tokio::test]
async fn anyone_means_the_own_domain() {
    let bench = Bench::new().await;
    for (owner, reader, want) in [
        ("o@a.example", "r@a.example", "lr"),
        ("o@a.example", "r@b.example", ""),
        ("o@a.example", "r@sub.a.example", ""),
        ("o@a.example", "a.example", ""),
        ("o@a.example", "plain", ""),
        ("plain", "simple", "lr"),
        ("plain", "r@plain", ""),
        ("\"x@b.example\"@a.example", "r@a.example", "lr"),
        ("\"x@b.example\"@a.example", "r@b.example", ""),
    ] {
        let inbox = bench.inbox(owner).await;
        grant(&bench, inbox, Grantee::Anyone, "lr").await;
        assert_eq!(held(&bench, reader, inbox).await, want, "{reader} in the mailbox of {owner}");
        let reader_id = bench.account(reader).await;
        let shared = bench.store.shared_with(reader_id).await.unwrap();
        assert_eq!(shared.iter().any(|one| one.owner == owner), want == "lr", "{reader} of {owner}");
        assert_eq!(domain_of(owner) == domain_of(reader), want == "lr", "{reader} and {owner}");
    }
    // Whoever is named may be of any domain; what is taken from anyone is taken from those too.
    let inbox = bench.inbox("o@a.example").await;
    grant(&bench, inbox, account("r@b.example"), "lrs").await;
    assert_eq!(held(&bench, "r@b.example", inbox).await, "lrs");
    grant(&bench, inbox, Grantee::Anyone, "-s").await;
    assert_eq!(held(&bench, "r@b.example", inbox).await, "lr");
    grant(&bench, inbox, Grantee::Anyone, "-l").await;
    let reader = bench.account("r@b.example").await;
    assert!(bench.store.shared_with(reader).await.unwrap().is_empty());
    // Who moves to another domain has other rights; sessions hear of it.
    let before = bench.store.rights_version();
    bench.store.rename_account("o@a.example", "o@b.example").await.unwrap();
    assert_ne!(bench.store.rights_version(), before);
}
