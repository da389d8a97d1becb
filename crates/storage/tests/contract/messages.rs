//! Messages: flags, copies, moves, expunges, and what is told of them afterwards.

use crate::help::*;
use storage::*;

fn change(mode: FlagMode, flags: Flags, keywords: &[&str]) -> FlagChange {
    FlagChange { mode, flags, keywords: keywords.iter().map(|name| (*name).to_owned()).collect() }
}

async fn filled(bench: &Bench, texts: &[&str]) -> MailboxId {
    let inbox = bench.inbox("a@a.example").await;
    let messages = texts.iter().map(|text| message(text)).collect();
    bench.store.append(inbox, messages).await.unwrap();
    inbox
}

#[tokio::test]
async fn append_in_one_go() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &[]).await;
    let mut messages = vec![message("one"), message("two"), message("one")];
    messages[1].flags = Flags::SEEN | Flags::FLAGGED;
    messages[1].keywords = vec!["$label1".to_owned(), "Work".to_owned()];
    messages[1].received = 12345;
    let appended = bench.store.append(inbox, messages).await.unwrap();
    assert_eq!(appended.uids, [1, 2, 3]);
    let mailbox = bench.store.mailbox_by_id(inbox).await.unwrap();
    assert_eq!((appended.uidvalidity, appended.modseq), (mailbox.uidvalidity, mailbox.modseq));
    assert_eq!((mailbox.messages, mailbox.unseen, mailbox.size, mailbox.uidnext), (3, 2, 9, 4));
    assert_eq!(bench.show(inbox).await, "1 -  one\n2 SF $label1,Work two\n3 -  one\n");
    let rows = bench.store.fetch(inbox, &UidSet::one(2), Columns::NONE, 1).await.unwrap();
    assert_eq!((rows[0].received, rows[0].saved), (12345, NOW));
}

/// Many messages that lie in one file come as those that lie in memory, packed or not, small or large.
#[tokio::test]
async fn append_from_a_pile() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &[]).await;
    let mut pile = mail::Pile::new(bench.dir.path());
    let text = |n: usize| match n % 100 {
        0 => format!("large {n} {}", "z".repeat(300_000)),
        50..60 => format!("packed {n} {}", "y".repeat(10_000)),
        _ => format!("small {n}"),
    };
    let count = 2_000;
    let messages = (0..count).map(|n| {
        let mut message = message(&text(n));
        message.message.received = pile.add(&message.message.received).unwrap();
        message
    });
    let appended = bench.store.append(inbox, messages.collect()).await.unwrap();
    assert_eq!(appended.uids.len(), count);
    for n in (0..count).step_by(7).chain([50, 100]) {
        assert!(bench.text(inbox, appended.uids[n]).await.unwrap() == text(n), "{n}");
    }
    assert_eq!(bench.body_files().len(), count / 100);
    assert_eq!(bench.store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn append_limit() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &[]).await;
    bench.store.set_append_limit("a@a.example", Some(5)).await.unwrap();
    let refused = bench.store.append(inbox, vec![message("short"), message("longer")]).await;
    assert_eq!(refused, Err(Error::TooLarge { limit: 5 }));
    assert_eq!(bench.show(inbox).await, "");
    assert_eq!(bench.append(inbox, "short").await, 1);
    // It is for APPEND only: mail that comes in has its own limit at the door.
    bench.store.accept(acceptance("longer", &["a@a.example"], &[])).await.unwrap();
}

