//! The door for our own senders over loopback, down to the rows in a real store.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

#[path = "../../smtp-in/tests/house/mod.rs"]
mod house;

use auth::{Authenticate, Denied, Guesser, TooMany};
use house::{Client, House};
use mail::{Blob, Domain, Message};
use net::Stop;
use policy::dkim::{DkimResult, Selectors, Signer, verify};
use std::sync::Arc;
use std::time::Duration;
use submission::{Config, Deps, Door, InsecureAuth};

/// alice@o.ex with the password `secret`.
const LOGIN: &str = "AUTH PLAIN AGFsaWNlQG8uZXgAc2VjcmV0";
const WRONG: &str = "AUTH PLAIN AGFsaWNlQG8uZXgAd3Jvbmc=";

fn config() -> Config {
    Config { failure_delay: Duration::ZERO, ..Config::default() }
}

fn clear() -> Config {
    Config { insecure_auth: InsecureAuth::Allowed, ..config() }
}

async fn open(house: &House, config: Config) -> Client {
    let accounts = auth::fake::accounts(&[("alice@o.ex", "secret"), ("bob@o.ex", "other")]);
    open_with(house, config, accounts).await
}

async fn open_with(house: &House, config: Config, authenticate: Arc<dyn Authenticate>) -> Client {
    let deps = Deps { door: house.deps(), authenticate };
    let door = Arc::new(Door::new(config, deps));
    let listener = house.listen(Stop::never());
    let serve = async {
        let conn = listener.accept().await.unwrap();
        tokio::spawn(async move { door.serve(conn).await });
    };
    tokio::join!(house.client(&listener), serve).0
}

/// A client that is logged in as alice, without TLS.
async fn alice(house: &House) -> Client {
    let mut client = open(house, clear()).await;
    client.play(&format!("EHLO c.ex => 250\n{LOGIN} => 235")).await;
    client
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n\t", " ").replace("\r\n ", " ")
}

#[tokio::test]
async fn local_and_remote_recipients_are_taken_at_once() {
    let house = House::build().await;
    let mut client = alice(&house).await;
    client
        .play(
            "MAIL FROM:<alice@o.ex> => 250
             RCPT TO:<bob@o.ex> => 250
             RCPT TO:<far@e.ex> => 250
             RCPT TO:<nobody@o.ex> => 550 5.1.1
             DATA => 354
             From: Alice <alice@o.ex>\\r\\nTo: bob@o.ex\\r\\nBcc: far@e.ex\\r\\n\\r\\nhi\\r\\n. => 250 2.0.0",
        )
        .await;
    let text = unfolded(&house.inbox("bob@o.ex").await[0]);
    assert!(text.contains("\r\nReceived: by mx.o.ex with ESMTPA id "), "{text}");
    assert!(
        !text.contains("127.0.0.1") && !text.contains("c.ex"),
        "where the author sits is not told: {text}"
    );
    assert!(text.contains("\r\nDate: ") && text.contains("\r\nMessage-ID: <"), "{text}");
    assert!(!text.contains("Bcc") && !text.contains("far@e.ex"), "{text}");
    assert!(text.ends_with("\r\nFrom: Alice <alice@o.ex>\r\nTo: bob@o.ex\r\n\r\nhi\r\n"), "{text}");
    assert_eq!(house.queue().await, ["<alice@o.ex> far@e.ex"]);
}

#[tokio::test]
async fn tls_and_login_come_first() {
    let house = House::build().await;
    let mut client = open(&house, config()).await;
    client
        .play(&format!(
            "MAIL FROM:<alice@o.ex> => 530 5.7.0
             {LOGIN} => 530 5.7.0"
        ))
        .await;
    client.start_tls().await;
    client
        .play(&format!(
            "EHLO c.ex => 250-mx.o.ex greets c.ex/250-PIPELINING/250-SIZE 52428800/250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN LOGIN/
             MAIL FROM:<alice@o.ex> => 530 5.7.0
             RCPT TO:<bob@o.ex> => 530 5.7.0
             {WRONG} => 535 5.7.8
             AUTH LOGIN => 334 VXNlcm5hbWU6
             YWxpY2VAby5leA== => 334 UGFzc3dvcmQ6
             c2VjcmV0 => 235 2.7.0
             MAIL FROM:<alice@o.ex> => 250
             RCPT TO:<bob@o.ex> => 250
             DATA => 354
             From: alice@o.ex\\r\\n\\r\\nhi\\r\\n. => 250"
        ))
        .await;
    let text = unfolded(&house.inbox("bob@o.ex").await[0]);
    assert!(text.contains("with ESMTPSA id") && text.contains("for <bob@o.ex>;"), "{text}");
}

#[tokio::test]
async fn guessing_ends_the_connection() {
    let house = House::build().await;
    let mut client = open(&house, Config { login_failures: 3, ..clear() }).await;
    client
        .play(&format!(
            "EHLO c.ex => 250
             {WRONG} => 535
             AUTH PLAIN AG5vYm9keUBvLmV4AHg= => 535 5.7.8
             AUTH PLAIN = => 501
             AUTH PLAIN => 334
             * => 501 5.7.0
             {WRONG} => 535"
        ))
        .await;
    assert!(client.hear().await.starts_with("421 4.7.0"));
    assert_eq!(client.hear().await, "closed");
}

