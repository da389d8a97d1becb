//! Pictures in, lines out.

use super::*;
use crate::journal::Journal;
use crate::picture::Picture;
use imap_proto::Names;
use storage::{Flags, Keywords};

/// `1 2s 5sk@9`: UIDs; `s` seen, `d` deleted, `k` the keyword; the number behind `@` is the mod-sequence.
fn picture(modseq: ModSeq, text: &str) -> Picture {
    let marks: Vec<Mark> = text
        .split_whitespace()
        .map(|word| {
            let (word, changed) = word.split_once('@').unwrap_or((word, "1"));
            let letters = word.trim_start_matches(|c: char| c.is_ascii_digit());
            let uid = word[..word.len() - letters.len()].parse().unwrap();
            let mut flags = Flags::NONE;
            let mut keywords = Keywords::NONE;
            for letter in letters.chars() {
                match letter {
                    's' => flags = flags | Flags::SEEN,
                    'd' => flags = flags | Flags::DELETED,
                    'k' => keywords = keywords.with(0),
                    other => panic!("unknown letter {other}"),
                }
            }
            Mark { modseq: changed.parse().unwrap(), keywords, uid, flags }
        })
        .collect();
    let uidnext = marks.last().map_or(1, |mark| mark.uid + 1);
    let keywords = if text.contains('k') { vec!["$x".to_owned()] } else { Vec::new() };
    Picture { keywords, marks, modseq, uidnext, journal: Journal::default() }
}

/// Of a client that knows no extensions.
fn plainly(expunges: Expunges) -> Manner {
    Manner { expunges, naming: Naming::Number, modseqs: ModSeqs::Left, hears: Hears::All }
}

/// Of a client that has said ENABLE QRESYNC.
fn by_uid(expunges: Expunges) -> Manner {
    Manner { expunges, naming: Naming::Uid, modseqs: ModSeqs::Told, hears: Hears::All }
}

fn say(lines: Vec<Untagged>) -> String {
    let mut out = Vec::new();
    for line in lines {
        line.encode(Names::Utf7, &mut out);
    }
    String::from_utf8(out).unwrap().replace("\r\n", " | ")
}

/// A session that follows the journal of a picture is told what one is told that compares all of it.
#[test]
fn the_journal_tells_what_a_comparison_tells() {
    let mailbox = |modseq, uidnext| storage::Mailbox {
        id: storage::MailboxId::from_number(1),
        account: storage::AccountId::from_number(1),
        name: "INBOX".to_owned(),
        kind: storage::MailboxKind::Selectable,
        special_use: None,
        subscribed: false,
        has_children: false,
        uidvalidity: 1,
        uidnext,
        modseq,
        messages: 0,
        unseen: 0,
        deleted: 0,
        size: 0,
    };
    let mut told = 0;
    for seed in 1..400_u64 {
        let mut state = seed;
        let mut below = |end: u32| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % u64::from(end)).unwrap()
        };
        let mut now = picture(1, "1 2 3 4 5 6 7 8");
        now.journal = Journal::new(1);
        let plain = |picture: &Picture| Picture { journal: Journal::default(), ..picture.clone() };
        let (mut follows, mut compares) = (View::new(&now), View::new(&now));
        for _ in 0..25 {
            let modseq = now.modseq + 1 + u64::from(below(3));
            let mut changed: Vec<Mark> = now.marks.iter().filter(|_| below(4) == 0).copied().collect();
            for mark in &mut changed {
                mark.flags = if mark.flags == Flags::NONE { Flags::SEEN } else { Flags::NONE };
                mark.modseq = modseq - u64::from(below(2)).min(modseq - now.modseq - 1);
            }
            let vanished: storage::UidSet = (0..below(3)).map(|_| 1 + below(now.uidnext)).collect();
            changed.retain(|mark| !vanished.contains(mark.uid));
            let uidnext = now.uidnext + below(3);
            let new = |uid| Mark { uid, modseq, flags: Flags::NONE, keywords: Keywords::NONE };
            changed.extend((now.uidnext..uidnext).map(new));
            let mailbox = mailbox(modseq, uidnext);
            let changes = storage::Changes { mailbox, keywords: Vec::new(), changed, vanished };
            now.apply(changes);
            let hears = [Hears::All, Hears::All, Hears::Messages, Hears::Nothing][below(4) as usize];
            let expunges = if below(2) == 0 { Expunges::Told } else { Expunges::HeldBack };
            let manner = Manner { hears, ..if below(2) == 0 { plainly(expunges) } else { by_uid(expunges) } };
            let want = say(compares.apply(&plain(&now), manner));
            told += want.len();
            assert_eq!(say(follows.apply(&now, manner)), want, "seed {seed}");
            assert_eq!(
                (follows.is_behind(), follows.complete()),
                (compares.is_behind(), compares.complete())
            );
        }
    }
    assert!(told > 10_000);
}