#[tokio::test]
async fn replace() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &["one", "two"]).await;
    let account = bench.account("a@a.example").await;
    let sent = bench.store.mailbox(account, "Sent").await.unwrap().id;
    let before = bench.store.mailbox_by_id(inbox).await.unwrap().modseq;
    let replaced = bench.store.replace(inbox, message("three"), inbox, 1).await.unwrap().unwrap();
    assert_eq!(replaced.uids, [3]);
    assert_eq!(bench.show(inbox).await, "2 -  two\n3 -  three\n");
    let changes = bench.store.changes_since(inbox, before).await.unwrap();
    assert_eq!((changes.vanished, changes.mailbox.modseq), (UidSet::one(1), replaced.modseq));
    assert_eq!((changes.mailbox.messages, changes.mailbox.size), (2, 8));
    // Into another mailbox; of one that is gone, or into one that takes nothing: nothing is done.
    bench.store.replace(sent, message("four"), inbox, 2).await.unwrap().unwrap();
    assert_eq!(bench.store.replace(sent, message("five"), inbox, 2).await, Ok(None));
    bench.store.set_append_limit("a@a.example", Some(5)).await.unwrap();
    let refused = bench.store.replace(sent, message("longer"), inbox, 3).await;
    assert_eq!(refused, Err(Error::TooLarge { limit: 5 }));
    assert_eq!(bench.show(inbox).await, "3 -  three\n");
    assert_eq!(bench.show(sent).await, "1 -  four\n");
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn flags() {
    use FlagMode::*;
    let bench = Bench::new().await;
    let inbox = filled(&bench, &["one", "two", "three"]).await;
    let all = UidSet::all();
    for (uids, change, want) in [
        (set(&[(1, 2)]), change(Add, Flags::SEEN, &["Work"]), "1 S Work one\n2 S Work two\n3 -  three\n"),
        (
            set(&[(2, 9)]),
            change(Set, Flags::DELETED, &["home"]),
            "1 S Work one\n2 D home two\n3 D home three\n",
        ),
        (
            all.clone(),
            change(Add, Flags::NONE, &["WORK"]),
            "1 S Work one\n2 D Work,home two\n3 D Work,home three\n",
        ),
        (
            all.clone(),
            change(Remove, Flags::ALL, &["home", "none"]),
            "1 - Work one\n2 - Work two\n3 - Work three\n",
        ),
        (set(&[(7, 9)]), change(Add, Flags::ALL, &[]), "1 - Work one\n2 - Work two\n3 - Work three\n"),
        (set(&[(3, 3)]), change(Set, Flags::ALL, &[]), "1 - Work one\n2 - Work two\n3 SAFDT  three\n"),
    ] {
        let before = bench.store.snapshot(inbox).await.unwrap();
        let stored = bench.store.store_flags(inbox, &uids, change.clone(), None).await.unwrap();
        assert_eq!(bench.show(inbox).await, want, "{uids} {change:?}");
        let after = bench.store.snapshot(inbox).await.unwrap();
        let differ: Vec<Mark> =
            after.marks.iter().filter(|mark| !before.marks.contains(mark)).copied().collect();
        assert_eq!(stored.changed, differ, "only what truly changed gets a new mod-sequence");
        assert_eq!(stored.modseq, after.mailbox.modseq);
        assert_eq!(stored.keywords, after.keywords);
        assert_eq!(after.mailbox.modseq > before.mailbox.modseq, !differ.is_empty());
    }
    let mailbox = bench.store.mailbox_by_id(inbox).await.unwrap();
    assert_eq!((mailbox.unseen, mailbox.deleted), (2, 1));
    // What is taken off is not made known by that.
    assert_eq!(bench.store.snapshot(inbox).await.unwrap().keywords, ["Work", "home"]);
}

#[tokio::test]
async fn flags_unchanged_since() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &["one", "two", "three"]).await;
    let since = bench.store.mailbox_by_id(inbox).await.unwrap().modseq;
    let seen = change(FlagMode::Add, Flags::SEEN, &[]);
    bench.store.store_flags(inbox, &UidSet::one(2), seen, None).await.unwrap();
    let flagged = change(FlagMode::Add, Flags::FLAGGED, &[]);
    let stored = bench.store.store_flags(inbox, &UidSet::all(), flagged, Some(since)).await.unwrap();
    assert_eq!(stored.modified, UidSet::one(2));
    assert_eq!(stored.changed.iter().map(|mark| mark.uid).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(bench.show(inbox).await, "1 F  one\n2 S  two\n3 F  three\n");
}

