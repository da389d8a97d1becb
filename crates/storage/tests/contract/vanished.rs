//! The log of what vanished: it is cut, and whoever comes from before is told of all that is not there.

use crate::help::*;
use rusqlite::Connection;
use storage::*;

const NAME: &str = "a@a.example";

fn entries(bench: &Bench) -> i64 {
    let connection = Connection::open(bench.dir.path().join("maddy.db")).unwrap();
    let sql = "SELECT (SELECT count(*) FROM vanished), (SELECT sum(vanished_entries) FROM mailbox)";
    let (rows, noted): (i64, i64) =
        connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    assert_eq!(rows, noted);
    rows
}

#[tokio::test]
async fn the_log_is_cut_and_nothing_is_lost() {
    const MESSAGES: Uid = 25_000;
    let bench = Bench::new().await;
    let inbox = bench.inbox(NAME).await;
    let store = &bench.store;
    let start = store.mailbox_by_id(inbox).await.unwrap().modseq;
    store.append(inbox, vec![message("x")]).await.unwrap();
    // Copies are cheap.
    let mut there: Uid = 1;
    while there < MESSAGES {
        let more = there.min(MESSAGES - there);
        store.copy(inbox, &set(&[(1, more)]), inbox).await.unwrap();
        there += more;
    }
    let mut seen = vec![(store.mailbox_by_id(inbox).await.unwrap().modseq, UidSet::new())];
    let mut gone = UidSet::new();
    // Every second message, in turns of 500: no two ranges come together.
    for turn in 0..20 {
        let uids: UidSet = (0..500).map(|n| 1 + 2 * (500 * turn + n)).collect();
        let expunged = store.expunge(inbox, &uids, Which::Any).await.unwrap();
        uids.iter().for_each(|uid| gone.insert(uid));
        seen.push((expunged.modseq, gone.clone()));
        assert!(entries(&bench) <= 8_192);
    }
    let kept = entries(&bench);
    assert!((4_000..=8_192).contains(&kept), "{kept}");
    let mut exact = 0;
    for (modseq, before) in &seen {
        let told = store.changes_since(inbox, *modseq).await.unwrap().vanished;
        let new: UidSet = gone.iter().filter(|uid| !before.contains(*uid)).collect();
        assert!(new.iter().all(|uid| told.contains(uid)), "since {modseq}");
        assert!(told.iter().all(|uid| gone.contains(uid)), "since {modseq}");
        exact += usize::from(told == new);
    }
    assert!((8..20).contains(&exact), "{exact}");
    assert_eq!(store.changes_since(inbox, start).await.unwrap().vanished, gone);
    // The last ones as well, when nothing before is remembered.
    store.expunge(inbox, &set(&[(20_001, 25_000)]), Which::Any).await.unwrap();
    gone.insert_range(20_001, 25_000);
    assert_eq!(store.changes_since(inbox, start).await.unwrap().vanished, gone);
    assert_eq!(store.verify().await.unwrap(), [""; 0]);
}
