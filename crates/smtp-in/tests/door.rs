//! The door for strangers over loopback, down to the rows in a real store.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like the tests themselves")]

mod house;

use house::{Client, House};
use net::{ClientTls, Connector, Fetcher, Listener, Roots, Stop, Stopper};
use policy::Pipeline;
use policy::filter::{Endpoint, Filters, Milter};
use policy::milter::Patience;
use smtp_in::{Config, Deps, Desk, Door};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const MESSAGE: &str = "From: x@s.ex\r\nSubject: hello\r\n\r\n..how are you?\r\n.\r\n";

fn door(house: &House, config: Config) -> Arc<Door> {
    door_with(house, config, Filters::default())
}

fn door_with(house: &House, config: Config, filters: Filters) -> Arc<Door> {
    let deps = Deps { door: house.deps(), store: house.store.clone() };
    let hostname = house.intake.router().hostname().clone();
    let pipeline = Pipeline::new(policy::Config::default(), hostname, house.world.clone());
    let tls = ClientTls::authenticated(&Roots::WebPki, house.world.clock.clone()).unwrap();
    let connector = Connector::new(&house.world);
    let fetcher = Fetcher::new(house.world.dns.clone(), connector.clone(), tls);
    let desk = Desk::new(filters, connector, fetcher);
    Arc::new(Door::new(config, pipeline, desk, deps))
}

/// The defaults with something changed.
fn with(change: impl FnOnce(&mut smtp_door::Config)) -> Config {
    let mut config = Config::default();
    change(&mut config.door);
    config
}

async fn open(house: &House, config: Config) -> Client {
    let listener = house.listen(Stop::never());
    serve_one(house, &listener, config).await
}

async fn serve_one(house: &House, listener: &Listener, config: Config) -> Client {
    enter(house, listener, &door(house, config)).await
}

async fn enter(house: &House, listener: &Listener, door: &Arc<Door>) -> Client {
    let serve = async {
        let conn = listener.accept().await.unwrap();
        let door = door.clone();
        tokio::spawn(async move { door.serve(conn).await });
    };
    tokio::join!(house.client(listener), serve).0
}

#[tokio::test]
async fn a_message_for_us_is_in_the_mailbox_when_250_is_said() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    client
        .play(
            "EHLO c.ex => 250-mx.o.ex greets c.ex/250-PIPELINING/250-SIZE 52428800/250-STARTTLS/250-8BITMIME
             MAIL FROM:<x@s.ex> SIZE=100 => 250 2.1.0
             RCPT TO:<Alice+tag@O.ex> => 250 2.1.5
             DATA => 354",
        )
        .await;
    let reply = client.send(MESSAGE).await;
    let id =
        reply.strip_prefix("250 2.0.0 ").and_then(|rest| rest.strip_suffix(" accepted")).unwrap().to_owned();
    let inbox = house.inbox("alice@o.ex").await;
    assert_eq!(inbox.len(), 1);
    let text = inbox[0].replace("\r\n\t", " ").replace("\r\n ", " ");
    assert!(text.starts_with("Return-Path: <x@s.ex>\r\nDelivered-To: "), "{text}");
    assert!(text.contains(&format!("by mx.o.ex with ESMTP id {id}")), "{text}");
    assert!(text.contains("from c.ex ([127.0.0.1])"), "{text}");
    assert!(text.contains("for <Alice+tag@o.ex>;"), "{text}");
    assert!(text.ends_with("From: x@s.ex\r\nSubject: hello\r\n\r\n.how are you?\r\n"), "{text}");
    client.play("QUIT => 221").await;
    assert_eq!(client.hear().await, "closed");
}

#[tokio::test]
async fn strangers_reach_our_addresses_only() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    client
        .play(
            "HELO c.ex => 250
             MAIL FROM:<> => 250
             RCPT TO:<someone@elsewhere.ex> => 550 5.7.1
             RCPT TO:<nobody@o.ex> => 550 5.1.1
             RCPT TO:<someone%elsewhere.ex@o.ex> => 550 5.1.1
             RCPT TO:<\"someone@elsewhere.ex\"@o.ex> => 550 5.1.1
             RCPT TO:<@o.ex:someone@elsewhere.ex> => 550 5.7.1
             DATA => 554 5.5.1
             RCPT TO:<postmaster> => 250
             RCPT TO:<anything@c.ex> => 250
             RCPT TO:<sales@o.ex> => 250
             AUTH PLAIN AGEAYg== => 502
             BDAT 18 LAST\\r\\nFrom: <x@s.ex>\\r\\n => 250 2.0.0",
        )
        .await;
    assert_eq!(house.inbox("bob@o.ex").await.len(), 1);
    let queue = house.queue().await;
    assert_eq!(queue.len(), 1);
    assert!(queue[0].ends_with(" far@e.ex"), "{queue:?}");
    let inbox = house.inbox("bob@o.ex").await;
    assert!(!inbox[0].contains(" for <"), "no recipient learns of another: {}", inbox[0]);
}