#[tokio::test]
async fn keywords_have_a_limit() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &["one"]).await;
    let everything = UidSet::all();
    let names: Vec<String> = (0..KEYWORDS_MAX).map(|n| format!("k{n}")).collect();
    let all = FlagChange { mode: FlagMode::Set, flags: Flags::NONE, keywords: names.clone() };
    bench.store.store_flags(inbox, &everything, all, None).await.unwrap();
    assert_eq!(bench.show(inbox).await, format!("1 - {} one\n", names.join(",")));
    let more =
        bench.store.store_flags(inbox, &everything, change(FlagMode::Add, Flags::SEEN, &["k64"]), None);
    assert_eq!(more.await, Err(Error::TooMany { what: "keywords in the mailbox", limit: 64 }));
    // A keyword that no message has any more makes room.
    let less = FlagChange { mode: FlagMode::Remove, flags: Flags::NONE, keywords: names[7..8].to_vec() };
    bench.store.store_flags(inbox, &everything, less, None).await.unwrap();
    let two = change(FlagMode::Add, Flags::NONE, &["k64", "k65"]);
    let refused = bench.store.store_flags(inbox, &everything, two, None).await;
    assert_eq!(refused, Err(Error::TooMany { what: "keywords in the mailbox", limit: 64 }));
    let one = change(FlagMode::Add, Flags::NONE, &["k64", "K3"]);
    bench.store.store_flags(inbox, &everything, one, None).await.unwrap();
    let mut names = names;
    names[7] = "k64".to_owned();
    assert_eq!(bench.show(inbox).await, format!("1 - {} one\n", names.join(",")));
    for bad in ["", "a b", "a(", "\\Seen", "a*", "ü"] {
        let refused =
            bench.store.store_flags(inbox, &everything, change(FlagMode::Add, Flags::NONE, &[bad]), None);
        assert!(matches!(refused.await, Err(Error::BadName(..))), "{bad:?}");
    }
}

