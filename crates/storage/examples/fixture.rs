//! Makes a small database of the present schema, for `tests/schemas`:
//! `cargo run -p storage --example fixture -- crates/storage/tests/schemas`. To be done once for each schema that is
//! released; the file is never changed afterwards.

#![allow(clippy::unwrap_used, reason = "a tool for developers ends where something is wrong")]

use mail::mime;
use mail::{Address, Blob, Envelope, MailParams, Message, Recipient, ReversePath};
use std::path::PathBuf;
use storage::{Acceptance, Config, Flags, NewJob, NewMessage, PasswordHash, Shape, Store, UidSet, Which};

fn text(number: u32) -> Vec<u8> {
    let body =
        "Some words that are in the body of a message, again and again.\r\n".repeat(number as usize * 40);
    format!("From: <eve@remote.test>\r\nTo: <alice@example.org>\r\nSubject: Mail {number}\r\n\r\n{body}")
        .into_bytes()
}

fn shape(octets: &[u8]) -> Shape {
    Shape::of(&mime::analyse(&mut &octets[..]).unwrap())
}

#[tokio::main]
async fn main() {
    let to = PathBuf::from(std::env::args().nth(1).unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(Config::new(dir.path()), world::fake::world(1)).await.unwrap();
    let password = PasswordHash::new("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$dGhpcyBpcyBubyBoYXNo");
    store.create_user("alice@example.org", &password).await.unwrap();
    let account = store.account("alice@example.org").await.unwrap().unwrap();
    let inbox = store.mailbox(account.id, "INBOX").await.unwrap().id;
    for number in 1..=4 {
        let octets = text(number);
        let shape = shape(&octets);
        let flags = if number == 2 { Flags::SEEN | Flags::FLAGGED } else { Flags::NONE };
        let keywords = if number == 3 { vec!["$Work".to_owned()] } else { Vec::new() };
        let message = Message::new(Blob::from_bytes(octets));
        let new = NewMessage { message, shape, flags, keywords, received: 1_700_000_000 };
        store.append(inbox, vec![new]).await.unwrap();
    }
    store.expunge(inbox, &UidSet::one(1), Which::Any).await.unwrap();
    let octets = text(5);
    let envelope = Envelope {
        from: ReversePath::Null,
        recipients: vec![Recipient::plain(Address::parse("bob@remote.test").unwrap())],
        params: MailParams::default(),
    };
    let job =
        NewJob { envelope, added: Vec::new(), arrived: 1_700_000_000, due: 1_700_000_000, client: None };
    let acceptance = Acceptance {
        mail_id: "fixture".to_owned(),
        shape: shape(&octets),
        received: Blob::from_bytes(octets),
        filings: Vec::new(),
        jobs: vec![job],
        charge: None,
    };
    store.accept(acceptance).await.unwrap();
    store.close().await;
    let database = dir.path().join("maddy.db");
    let octets = std::fs::read(&database).unwrap();
    // Where SQLite keeps `PRAGMA user_version`.
    let version = u32::from_be_bytes(octets[60..64].try_into().unwrap());
    std::fs::write(to.join(format!("schema-{version:02}.db")), octets).unwrap();
}
