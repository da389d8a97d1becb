//! Two scenes, and what is told of the difference.

use super::*;
use imap_proto::Names;
use storage::AccountId;

fn mailbox(number: i64, name: &str) -> Mailbox {
    Mailbox {
        id: MailboxId::from_number(number),
        account: AccountId::from_number(1),
        name: name.to_owned(),
        kind: MailboxKind::Selectable,
        special_use: None,
        subscribed: false,
        has_children: false,
        uidvalidity: 7,
        uidnext: 5,
        modseq: 9,
        messages: 4,
        unseen: 2,
        deleted: 0,
        size: 0,
    }
}

/// Numbers and names; `!` behind a name: it may not be read; `+`: it is subscribed to.
fn scene(mailboxes: &[(i64, &str)], wishes: &[&str]) -> Scene {
    let mut scene = Scene::default();
    for (number, text) in mailboxes {
        let name = text.trim_end_matches(['!', '+']);
        let mut mailbox = mailbox(*number, name);
        mailbox.subscribed = text.contains('+');
        let whose = if name.starts_with("Other Users/") { Whose::Others } else { Whose::Own };
        scene.add(mailbox.id, Item { mailbox, whose, readable: !text.contains('!') });
    }
    scene.wishes = wishes.iter().map(|name| (*name).to_owned()).collect();
    scene
}

fn group(source: Source, events: &[Event]) -> EventGroup {
    EventGroup { filter: Filter::Others(source), events: events.to_vec() }
}

fn everything() -> Vec<EventGroup> {
    let events = [
        Event::MessageNew(Vec::new()),
        Event::MessageExpunge,
        Event::FlagChange,
        Event::MailboxName,
        Event::SubscriptionChange,
    ];
    vec![group(Source::Personal, &events), group(Source::Subtree(vec!["Other Users".to_owned()]), &events)]
}

