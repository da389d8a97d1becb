//! MTA-STS policies that are kept: one that cannot be read is not taken for none.

use crate::fake_mx::FakeMx;
use crate::house::{House, config};
use storage::StsPolicyRow;
use world::Clock;

const TEXT: &str = "Subject: hello\r\n\r\ntext\r\n";

#[tokio::test]
async fn a_damaged_policy_holds_mail_back() {
    let mx = FakeMx::usual("127.0.0.2:0").await;
    let mut house = House::build().await;
    let now = house.clock.unix();
    let row = |policy: &str, expires| StsPolicyRow {
        domain: "e.ex".to_owned(),
        version: "1".to_owned(),
        policy: policy.to_owned(),
        fetched: now,
        expires,
        used: now,
        tried: now,
    };
    house.store.keep_sts_policy(row("version: STSv1\r\nmode: enf", now + 86_400)).await.unwrap();
    house.send("alice@o.ex", &["a@e.ex"], TEXT).await;
    house.work(config(mx.address.port()));
    house.queue_is(&["a@e.ex 1 451 4.7.5"]).await;
    assert!(mx.messages().is_empty());
    // One that says that there is none, or one that has expired, keeps nobody waiting.
    let none = "version: STSv1\r\nmode: none\r\nmax_age: 86400\r\n";
    house.store.keep_sts_policy(row(none, now + 86_400)).await.unwrap();
    house.later(400).await;
    house.queue_is(&[]).await;
    house.store.keep_sts_policy(row("rubbish", now)).await.unwrap();
    house.send("alice@o.ex", &["b@e.ex"], TEXT).await;
    house.queue_is(&[]).await;
    assert_eq!(mx.messages().len(), 2);
    house.stop().await;
}