#[tokio::test]
async fn addresses_must_belong_to_the_account() {
    let house = House::build().await;
    let mut client = alice(&house).await;
    client
        .play(
            "MAIL FROM:<bob@o.ex> => 550 5.7.1
             MAIL FROM:<alice@elsewhere.ex> => 550 5.7.1
             MAIL FROM:<anything@c.ex> => 550 5.7.1
             MAIL FROM:<Alice+tag@O.ex> => 250
             RSET => 250
             MAIL FROM:<sales@o.ex> => 250
             RSET => 250",
        )
        .await;
    for (header, want) in [
        ("From: alice@o.ex", "250"),
        ("From: Sales <sales@o.ex>\\r\\nSender: alice@o.ex", "250"),
        ("From: bob@o.ex", "550 5.7.1"),
        ("From: alice@o.ex, bob@o.ex", "550 5.7.1"),
        ("From: alice@o.ex\\r\\nSender: bob@o.ex", "550 5.7.1"),
        ("From: boss@bank.ex <alice@o.ex>", "550 5.7.1"),
        ("From: nobody at all", "550 5.6.0"),
        ("Subject: no author", "550 5.6.0"),
        ("From: alice@o.ex\\r\\nFrom: bob@o.ex", "550 5.6.0"),
        ("From: alice@o.ex\\r\\nnot a field", "550 5.6.0"),
    ] {
        client
            .play(&format!(
                "MAIL FROM:<> => 250
                 RCPT TO:<bob@o.ex> => 250
                 DATA => 354
                 {header}\\r\\n\\r\\nhi\\r\\n. => {want}"
            ))
            .await;
    }
    assert_eq!(house.inbox("bob@o.ex").await.len(), 2);
}

#[tokio::test]
async fn a_catch_all_is_its_owners() {
    let house = House::build().await;
    let mut client = open(&house, clear()).await;
    client
        .play(
            "EHLO c.ex => 250
             AUTH PLAIN AGJvYkBvLmV4AG90aGVy => 235
             MAIL FROM:<anything@c.ex> => 250
             RSET => 250
             MAIL FROM:<alice@o.ex> => 550 5.7.1",
        )
        .await;
}

#[tokio::test]
async fn a_store_that_is_gone_means_later() {
    let house = House::build().await;
    let mut client = alice(&house).await;
    client.play("MAIL FROM:<alice@o.ex> => 250\nRCPT TO:<far@e.ex> => 250\nDATA => 354").await;
    house.store.close().await;
    client.play("From: alice@o.ex\\r\\n\\r\\nhi\\r\\n. => 45\nMAIL FROM:<alice@o.ex> => 45").await;
}

#[tokio::test]
async fn guesses_too_many_are_told_when_to_come_again_and_cost_the_connection() {
    let house = House::build().await;
    let config = Config { login_failures: 2, ..clear() };
    let too_many = TooMany { wait: Duration::from_millis(19_001), of: Guesser::Network };
    let weary = auth::fake::refusing(Denied::TooManyGuesses(too_many));
    let mut client = open_with(&house, config, weary).await;
    client
        .play(&format!(
            "EHLO c.ex => 250
             {LOGIN} => 454 4.7.0 Too many failed logins; try again in 20 seconds
             {LOGIN} => 454 4.7.0"
        ))
        .await;
    assert!(client.hear().await.starts_with("421 4.7.0"));
}

#[tokio::test]
async fn trouble_with_logins_is_not_the_clients_fault() {
    let house = House::build().await;
    let config = Config { login_failures: 1, ..clear() };
    let speechless = auth::fake::refusing(Denied::Unavailable("the store is locked".to_owned()));
    let mut client = open_with(&house, config, speechless).await;
    client
        .play(&format!(
            "EHLO c.ex => 250
             {LOGIN} => 454 4.7.0
             {LOGIN} => 454 4.7.0
             MAIL FROM:<alice@o.ex> => 530"
        ))
        .await;
}