#[tokio::test]
async fn tls_is_told_in_the_trace() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO before.ex => 250\nMAIL FROM:<evil@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250").await;
    client.start_tls().await;
    client
        .play(
            "RCPT TO:<alice@o.ex> => 503
             MAIL FROM:<x@s.ex> => 503
             EHLO c.ex => 250-mx.o.ex greets c.ex/250-PIPELINING/250-SIZE 52428800/250-8BITMIME
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<alice@o.ex> => 250
             DATA => 354
             From: x@s.ex\\r\\n\\r\\nhi\\r\\n. => 250",
        )
        .await;
    let text = house.inbox("alice@o.ex").await[0].replace("\r\n\t", " ").replace("\r\n ", " ");
    assert!(text.contains("using TLSv1.3 with ") && text.contains("with ESMTPS id"), "{text}");
    assert!(house.inbox("bob@o.ex").await.is_empty());
}

#[tokio::test]
async fn large_messages_go_through_the_spool() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    let body = "0123456789012345678901234567890123456789\r\n".repeat(20_000);
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354").await;
    let reply = client.send(&format!("From: x@s.ex\r\n\r\n{body}.\r\n")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    assert!(house.inbox("bob@o.ex").await[0].ends_with(&body));
}

#[tokio::test]
async fn too_large_and_smuggled_messages_leave_nothing() {
    let house = House::build().await;
    let config = with(|door| door.max_message_size = 64 * 1024);
    let mut client = open(&house, config).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> SIZE=70000 => 552 5.3.4").await;
    let begin = "MAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354";
    client.play(begin).await;
    let large = "x".repeat(70_000);
    assert!(client.send(&format!("{large}\r\n.\r\n")).await.starts_with("552 5.3.4"));
    client.play(begin).await;
    let smuggled = "hi\n.\nMAIL FROM:<evil@s.ex>\nRCPT TO:<alice@o.ex>\nDATA\nevil\r\n.\r\n";
    assert!(client.send(smuggled).await.starts_with("550 5.6.0"));
    assert!(house.inbox("bob@o.ex").await.is_empty());
    assert!(house.inbox("alice@o.ex").await.is_empty());
    client.play("NOOP => 250").await;
}

#[tokio::test]
async fn a_message_in_a_circle_is_refused() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354").await;
    let trace = "Received: from a by b\r\n".repeat(101);
    let reply = client.send(&format!("{trace}From: x@s.ex\r\n\r\nhi\r\n.\r\n")).await;
    assert!(reply.starts_with("554 5.4.6"), "{reply}");
}

#[tokio::test]
async fn silence_and_slowness_end_the_connection() {
    let house = House::build().await;
    let config = with(|door| door.command_timeout = Duration::from_millis(50));
    let mut client = open(&house, config).await;
    assert!(client.hear().await.starts_with("421 4.4.2"));
    assert_eq!(client.hear().await, "closed");

    let config = with(|door| door.message_timeout = Duration::from_millis(50));
    let mut client = open(&house, config.clone()).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354").await;
    assert!(client.hear().await.starts_with("421 4.4.2"));
    // A message that is only read to its end has no more time.
    for refused in ["BDAT 5000\r\nx", "MAIL FROM:<x@s.ex>\r\nRCPT TO:<bob@o.ex>\r\nDATA\r\nbare\nLF"] {
        let mut client = open(&house, config.clone()).await;
        client.play("EHLO c.ex => 250").await;
        let mut heard = client.send(refused).await;
        while heard.starts_with("250 ") || heard.starts_with("354 ") {
            heard = client.hear().await;
        }
        assert!(heard.starts_with("421 4.4.2"), "{refused}: {heard}");
    }
    assert!(house.inbox("bob@o.ex").await.is_empty());
}