#[test]
fn what_others_did_is_told_in_order() {
    for (before, after, want) in [
        ("1 2 3", "1 2 3", ""),
        ("1 2 3", "1 2 3 4 7", "* 5 EXISTS | "),
        ("1 2 3", "1 3", "* 2 EXPUNGE | "),
        ("1 2 3 4", "3", "* 1 EXPUNGE | * 1 EXPUNGE | * 2 EXPUNGE | "),
        ("1 2 3", "", "* 1 EXPUNGE | * 1 EXPUNGE | * 1 EXPUNGE | "),
        ("", "5", "* 1 EXISTS | "),
        ("1 2 3", "1 2s@2 3", "* 2 FETCH (UID 2 FLAGS (\\Seen)) | "),
        ("1 2 3", "2d@2 3 4@2", "* 1 EXPUNGE | * 3 EXISTS | * 1 FETCH (UID 2 FLAGS (\\Deleted)) | "),
        ("1 2 3", "1 2 4@2", "* 3 EXPUNGE | * 3 EXISTS | "),
        (
            "1",
            "1k@2",
            "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $x) | * 1 FETCH (UID 1 FLAGS ($x)) | ",
        ),
    ] {
        let mut view = View::new(&picture(1, before));
        let after = picture(2, after);
        assert_eq!(say(view.apply(&after, plainly(Expunges::Told))), want, "{before} -> {after:?}");
        assert_eq!(say(view.apply(&after, plainly(Expunges::Told))), "", "told twice");
        let uids: Vec<Uid> = view.all().map(|target| target.uid).collect();
        assert_eq!(uids, after.marks.iter().map(|mark| mark.uid).collect::<Vec<_>>());
    }
}

#[test]
fn expunges_are_held_back_and_numbers_stay() {
    let mut view = View::new(&picture(1, "1 2 3"));
    let news = picture(2, "2s@2 3 4@2");
    let told = say(view.apply(&news, plainly(Expunges::HeldBack)));
    assert_eq!(told, "* 4 EXISTS | * 2 FETCH (UID 2 FLAGS (\\Seen)) | ");
    assert_eq!(view.number(2), Some(2));
    assert_eq!(view.number(1), Some(1), "not yet told");
    assert_eq!(say(view.apply(&news, plainly(Expunges::HeldBack))), "");
    assert_eq!(say(view.apply(&news, plainly(Expunges::Told))), "* 1 EXPUNGE | ");
    assert_eq!(view.number(2), Some(1));
}

/// RFC 7162 §3.2.10, §6.
#[test]
fn who_asks_for_it_hears_uids_and_mod_sequences() {
    let mut view = View::new(&picture(1, "1 2 3 5"));
    assert_eq!(view.complete(), 1);
    let news = picture(4, "2s@2 3 5s@4 9@3");
    let told = say(view.apply(&news, by_uid(Expunges::HeldBack)));
    assert_eq!(
        told,
        "* 5 EXISTS | * 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (2)) | * 4 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (4)) | "
    );
    assert_eq!((view.is_behind(), view.complete()), (true, 1), "1 is gone, and that is not told yet");
    assert_eq!(say(view.apply(&picture(5, "2s@2 9@3"), by_uid(Expunges::Told))), "* VANISHED 1,3,5 | ");
    assert_eq!((view.is_behind(), view.complete()), (false, 5));
}

