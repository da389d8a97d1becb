//! Puts messages into the store of a server that is not running, as a server that ran would have left them there.

use crate::client::texts;
use load::mails;
use mail::{Address, Blob, Envelope, MailParams, Message, Recipient, ReversePath, mime};
use std::path::Path;
use std::sync::Arc;
use storage::{Acceptance, Flags, NewJob, NewMessage, Shape, Store};
use world::{Clock, SystemClock, SystemRandom, World, fake};

/// Messages of one transaction.
const BATCH: usize = 1000;
/// Octets of a queued message.
const QUEUED: usize = 4096;

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemClock.unix()
}

fn with_store<T>(dir: &Path, work: impl AsyncFnOnce(&Store) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut config = storage::Config::new(dir);
        config.search.index = false;
        let world = World { clock: Arc::new(SystemClock), random: Arc::new(SystemRandom), ..fake::world(1) };
        let store = Store::open(config, world).await.unwrap();
        let done = work(&store).await;
        store.close().await;
        done
    })
}

/// Messages in the queue, each for one recipient, due then.
pub(crate) fn queue(dir: &Path, count: usize, from: &str, due: i64, domain: impl Fn(usize) -> String) {
    let texts = texts(QUEUED, from);
    let from = ReversePath::Address(Address::parse(from).unwrap());
    let acceptance = |number: usize| {
        let to = Address::parse(&format!("somebody{number}@{}", domain(number))).unwrap();
        let text = &texts[number % texts.len()];
        let received = [format!("X-Number: {number}\r\n").as_bytes(), text].concat();
        let envelope = Envelope {
            from: from.clone(),
            params: MailParams::default(),
            recipients: vec![Recipient::plain(to)],
        };
        let job = NewJob { envelope, added: Vec::new(), arrived: now(), due, client: None };
        Acceptance {
            mail_id: format!("{number:012}"),
            received: Blob::from_bytes(received),
            shape: Shape::default(),
            filings: Vec::new(),
            jobs: vec![job],
            charge: None,
        }
    };
    with_store(dir, async |store| {
        for first in (0..count).step_by(BATCH) {
            let batch = (first..count.min(first + BATCH)).map(acceptance).collect();
            store.accept_all(batch).await.unwrap();
        }
    });
}

/// Messages in mailboxes of these accounts, in turn.
pub(crate) fn mailboxes(dir: &Path, accounts: &[String], count: usize) {
    let new = |number: usize| {
        let received = mails::mail(number).into_bytes();
        let shape = Shape::of(&mime::analyse(&mut received.as_slice()).unwrap());
        let message = Message::new(Blob::from_bytes(received));
        NewMessage { message, shape, flags: Flags::NONE, keywords: Vec::new(), received: now() }
    };
    with_store(dir, async |store| {
        let mut inboxes = Vec::new();
        for name in accounts {
            let account = store.account(name).await.unwrap().expect("the account was made");
            inboxes.push(store.mailbox(account.id, "INBOX").await.unwrap().id);
        }
        for (batch, first) in (0..count).step_by(BATCH).enumerate() {
            let messages = (first..count.min(first + BATCH)).map(new).collect();
            store.append(inboxes[batch % inboxes.len()], messages).await.unwrap();
        }
    });
}