#[tokio::test]
async fn stopping_waits_for_a_message_that_is_half_here() {
    let house = House::build().await;
    let (stopper, stop) = Stopper::new();
    let listener = house.listen(stop);
    let mut idle = serve_one(&house, &listener, Config::default()).await;
    let mut busy = serve_one(&house, &listener, Config::default()).await;
    busy.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354").await;
    stopper.stop();
    assert!(idle.hear().await.starts_with("421 4.3.2"));
    assert!(busy.send("From: x@s.ex\r\n\r\nhi\r\n.\r\n").await.starts_with("250 2.0.0"));
    assert!(busy.hear().await.starts_with("421 4.3.2"));
    assert_eq!(house.inbox("bob@o.ex").await.len(), 1);
}

#[tokio::test]
async fn a_store_that_is_gone_means_later() {
    let house = House::build().await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354").await;
    house.store.close().await;
    let reply = client.send("From: x@s.ex\r\n\r\nhi\r\n.\r\n").await;
    assert!(reply.starts_with("45"), "{reply}");
    // Whose account was looked at before is still known, and hears it at the end; nobody else is.
    client
        .play("MAIL FROM:<x@s.ex> => 250\nRCPT TO:<alice@o.ex> => 45\nRCPT TO:<bob@o.ex> => 250\nDATA => 354")
        .await;
    let reply = client.send("From: x@s.ex\r\n\r\nhi\r\n.\r\n").await;
    assert!(reply.starts_with("45"), "{reply}");
}

/// Domains that forbid others to write in their name, a client that two of them allow, and trouble.
const DOMAINS: &str = "
    home.ex A 127.0.0.1
    1.0.0.127.in-addr.arpa PTR home.ex
    home.ex TXT \"v=spf1 ip4:127.0.0.1 -all\"
    _dmarc.home.ex TXT \"v=DMARC1; p=reject\"
    bank.ex TXT \"v=spf1 -all\"
    _dmarc.bank.ex TXT \"v=DMARC1; p=reject\"
    shop.ex TXT \"v=spf1 -all\"
    _dmarc.shop.ex TXT \"v=DMARC1; p=quarantine\"
    _dmarc.dead.ex TIMEOUT
";

/// Offers a message to bob, and gives the reply.
async fn offer(client: &mut Client, from: &str, header: &str) -> String {
    client.play(&format!("MAIL FROM:<{from}> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354")).await;
    client.send(&format!("{header}\r\nhi\r\n.\r\n")).await
}

fn unfolded(text: &str) -> String {
    text.replace("\r\n\t ", " ").replace("\r\n\t", " ").replace("\r\n ", " ")
}

#[tokio::test]
async fn messages_are_judged_before_they_are_taken() {
    let house = House::with_zone(DOMAINS).await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO home.ex => 250").await;
    for (from, author, want) in [
        ("a@home.ex", "a@home.ex", "250 2.0.0"),
        ("a@home.ex", "a@bank.ex", "550 5.7.26"),
        ("a@home.ex", "a@shop.ex", "250 2.0.0"),
        ("a@home.ex", "a@dead.ex", "451 4.4.3"),
        ("a@quiet.ex", "a@quiet.ex", "250 2.0.0"),
    ] {
        let reply = offer(&mut client, from, &format!("From: <{author}>\r\n")).await;
        assert!(reply.starts_with(want), "{author}: wanted {want}, got {reply}");
        if want.starts_with("550") {
            assert!(reply.contains("bank.ex") && reply.contains("p=reject"), "{reply}");
        }
    }
    let inbox = house.inbox("bob@o.ex").await;
    assert_eq!(inbox.len(), 2, "{inbox:?}");
    let text = unfolded(&inbox[0]);
    for want in [
        "Authentication-Results: mx.o.ex; iprev=pass ",
        "; spf=pass ",
        " smtp.mailfrom=a@home.ex; spf=pass ",
        " smtp.helo=home.ex; dkim=none; dmarc=pass (p=reject) ",
        "Received: from home.ex (home.ex [127.0.0.1])",
    ] {
        assert!(text.contains(want), "{want}: {text}");
    }
    assert!(text.find("Authentication-Results:") < text.find("Received:"), "{text}");
    assert!(!text.contains("X-Junk-Reason"), "{text}");
    assert!(unfolded(&inbox[1]).contains("; spf=none "), "{}", inbox[1]);

    let junk = house.messages("bob@o.ex", "Junk").await;
    assert_eq!(junk.len(), 1, "{junk:?}");
    let text = unfolded(&junk[0]);
    assert!(text.contains("X-Junk-Reason: "), "{text}");
    assert!(text.contains("; dmarc=fail (p=quarantine) "), "{text}");
}