fn told(before: &Scene, now: &Scene, asking: &Asking<'_>) -> String {
    let mut out = Vec::new();
    for line in changes(before, now, asking) {
        line.encode(Names::Utf8, &mut out);
    }
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

fn simply(before: &Scene, now: &Scene, groups: &[EventGroup]) -> String {
    told(before, now, &Asking { groups, selected: None, condstore: false, own: &Own::default() })
}

#[test]
fn names_come_and_go() {
    let before = scene(&[(1, "INBOX"), (2, "a"), (3, "a/b"), (4, "gone+")], &[]);
    let mut now = scene(&[(1, "INBOX"), (2, "a"), (3, "c/b"), (5, "a/new"), (6, "c")], &["gone"]);
    assert_eq!(simply(&before, &before, &everything()), "");
    let want = "* LIST (\\HasNoChildren) \"/\" \"c/b\" (\"OLDNAME\" (\"a/b\"))\n\
                * LIST (\\HasNoChildren) \"/\" \"a/new\"\n\
                * LIST (\\HasNoChildren) \"/\" \"c\"\n\
                * LIST (\\NonExistent \\Subscribed) \"/\" \"gone\"\n\
                * LIST (\\HasNoChildren) \"/\" \"a\"\n";
    let names = [group(Source::Personal, &[Event::MailboxName])];
    assert_eq!(simply(&before, &now, &names), want);
    // Those that nobody asked about are not told, nor what the session did itself.
    let some = [group(Source::Mailboxes(vec!["gone".to_owned(), "x".to_owned()]), &[Event::MailboxName])];
    assert_eq!(simply(&before, &now, &some), "* LIST (\\NonExistent \\Subscribed) \"/\" \"gone\"\n");
    let own = Own { names: HashSet::from(["c/b".to_owned(), "a/new".to_owned()]), ..Own::default() };
    let asking = Asking { groups: &names, selected: None, condstore: false, own: &own };
    let want = "* LIST (\\HasNoChildren) \"/\" \"c\"\n* LIST (\\NonExistent \\Subscribed) \"/\" \"gone\"\n";
    assert_eq!(told(&before, &now, &asking), want);
    // A name that is made anew is there.
    now.items.insert(
        MailboxId::from_number(9),
        Item { mailbox: mailbox(9, "gone"), whose: Whose::Own, readable: true },
    );
    assert_eq!(simply(&before, &now, &some), "* LIST (\\HasNoChildren) \"/\" \"gone\"\n");
}

#[test]
fn what_goes_along_with_its_parent_is_not_told_by_itself() {
    let before = scene(&[(2, "a"), (3, "a/b"), (4, "a/b/c"), (5, "ab")], &[]);
    let now = scene(&[(2, "z/y"), (3, "z/y/b"), (4, "other"), (5, "ab2")], &[]);
    let names = [group(Source::Personal, &[Event::MailboxName])];
    let want = "* LIST (\\HasNoChildren) \"/\" \"z/y\" (\"OLDNAME\" (\"a\"))\n\
                * LIST (\\HasNoChildren) \"/\" \"other\" (\"OLDNAME\" (\"a/b/c\"))\n\
                * LIST (\\HasNoChildren) \"/\" \"ab2\" (\"OLDNAME\" (\"ab\"))\n";
    assert_eq!(simply(&before, &now, &names), want);
}

#[test]
fn subscriptions_are_told_of_names_too() {
    let before = scene(&[(1, "a+"), (2, "b"), (3, "c+")], &["x"]);
    let now = scene(&[(1, "a"), (2, "b+"), (3, "d+")], &["y"]);
    let all = [group(Source::Subscribed, &[Event::SubscriptionChange])];
    let want = "* LIST (\\HasNoChildren) \"/\" \"a\"\n\
                * LIST (\\HasNoChildren \\Subscribed) \"/\" \"b\"\n\
                * LIST (\\NonExistent) \"/\" \"x\"\n\
                * LIST (\\NonExistent \\Subscribed) \"/\" \"y\"\n";
    assert_eq!(simply(&before, &now, &all), want);
    let personal = [group(Source::Personal, &[Event::SubscriptionChange])];
    assert_eq!(simply(&before, &now, &personal).lines().count(), 2);
    assert_eq!(simply(&before, &now, &[group(Source::Personal, &[])]), "");
}

#[test]
fn messages_are_told_by_status() {
    let before = scene(&[(1, "a"), (2, "Other Users/x/b")], &[]);
    let with = |change: fn(&mut Mailbox)| {
        let mut now = before.clone();
        now.items.values_mut().for_each(|item| change(&mut item.mailbox));
        now
    };
    let own = Own::default();
    let groups = everything();
    let asking = |condstore, selected| Asking { groups: &groups, selected, condstore, own: &own };
    let new = with(|mailbox| (mailbox.uidnext, mailbox.messages, mailbox.modseq) = (6, 5, 10));
    let line = |name: &str, items: &str| format!("* STATUS \"{name}\" ({items})\n");
    let plain = "MESSAGES 5 UIDNEXT 6 UIDVALIDITY 7 UNSEEN 2";
    let both = |items: &str| line("a", items) + &line("Other Users/x/b", items);
    assert_eq!(told(&before, &new, &asking(false, None)), both(plain));
    assert_eq!(told(&before, &new, &asking(true, None)), both(&format!("{plain} HIGHESTMODSEQ 10")));
    // The selected one is told of in another way.
    let selected = Some(MailboxId::from_number(1));
    assert_eq!(told(&before, &new, &asking(false, selected)), line("Other Users/x/b", plain));
    let flags = with(|mailbox| (mailbox.modseq, mailbox.unseen) = (10, 1));
    assert_eq!(told(&before, &flags, &asking(false, None)), both("UNSEEN 1 UIDVALIDITY 7"));
    assert_eq!(told(&before, &flags, &asking(true, None)), both("HIGHESTMODSEQ 10 UNSEEN 1 UIDVALIDITY 7"));
    let other_flags = with(|mailbox| mailbox.modseq = 10);
    assert_eq!(told(&before, &other_flags, &asking(false, None)), "");
    assert_eq!(told(&before, &other_flags, &asking(true, None)), both("HIGHESTMODSEQ 10 UIDVALIDITY 7"));
    // Without FlagChange nothing of flags.
    let fewer = [group(Source::Personal, &[Event::MessageNew(Vec::new()), Event::MessageExpunge])];
    let heard = |now: &Scene, own: &Own| {
        told(&before, now, &Asking { groups: &fewer, selected: None, condstore: true, own })
    };
    assert_eq!(heard(&flags, &own), "");
    // What the session put there itself, and only if nobody else did anything meanwhile.
    let filed = |count, modseq| Own {
        filed: HashMap::from([(MailboxId::from_number(1), (count, modseq))]),
        ..Own::default()
    };
    assert_eq!(heard(&new, &filed(1, 10)), "");
    for own in [filed(1, 9), filed(2, 10)] {
        assert_eq!(heard(&new, &own).lines().count(), 1);
    }
}

#[test]
fn what_may_not_be_read_tells_nothing() {
    let before = scene(&[(1, "a"), (2, "b!"), (3, "c!")], &[]);
    let mut now = scene(&[(1, "a!"), (2, "b"), (3, "c!"), (4, "d"), (5, "e!")], &[]);
    now.items.values_mut().for_each(|item| item.mailbox.uidnext += 1);
    let messages = [Event::MessageNew(Vec::new()), Event::MessageExpunge];
    let groups = [group(Source::Personal, &messages)];
    let want = "* LIST (\\HasNoChildren \\NoAccess) \"/\" \"a\"\n\
                * LIST (\\HasNoChildren) \"/\" \"b\"\n\
                * STATUS \"b\" (MESSAGES 4 UIDNEXT 6 UIDVALIDITY 7)\n\
                * STATUS \"d\" (MESSAGES 4 UIDNEXT 6 UIDVALIDITY 7)\n";
    assert_eq!(simply(&before, &now, &groups), want);
}

/// A look at what changed comes to what a look at everything comes to.
#[test]
fn news_of_messages_tell_what_two_looks_tell() {
    let before = scene(&[(1, "INBOX"), (2, "a"), (3, "b!"), (4, "Other Users/x/c"), (5, "d+")], &[]);
    let mut now = before.clone();
    for (number, modseq, uidnext, unseen) in [(1, 12, 6, 3), (3, 11, 7, 2), (4, 30, 5, 1), (5, 13, 5, 2)] {
        let mailbox = &mut now.items.get_mut(&MailboxId::from_number(number)).unwrap().mailbox;
        (mailbox.modseq, mailbox.uidnext, mailbox.unseen) = (modseq, uidnext, unseen);
    }
    let own = Own::default();
    for (selected, condstore) in [(None, true), (None, false), (Some(MailboxId::from_number(1)), true)] {
        let groups = everything();
        let asking = Asking { groups: &groups, selected, condstore, own: &own };
        let want = told(&before, &now, &asking);
        assert!(want.contains("STATUS \"Other Users/x/c\""), "{want}");
        let mut scene = before.clone();
        let mut news: Vec<Mailbox> = now.items.values().map(|item| item.mailbox.clone()).collect();
        news.retain(|mailbox| mailbox.modseq != before.items[&mailbox.id].mailbox.modseq);
        // As its owner names it; and one that cannot be seen.
        news[2].name = "c".to_owned();
        news.push(mailbox(77, "unseen"));
        let mut got = Vec::new();
        for line in changed(&mut scene, news, &asking) {
            line.encode(Names::Utf8, &mut got);
        }
        assert_eq!(String::from_utf8(got).unwrap().replace("\r\n", "\n"), want);
        for (id, item) in &scene.items {
            assert_eq!(item.mailbox, now.items[id].mailbox);
        }
        assert_eq!(scene.modseqs[&AccountId::from_number(1)], 30);
    }
}