#[tokio::test]
async fn what_our_senders_write_is_signed_for_readers_here_and_elsewhere() {
    let house = House::build().await;
    let dir = tempfile::tempdir().unwrap();
    let ours = [Domain::parse("o.ex").unwrap()];
    let selectors = Selectors { rsa: "r".to_owned(), ed25519: "e".to_owned() };
    let signer = Signer::open(dir.path(), &ours, &selectors, house.world.clock.clone()).unwrap();
    let zone: String =
        signer.records().iter().map(|one| format!("{} TXT \"{}\"\n", one.name, one.text)).collect();
    house.intake.set_signer(Some(signer));
    let mut client = alice(&house).await;
    client
        .play(
            "MAIL FROM:<alice@o.ex> => 250
             RCPT TO:<bob@o.ex> => 250
             RCPT TO:<far@e.ex> => 250
             DATA => 354
             Authentication-Results: mx.o.ex; dmarc=pass\\r\\nFrom: Alice <alice@o.ex>\\r\\nBcc: far@e.ex\\r\\n\\r\\nhi\\r\\n. => 250",
        )
        .await;
    let text = house.inbox("bob@o.ex").await.remove(0);
    assert!(!text.contains("Authentication-Results"), "nobody writes in our name: {text}");
    let there = world::fake::world_with(12, &zone).unwrap();
    let job = house.store.queue(None, 1).await.unwrap().remove(0);
    let leaves = house.store.job_message(job.id).await.unwrap();
    for message in [Message::new(Blob::from_bytes(text.into_bytes())), leaves] {
        let outcomes = verify(&message, &ours, &there).await.unwrap();
        let shown: Vec<_> =
            outcomes.iter().map(|one| (one.algorithm.unwrap(), one.result, one.reason.as_str())).collect();
        let good = "the signature is good";
        assert_eq!(
            shown,
            [("rsa-sha256", DkimResult::Pass, good), ("ed25519-sha256", DkimResult::Pass, good)]
        );
    }
}

/// RFC 5802, RFC 7677. The server's nonce and salt are those of the fake judge.
#[tokio::test]
async fn scram_needs_no_password_on_the_way() {
    let house = House::build().await;
    let mut client = open(&house, clear()).await;
    client
        .play(
            "EHLO c.ex => 250
             AUTH SCRAM-SHA-256-PLUS cD10bHMtZXhwb3J0ZXIsLG49YSxyPXg= => 504 5.5.4
             AUTH SCRAM-SHA-256 => 334
             biwsbj1hbGljZUBvLmV4LHI9Y2xpZW50cGFydA== => 334 cj1jbGllbnRwYXJ0c2VydmVycGFydCxzPVlTQm1hWGhsWkNCellXeDBJREUyTGc9PSxpPTQwOTY=
             Yz1iaXdzLHI9Y2xpZW50cGFydHNlcnZlcnBhcnQscD05bXNzMTBTNFRIY0JCNlNCL1FTOFQ4VS9ibWNCMCtCUk1rM3R1aG1SWnQ4PQ== => 535 5.7.8 User name or password is wrong
             AUTH SCRAM-SHA-256 biwsbT14LG49YWxpY2VAby5leCxyPXg= => 501 5.5.2
             AUTH SCRAM-SHA-256 bixhPWJvYkBvLmV4LG49YWxpY2VAby5leCxyPXg= => 535 5.7.8 Acting
             AUTH SCRAM-SHA-1 biwsbj1hbGljZUBvLmV4LHI9Y2xpZW50cGFydA== => 334 cj1jbGllbnRwYXJ0c2VydmVycGFydCxzPVlTQm1hWGhsWkNCellXeDBJREUyTGc9PSxpPTQwOTY=
             Yz1iaXdzLHI9Y2xpZW50cGFydHNlcnZlcnBhcnQscD1Qc21ReHMrVnNPcGFzUzZna1g3a2hROXlRc2M9 => 334 dj1kUlNYRFNaMEVrRk1hQVc4a0Q3UGM1QVErQXM9
             * => 501 5.7.0
             AUTH SCRAM-SHA-256 biwsbj1hbGljZUBvLmV4LHI9Y2xpZW50cGFydA== => 334 cj1jbGllbnRwYXJ0c2VydmVycGFydCxzPVlTQm1hWGhsWkNCellXeDBJREUyTGc9PSxpPTQwOTY=
             Yz1iaXdzLHI9Y2xpZW50cGFydHNlcnZlcnBhcnQscD1FNGFWSXN1L01KaW1XQWNuYkFQM0FBNDY1bVJKUGFVUklzUVFVRHFkQ240PQ== => 334 dj1XOVpOUmx2VGFBT1U0WlJzblRBbzJVd3dhTUxsVUplVlpXRTlVQ05GYVVvPQ==",
        )
        .await;
    assert_eq!(client.say("").await, "235 2.7.0 Welcome");
    client.play("MAIL FROM:<alice@o.ex> => 250").await;
}

#[tokio::test]
async fn an_account_sends_no_faster_than_it_may() {
    let house = House::build().await;
    let tree = ::config::Tree::from_text("test", "messages-per-sender \"2/1m\"", &|_| None);
    let mut config = clear();
    config.door.rates = tree.decode(smtp_door::RateOptions::decode).unwrap();
    let mut client = open(&house, config).await;
    client.play(&format!("EHLO c.ex => 250\n{LOGIN} => 235")).await;
    let mail = "MAIL FROM:<alice@o.ex> => 250\nRSET => 250";
    client.play(mail).await;
    client.play(mail).await;
    client.play("MAIL FROM:<alice@o.ex> => 451 4.7.1 Too many messages of this sender").await;
    house.clock.advance(Duration::from_secs(30));
    client.play(mail).await;
}