#[tokio::test]
async fn what_others_write_in_our_name_is_taken_out() {
    let house = House::with_zone(DOMAINS).await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO home.ex => 250").await;
    let forged = "Authentication-Results: MX.o.ex; dmarc=pass header.from=bank.ex\r\nX-Junk-Reason: none\r\n";
    let other = "Authentication-Results: mx.other.ex; dmarc=pass\r\n";
    let reply = offer(&mut client, "a@home.ex", &format!("{forged}{other}From: <a@home.ex>\r\n")).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let text = &house.inbox("bob@o.ex").await[0];
    assert!(!text.contains("bank.ex") && !text.contains("X-Junk-Reason"), "{text}");
    assert_eq!(text.matches("Authentication-Results: mx.o.ex;").count(), 1, "{text}");
    assert!(text.contains(other), "{text}");
    assert!(text.ends_with("From: <a@home.ex>\r\n\r\nhi\r\n"), "{text}");
}

#[tokio::test]
async fn too_much_on_its_way_in_is_put_off() {
    let house = House::build().await;
    let config = with(|door| door.max_in_transit = 100_000);
    let mut client = open(&house, config).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> SIZE=100001 => 452 4.3.1").await;
    let begin = "MAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 250\nDATA => 354";
    client.play(begin).await;
    let large = "0123456789\r\n".repeat(10_000);
    assert!(client.send(&format!("{large}.\r\n")).await.starts_with("452 4.3.1"));
    // What was held is given back.
    client.play(begin).await;
    assert!(client.send(MESSAGE).await.starts_with("250"));
    assert_eq!(house.inbox("bob@o.ex").await.len(), 1);
}

#[tokio::test]
async fn who_only_keeps_the_line_busy_is_sent_away() {
    let house = House::build().await;
    let mut client = open(&house, with(|door| door.max_idle_commands = 12)).await;
    client.play("EHLO c.ex => 250").await;
    for _ in 0..10 {
        client.play("NOOP => 250").await;
    }
    assert!(client.say("NOOP").await.starts_with("250"));
    assert!(client.hear().await.starts_with("421 4.7.0"));
    let mut client = open(&house, with(|door| door.idle_timeout = Duration::from_millis(80))).await;
    client.play("EHLO c.ex => 250").await;
    assert!(client.hear().await.starts_with("421 4.4.2"));
}

#[tokio::test]
async fn rates_hold_and_this_machine_is_exempt() {
    let rates = |text: &str| {
        let tree = config::Tree::from_text("test", text, &|_| None);
        tree.decode(smtp_door::RateOptions::decode).unwrap()
    };
    let house = House::build().await;
    let text = "messages-per-recipient \"1/1h\"\nmessages-per-sender \"2/1h\"\nexempt \"192.0.2.1\"";
    let mut client = open(&house, with(|door| door.rates = rates(text))).await;
    client
        .play(
            "EHLO c.ex => 250
            MAIL FROM:<x@s.ex> => 250
            RCPT TO:<bob@o.ex> => 250
            RCPT TO:<BOB@o.ex> => 450 4.7.1
            RCPT TO:<alice@o.ex> => 250
            RSET => 250
            MAIL FROM:<x@s.ex> => 250
            RSET => 250
            MAIL FROM:<X@s.ex> => 451 4.7.1
            MAIL FROM:<> => 250",
        )
        .await;
    let mut client = open(&house, with(|door| door.rates = rates("messages-per-sender \"1/1h\""))).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@s.ex> => 250\nRSET => 250\nMAIL FROM:<x@s.ex> => 250").await;
}