#[tokio::test]
async fn copy_and_move() {
    let bench = Bench::new().await;
    let inbox = filled(&bench, &["one", "two", "three"]).await;
    let account = bench.account("a@a.example").await;
    let other = bench.store.mailbox(account, "Archive").await.unwrap();
    let tag = |flags, keywords: &[&str]| change(FlagMode::Set, flags, keywords);
    bench.store.store_flags(inbox, &UidSet::one(1), tag(Flags::SEEN, &["a", "b"]), None).await.unwrap();
    bench.store.store_flags(inbox, &UidSet::one(3), tag(Flags::DELETED, &["b"]), None).await.unwrap();
    bench.append(other.id, "zero").await;
    bench.store.store_flags(other.id, &UidSet::one(1), tag(Flags::NONE, &["B"]), None).await.unwrap();

    let copied = bench.store.copy(inbox, &set(&[(1, 1), (3, 9)]), other.id).await.unwrap();
    assert_eq!((copied.uidvalidity, copied.pairs), (other.uidvalidity, vec![(1, 2), (3, 3)]));
    assert_eq!(bench.show(other.id).await, "1 - B zero\n2 S B,a one\n3 D B three\n");

    bench.clock.advance(std::time::Duration::from_secs(60));
    let moved = bench.store.move_messages(inbox, &set(&[(2, 3)]), other.id).await.unwrap();
    assert_eq!(moved.pairs, [(2, 4), (3, 5)]);
    assert_eq!(bench.show(inbox).await, "1 S a,b one\n");
    assert_eq!(bench.show(other.id).await, "1 - B zero\n2 S B,a one\n3 D B three\n4 -  two\n5 D B three\n");
    let row = &bench.store.fetch(other.id, &UidSet::one(5), Columns::NONE, 1).await.unwrap()[0];
    assert_eq!((row.received, row.saved), (NOW, NOW + 60));
    let changes = bench.store.changes_since(inbox, copied.modseq).await.unwrap();
    assert_eq!((changes.changed, changes.vanished), (vec![], set(&[(2, 3)])));

    let nothing = bench.store.copy(inbox, &UidSet::one(7), other.id).await.unwrap();
    assert_eq!(nothing.pairs, []);
    // Within one mailbox too, and to another account.
    assert_eq!(bench.store.copy(inbox, &UidSet::all(), inbox).await.unwrap().pairs, [(1, 4)]);
    assert_eq!(bench.store.move_messages(inbox, &UidSet::one(4), inbox).await.unwrap().pairs, [(4, 5)]);
    let far = bench.inbox("b@a.example").await;
    assert_eq!(bench.store.move_messages(inbox, &UidSet::all(), far).await.unwrap().pairs, [(1, 1), (5, 2)]);
    assert_eq!(bench.show(far).await, "1 S a,b one\n2 S a,b one\n");
    assert_eq!(bench.show(inbox).await, "");
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn expunge_and_what_vanished() {
    let mut bench = Bench::new().await;
    let inbox = filled(&bench, &["1", "2", "3", "4", "5", "6"]).await;
    let start = bench.store.mailbox_by_id(inbox).await.unwrap().modseq;
    let gone = change(FlagMode::Add, Flags::DELETED, &[]);
    bench.store.store_flags(inbox, &set(&[(2, 3), (5, 5)]), gone, None).await.unwrap();
    let some = bench.store.expunge(inbox, &set(&[(1, 3)]), Which::Deleted).await.unwrap();
    assert_eq!(some.uids, set(&[(2, 3)]));
    let rest = bench.store.expunge(inbox, &UidSet::all(), Which::Deleted).await.unwrap();
    assert_eq!(rest.uids, UidSet::one(5));
    let any = bench.store.expunge(inbox, &UidSet::one(6), Which::Any).await.unwrap();
    assert!(some.modseq < rest.modseq && rest.modseq < any.modseq);
    bench.reopen().await;
    assert_eq!(bench.show(inbox).await, "1 -  1\n4 -  4\n");
    for (since, want) in
        [(start, set(&[(2, 3), (5, 6)])), (some.modseq, set(&[(5, 6)])), (any.modseq, UidSet::new())]
    {
        assert_eq!(bench.store.changes_since(inbox, since).await.unwrap().vanished, want);
    }
    // A UID is never given out twice, not even that of the last message.
    assert_eq!(bench.append(inbox, "7").await, 7);
    let all = bench.store.changes_since(inbox, 0).await.unwrap();
    assert_eq!(all.changed.iter().map(|mark| mark.uid).collect::<Vec<_>>(), [1, 4, 7]);
}

#[tokio::test]
async fn ten_thousand_at_once() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let account = bench.account("a@a.example").await;
    let archive = bench.store.mailbox(account, "Archive").await.unwrap().id;
    let messages = (0..10_000).map(|n| message(&format!("message {n}"))).collect();
    let appended = bench.store.append(inbox, messages).await.unwrap();
    assert_eq!(appended.uids.len(), 10_000);
    let seen = change(FlagMode::Add, Flags::SEEN, &["x"]);
    let stored = bench.store.store_flags(inbox, &UidSet::all(), seen, None).await.unwrap();
    assert_eq!(stored.changed.len(), 10_000);
    assert_eq!(bench.store.copy(inbox, &UidSet::all(), archive).await.unwrap().pairs.len(), 10_000);
    let moved = bench.store.move_messages(inbox, &UidSet::all(), archive).await.unwrap();
    assert_eq!(moved.pairs.last(), Some(&(10_000, 20_000)));
    assert_eq!(bench.store.snapshot(archive).await.unwrap().marks.len(), 20_000);

    // Pages cover it once, in order.
    let mut rest = UidSet::all();
    let mut uids = Vec::new();
    loop {
        let page = bench.store.fetch(archive, &rest, Columns::ENVELOPE, PAGE_MAX).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.len() <= PAGE_MAX);
        rest = rest.after(last.uid);
        uids.extend(page.iter().map(|row| row.uid));
    }
    assert_eq!(uids, (1..=20_000).collect::<Vec<_>>());
    bench.store.expunge(archive, &UidSet::all(), Which::Any).await.unwrap();
    let account = bench.store.account("a@a.example").await.unwrap().unwrap();
    assert_eq!((account.messages, account.octets), (0, 0));
    assert_eq!(bench.store.verify().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn pages_end_by_octets() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let mut messages = Vec::new();
    for seed in 0..40 {
        let mut octets = vec![0; 200_000];
        world::Random::fill(&world::fake::FakeRandom::seeded(seed), &mut octets);
        let mut new = message("x");
        new.message.received = mail::Blob::from_bytes(octets);
        messages.push(new);
    }
    bench.store.append(inbox, messages).await.unwrap();
    let page = bench.store.fetch(inbox, &UidSet::all(), Columns::MESSAGE, 1000).await.unwrap();
    assert_eq!(page.len() as u64, PAGE_OCTETS.div_ceil(200_000));
}

fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut octets = vec![0; length];
    world::Random::fill(&world::fake::FakeRandom::seeded(seed), &mut octets);
    // Octets that a text would end at come often.
    octets.iter_mut().step_by(7).for_each(|octet| *octet = 0);
    octets
}

/// Messages of every size, so that some fit in a page with others, some are packed, some fit in none, and some are in
/// files; the values are no texts.
#[tokio::test]
async fn pages_have_the_rows_that_single_reads_have() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let sizes = [0, 1, 10, 3000, 5000, 20_000, 45_000, 60_000, 200_000, 300_000];
    let mut messages = Vec::new();
    for seed in 0..100_u64 {
        let mut new = message("x");
        let size = sizes[usize::try_from(seed).unwrap() % sizes.len()];
        let mut octets = noise(seed, size);
        if seed % 3 == 0 {
            octets.fill(0);
        }
        // Equal bodies would share what was made of the first.
        octets.iter_mut().take(1).for_each(|octet| *octet = u8::try_from(seed).unwrap());
        new.message.received = mail::Blob::from_bytes(octets);
        new.shape.envelope = noise(seed + 1000, usize::try_from(seed % 5).unwrap() * 20).into();
        new.shape.bodystructure = noise(seed + 2000, if seed % 11 == 0 { 60_000 } else { 9 }).into();
        new.shape.parts = noise(seed + 3000, 8).into();
        new.shape.key_fields = noise(seed + 4000, usize::try_from(seed % 4).unwrap() * 10).into();
        messages.push(new);
    }
    bench.store.append(inbox, messages).await.unwrap();
    let all = Columns::ENVELOPE | Columns::BODYSTRUCTURE | Columns::PARTS | Columns::KEY_FIELDS;
    let choices = [
        Columns::NONE,
        Columns::ENVELOPE,
        Columns::BODYSTRUCTURE | Columns::PARTS,
        Columns::KEY_FIELDS | Columns::PREFIX,
        Columns::MESSAGE,
        all | Columns::PREFIX | Columns::MESSAGE,
    ];
    for columns in choices {
        let mut singly = Vec::new();
        for uid in 1..=100 {
            singly.extend(bench.store.fetch(inbox, &UidSet::one(uid), columns, 1).await.unwrap());
        }
        let mut rest = UidSet::all();
        let mut paged = Vec::new();
        loop {
            let page = bench.store.fetch(inbox, &rest, columns, 64).await.unwrap();
            let Some(last) = page.last() else { break };
            rest = rest.after(last.uid);
            paged.extend(page);
        }
        let shown = |rows: &[Row]| rows.iter().map(show_row).collect::<Vec<_>>();
        assert_eq!(shown(&paged), shown(&singly), "{columns:?}");
        assert_eq!(paged.len(), 100);
        let (row, seed) = (&paged[48], 48);
        if columns.contains(Columns::MESSAGE) {
            let received = row.message.as_ref().unwrap().received.to_vec().unwrap();
            assert_eq!((received[0], received.len()), (48, sizes[8]));
            assert!(received[1..].iter().all(|octet| *octet == 0));
            let received = paged[46].message.as_ref().unwrap().received.to_vec().unwrap();
            assert_eq!((received[0], &received[1..]), (46, &noise(46, sizes[6])[1..]));
        }
        if columns.contains(Columns::ENVELOPE) {
            assert_eq!(row.envelope.as_deref(), Some(&noise(seed + 1000, 60)[..]));
        }
        if columns.contains(Columns::KEY_FIELDS) {
            assert_eq!(paged[49].key_fields.as_deref(), Some(&noise(4049, 10)[..]));
        }
    }
}

fn show_row(row: &Row) -> String {
    let whole = row.message.as_ref().map(|message| {
        let octets = message.received.to_vec().unwrap();
        (
            message.added.clone(),
            octets.len(),
            octets.iter().fold(7_u64, |sum, octet| sum.wrapping_mul(31).wrapping_add(u64::from(*octet))),
        )
    });
    let mut row = row.clone();
    row.message = None;
    format!("{row:?} {whole:?}")
}