#[test]
fn what_the_client_knows_is_not_told_again() {
    let mut view = View::new(&picture(1, "1 2 3"));
    view.knows(1, 2);
    view.knows(2, 2);
    let told = say(view.apply(&picture(3, "1s@2 2s@3 3"), plainly(Expunges::Told)));
    assert_eq!(told, "* 2 FETCH (UID 2 FLAGS (\\Seen)) | ", "2 was changed again by somebody else");
}

#[test]
fn sets_name_messages() {
    let view = View::new(&picture(1, "2 4 6 9"));
    let saved: UidSet = [4, 5, 9].into_iter().collect();
    let ranges = |ranges: &[(u32, u32)]| {
        let bound = |n: u32| if n == 0 { Bound::Last } else { Bound::Number(n) };
        Set::Ranges(ranges.iter().map(|(from, to)| (bound(*from), bound(*to))).collect())
    };
    let uids = |targets: Vec<Target>| targets.iter().map(|target| target.uid).collect::<Vec<_>>();
    for (set, want) in [
        (ranges(&[(1, 4)]), vec![2, 4]),
        (ranges(&[(100, 0)]), vec![9]),
        (ranges(&[(0, 0)]), vec![9]),
        (ranges(&[(9, 9), (1, 2)]), vec![2, 9]),
        (ranges(&[(3, 3)]), vec![]),
        (Set::Saved, vec![4, 9]),
    ] {
        assert_eq!(uids(view.by_uid(&set, &saved)), want, "{set:?}");
    }
    for (set, want) in [
        (ranges(&[(1, 2)]), Some(vec![2, 4])),
        (ranges(&[(3, 0)]), Some(vec![6, 9])),
        (ranges(&[(7, 0)]), Some(vec![9])),
        (ranges(&[(5, 5)]), None),
        (ranges(&[(1, 5)]), None),
        (Set::Saved, Some(vec![4, 9])),
    ] {
        assert_eq!(view.by_number(&set, &saved).map(uids), want, "{set:?}");
    }
    let empty = View::new(&picture(1, ""));
    assert_eq!(empty.by_number(&ranges(&[(1, 0)]), &saved), Some(vec![]));
    assert_eq!(empty.by_number(&ranges(&[(1, 1)]), &saved), None);
    assert_eq!(empty.by_uid(&ranges(&[(1, 0)]), &saved), vec![]);
}

/// RFC 5465 §3.1: what is not wanted is held back, and told when it is wanted again.
#[test]
fn what_nobody_wants_to_hear_waits() {
    let with = |hears| Manner { hears, ..by_uid(Expunges::Told) };
    let mut view = View::new(&picture(1, "1 2 3"));
    let news = picture(4, "2s@2 3 4@3");
    assert_eq!(say(view.apply(&news, with(Hears::Nothing))), "");
    assert_eq!((view.len(), view.last(), view.complete()), (3, 3, 1));
    assert_eq!(say(view.apply(&news, with(Hears::Messages))), "* VANISHED 1 | * 3 EXISTS | ");
    assert_eq!(view.complete(), 1, "flags are not known yet");
    assert_eq!(view.after(3).iter().map(|target| target.uid).collect::<Vec<_>>(), [4]);
    assert_eq!(say(view.apply(&news, with(Hears::Messages))), "");
    let told = say(view.apply(&news, with(Hears::All)));
    assert_eq!(
        told,
        "* 1 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (2)) | * 3 FETCH (UID 4 FLAGS () MODSEQ (3)) | "
    );
    assert_eq!(view.complete(), 4);
}

/// A keyword that no message has may make room for another one, under the same number.
#[test]
fn keywords_that_take_the_place_of_others_are_told() {
    let mut view = View::new(&picture(1, "1k"));
    let mut after = picture(2, "1k@2");
    after.keywords = vec!["$y".to_owned()];
    assert_eq!(
        say(view.apply(&after, plainly(Expunges::Told))),
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $y) | * 1 FETCH (UID 1 FLAGS ($y)) | "
    );
}