#[tokio::test]
async fn strangers_come_again_and_become_known() {
    let zone = "s.ex TXT \"v=spf1 ip4:127.0.0.1 -all\"\n";
    let house = House::with_zone(zone).await;
    let text = "greylist { enabled #true; delay \"5m\"; learn 2; }";
    let read = || config::Tree::from_text("test", text, &|_| None).decode(smtp_in::config::decode).unwrap();
    let mut client = open(&house, read()).await;
    client
        .play(
            "EHLO c.ex => 250
            MAIL FROM:<x@s.ex> => 250
            RCPT TO:<bob@o.ex> => 451 4.7.1 Greylisted
            RCPT TO:<nobody@o.ex> => 550 5.1.1
            RCPT TO:<alice@o.ex> => 451 4.7.1
            RSET => 250",
        )
        .await;
    house.clock.advance(Duration::from_secs(299));
    client.play("MAIL FROM:<x@s.ex> => 250\nRCPT TO:<bob@o.ex> => 451 4.7.1\nRSET => 250").await;
    house.clock.advance(Duration::from_secs(1));
    client
        .play(
            "MAIL FROM:<x@s.ex> => 250
            RCPT TO:<bob@o.ex> => 250
            RCPT TO:<alice@o.ex> => 250
            RCPT TO:<sales@o.ex> => 250
            RSET => 250
            MAIL FROM:<other@s.ex> => 250
            RCPT TO:<sales@o.ex> => 250
            RSET => 250
            MAIL FROM:<x@elsewhere.ex> => 250
            RCPT TO:<bob@o.ex> => 451 4.7.1",
        )
        .await;
    let mut client = open(&house, Config::default()).await;
    client.play("EHLO c.ex => 250\nMAIL FROM:<x@elsewhere.ex> => 250\nRCPT TO:<bob@o.ex> => 250").await;
}

fn read(text: &str) -> Config {
    config::Tree::from_text("test", text, &|_| None).decode(smtp_in::config::decode).unwrap()
}

#[tokio::test]
async fn who_stands_behind_a_proxy_cannot_choose_an_address() {
    let text =
        "xclient-from \"127.0.0.1\"\nxforward-from \"127.0.0.1\"\nrelay-from \"127.0.0.1\" \"192.0.2.0/24\"";
    let house = House::build().await;
    let mut client = open(&house, read(text)).await;
    client
        .play(
            "EHLO proxy.ex => 250
             XCLIENT ADDR=203.0.113.1 => 220
             XCLIENT ADDR=192.0.2.1 => 500 5.5.1
             EHLO evil.ex => 250
             XCLIENT ADDR=192.0.2.1 => 500 5.5.1
             XFORWARD ADDR=192.0.2.1 => 500 5.5.1
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<someone@elsewhere.ex> => 550 5.7.1",
        )
        .await;
    // One whom the proxy cannot name is not the proxy itself.
    let mut client = open(&house, read(text)).await;
    client
        .play(
            "EHLO proxy.ex => 250
             XCLIENT ADDR=[UNAVAILABLE] => 220
             EHLO evil.ex => 250
             XCLIENT ADDR=192.0.2.1 => 500 5.5.1
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<someone@elsewhere.ex> => 550 5.7.1",
        )
        .await;
    let mut client = open(&house, read(text)).await;
    client
        .play(
            "EHLO proxy.ex => 250
             XFORWARD ADDR=[UNAVAILABLE] SOURCE=LOCAL => 250
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<someone@elsewhere.ex> => 250
             RSET => 250
             XCLIENT ADDR=192.0.2.1 => 220
             EHLO printer.ex => 250
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<someone@elsewhere.ex> => 250",
        )
        .await;
}

#[tokio::test]
async fn a_client_of_a_proxy_that_comes_too_often_is_sent_away() {
    let text = "xclient-from \"127.0.0.1\" \"203.0.113.1\"\nrates { connections-per-address \"1/1h\"; }";
    let house = House::build().await;
    let mut client = open(&house, read(text)).await;
    client
        .play(
            "EHLO proxy.ex => 250
             XCLIENT ADDR=203.0.113.1 => 220
             XCLIENT ADDR=203.0.113.1 => 421 4.7.1",
        )
        .await;
    assert_eq!(client.hear().await, "closed");
}

#[tokio::test]
async fn a_proxy_is_not_counted_for_its_clients() {
    let rates = "rates { connections-per-address \"1/1h\"; exempt \"198.51.100.1\"; }";
    let house = House::build().await;
    let listener = house.listen(Stop::never());
    let proxied = door(&house, read(&format!("xclient-from \"127.0.0.1\"\n{rates}")));
    for (client, want) in [("203.0.113.1", "220"), ("203.0.113.2", "220"), ("203.0.113.1", "421 4.7.1")] {
        let mut chat = enter(&house, &listener, &proxied).await;
        chat.play(&format!("EHLO proxy.ex => 250\nXCLIENT ADDR={client} => {want}")).await;
    }
    let alone = door(&house, read(rates));
    let mut first = enter(&house, &listener, &alone).await;
    first.play("EHLO c.ex => 250").await;
    let listening = async { listener.accept().await.unwrap() };
    let (mut stream, conn) = tokio::join!(
        async { tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap() },
        listening
    );
    tokio::spawn(async move { alone.serve(conn).await });
    let mut said = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut said).await.unwrap();
    assert!(said.starts_with("421 4.7.1 Too many connections"), "{said}");
}

