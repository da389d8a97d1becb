//! The header fields that search and sort ask for: stored with the body, and added later where they are not.

use crate::help::*;
use rusqlite::Connection;
use storage::*;

fn with_database(bench: &Bench, sql: &'static str) {
    let path = bench.dir.path().join("maddy.db");
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

async fn fields(bench: &Bench, inbox: MailboxId, columns: Columns) -> Vec<Option<String>> {
    let rows = bench.store.fetch(inbox, &UidSet::all(), columns, 9).await.unwrap();
    let text = |octets: Vec<u8>| String::from_utf8(octets).unwrap();
    rows.into_iter().map(|row| row.key_fields.map(text)).collect()
}

#[tokio::test]
async fn come_with_the_row_in_every_form() {
    let bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    let mut bare = message("bare");
    bare.shape = Shape::default();
    bench.store.append(inbox, vec![message("one"), bare]).await.unwrap();
    bench.store.accept(acceptance("three", &["a@a.example"], &[])).await.unwrap();
    let want = [Some("key fields of one".to_owned()), None, Some("key fields of three".to_owned())];
    assert_eq!(fields(&bench, inbox, Columns::KEY_FIELDS).await, want);
    assert_eq!(fields(&bench, inbox, Columns::KEY_FIELDS | Columns::ENVELOPE).await, want);
    assert_eq!(fields(&bench, inbox, Columns::ENVELOPE).await, [None, None, None]);
    let columns = Columns::KEY_FIELDS | Columns::PREFIX;
    let rows = bench.store.fetch(inbox, &UidSet::one(3), columns, 1).await.unwrap();
    assert_eq!(rows[0].prefix.as_deref(), Some(&b"Delivered-To: a@a.example\r\n"[..]));
    assert_eq!(rows[0].prefix_len, 27);
}

#[tokio::test]
async fn are_added_to_what_was_filed_without_them_and_go_with_their_body() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    bench.store.append(inbox, vec![message("one"), message("two")]).await.unwrap();
    let rows = bench.store.fetch(inbox, &UidSet::all(), Columns::NONE, 9).await.unwrap();
    bench.store.close().await;
    with_database(&bench, "DELETE FROM body_key_fields WHERE body = 1");
    bench.reopen().await;
    let found = rows.iter().map(|row| (row.email, b"\x00found'\xff".to_vec())).collect();
    bench.store.add_key_fields(found).await.unwrap();
    let rows = bench.store.fetch(inbox, &UidSet::all(), Columns::KEY_FIELDS, 9).await.unwrap();
    assert_eq!(rows[0].key_fields.as_deref(), Some(&b"\x00found'\xff"[..]));
    assert_eq!(rows[1].key_fields.as_deref(), Some(&b"key fields of two"[..]));
    bench.store.expunge(inbox, &UidSet::all(), Which::Any).await.unwrap();
    // Numbers of messages that are gone do no harm.
    bench.store.add_key_fields(vec![(rows[0].email, b"x".to_vec())]).await.unwrap();
    assert_eq!(bench.store.verify().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_database_of_the_first_version_is_brought_up() {
    let mut bench = Bench::new().await;
    let inbox = bench.inbox("a@a.example").await;
    bench.append(inbox, "old").await;
    bench.store.close().await;
    with_database(&bench, BACK_TO_FIRST);
    bench.reopen().await;
    assert_eq!(fields(&bench, inbox, Columns::KEY_FIELDS).await, [None]);
    bench.append(inbox, "new").await;
    assert_eq!(
        fields(&bench, inbox, Columns::KEY_FIELDS).await,
        [None, Some("key fields of new".to_owned())]
    );
}