/// A milter that refuses every client as soon as it has connected; it knows nothing else.
async fn refusing_milter() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Ok(length) = stream.read_u32().await {
                let mut packet = vec![0; length as usize];
                stream.read_exact(&mut packet).await.unwrap();
                let say: &[u8] = match packet[0] {
                    b'O' => b"\0\0\0\x0dO\0\0\0\x06\0\0\0\0\0\0\0\0",
                    b'C' => b"\0\0\0\x01r",
                    b'D' => b"",
                    _ => b"\0\0\0\x01c",
                };
                stream.write_all(say).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn whom_a_filter_refuses_is_refused_with_each_message() {
    let house = House::build().await;
    let patience = Patience { step: Duration::from_secs(10), content: Duration::from_secs(10) };
    let endpoint = Endpoint::Tcp(refusing_milter().await);
    let milter = Milter { endpoint, patience, on_failure: policy::Action::Nothing };
    let filters = Filters { milters: vec![milter], ..Filters::default() };
    let listener = house.listen(Stop::never());
    let door = door_with(&house, Config::default(), filters);
    let mut client = enter(&house, &listener, &door).await;
    client
        .play(
            "EHLO c.ex => 250
             MAIL FROM:<x@s.ex> => 550 5.7.1
             MAIL FROM:<x@s.ex> => 550 5.7.1
             RCPT TO:<alice@o.ex> => 503
             EHLO c.ex => 250
             MAIL FROM:<x@s.ex> => 550 5.7.1
             QUIT => 221",
        )
        .await;
}

/// A milter that adds results in our name, and remembers what it is shown and that it hears the end.
async fn telling_milter() -> (SocketAddr, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (heard, hears) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Ok(length) = stream.read_u32().await {
                let mut packet = vec![0; length as usize];
                stream.read_exact(&mut packet).await.unwrap();
                // As rspamd asks: all actions, and no answers but at the end.
                let say: &[u8] = match packet[0] {
                    b'O' => b"\0\0\0\x0dO\0\0\0\x06\0\0\0\x3f\0\x0f\xf0\x80",
                    b'E' => {
                        b"\0\0\0\x39hAuthentication-Results\0mx.o.ex; x-milter=pass (its own)\0\0\0\0\x01c"
                    }
                    _ => b"",
                };
                heard.send(String::from_utf8_lossy(&packet).into_owned()).unwrap();
                stream.write_all(say).await.unwrap();
            }
        }
    });
    (address, hears)
}

#[tokio::test]
async fn what_a_filter_says_in_our_name_stays() {
    let house = House::build().await;
    let patience = Patience { step: Duration::from_secs(10), content: Duration::from_secs(10) };
    let (address, mut hears) = telling_milter().await;
    let milter = Milter { endpoint: Endpoint::Tcp(address), patience, on_failure: policy::Action::Reject };
    let filters = Filters { milters: vec![milter], ..Filters::default() };
    let listener = house.listen(Stop::never());
    let door = door_with(&house, Config::default(), filters);
    let mut client = enter(&house, &listener, &door).await;
    client
        .play(
            "EHLO c.ex => 250
             MAIL FROM:<x@s.ex> => 250
             RCPT TO:<alice@o.ex> => 250
             DATA => 354
             Authentication-Results: mx.o.ex; dkim=pass\\r\\nFrom: x@s.ex\\r\\n\\r\\nhello\\r\\n. => 250 2.0.0
             QUIT => 221",
        )
        .await;
    let inbox = house.inbox("alice@o.ex").await;
    let told = "\r\nAuthentication-Results: mx.o.ex; x-milter=pass (its own)\r\n";
    assert!(inbox[0].contains(told) && !inbox[0].contains("dkim=pass"), "{}", inbox[0]);
    let mut all = String::new();
    while !all.ends_with("\nQ") {
        all = format!("{all}\n{}", hears.recv().await.unwrap());
    }
    assert!(all.contains("\nLFrom") && !all.contains("dkim=pass"), "{all:?}");
}
