//! Ways of their own: next hosts by recipient and by sender, LMTP over TCP and Unix sockets, families of addresses.

use crate::fake_mx::FakeMx;
use crate::house::{House, config, domain};
use delivery::config::{Config, Family, Pattern, Protocol, Route, Security, Smarthost, Tells};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, UnixListener};

const TEXT: &str = "Subject: hello\r\n\r\ntext\r\n";

fn route(name: &str, to: Option<Smarthost>) -> Route {
    Route {
        name: name.to_owned(),
        recipients: Vec::new(),
        senders: Vec::new(),
        to,
        family: Family::Any,
        source_addresses: Vec::new(),
        concurrency: None,
        rate: None,
    }
}

fn next(host: &str, port: u16, protocol: Protocol, socket: Option<PathBuf>) -> Smarthost {
    Smarthost {
        host: domain(host),
        port,
        security: Security::None,
        login: None,
        protocol,
        socket,
        tells: Tells::Nobody,
    }
}

type Heard = Arc<Mutex<Vec<String>>>;

/// A store that speaks LMTP: it answers each recipient, and refuses `full`.
async fn store<S: AsyncRead + AsyncWrite + Unpin>(stream: S, heard: Heard) {
    let mut stream = BufReader::new(stream);
    let mut to: Vec<String> = Vec::new();
    stream.get_mut().write_all(b"220 store LMTP\r\n").await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|n| n > 0) {
        let command = line.trim_end().to_owned();
        line.clear();
        heard.lock().unwrap().push(command.clone());
        let mut replies = match command.split(' ').next().unwrap() {
            "LHLO" => "250-store\r\n250-PIPELINING\r\n250 ENHANCEDSTATUSCODES\r\n".to_owned(),
            "RCPT" => {
                to.push(command.clone());
                "250 2.1.5 ok\r\n".to_owned()
            }
            "DATA" => "354 go\r\n".to_owned(),
            "EHLO" => "500 5.5.1 LHLO here\r\n".to_owned(),
            _ => "250 2.0.0 ok\r\n".to_owned(),
        };
        stream.get_mut().write_all(replies.as_bytes()).await.unwrap();
        if command == "DATA" {
            loop {
                line.clear();
                stream.read_line(&mut line).await.unwrap();
                if line == ".\r\n" {
                    break;
                }
            }
            line.clear();
            replies = to
                .drain(..)
                .map(|to| if to.contains("<full@") { "452 4.2.2 full\r\n" } else { "250 2.1.5 filed\r\n" })
                .collect();
            stream.get_mut().write_all(replies.as_bytes()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn lmtp_answers_for_each_recipient() {
    for over_tcp in [true, false] {
        let mut house = House::build().await;
        let heard = Heard::default();
        let shared = heard.clone();
        let (task, to) = if over_tcp {
            let listener = TcpListener::bind("127.0.0.2:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(store(stream, shared.clone()));
                }
            });
            (task, next("mx1.e.ex", port, Protocol::Lmtp, None))
        } else {
            let path = house.dir.path().join("lmtp");
            let listener = UnixListener::bind(&path).unwrap();
            let task = tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(store(stream, shared.clone()));
                }
            });
            (task, next("[127.0.0.1]", 0, Protocol::Lmtp, Some(path)))
        };
        let backend =
            Route { recipients: vec![Pattern::Domain(domain("inner.ex"))], ..route("store", Some(to)) };
        house.send("alice@o.ex", &["a@inner.ex", "full@inner.ex", "b@inner.ex"], TEXT).await;
        house.work(Config { routes: vec![backend], ..config(1) });
        house.queue_is(&["full@inner.ex 1 452 4.2.2 full"]).await;
        house.later(300).await;
        house.queue_is(&["full@inner.ex 2 452 4.2.2 full"]).await;
        let said = heard.lock().unwrap().clone();
        assert_eq!(
            said.iter().filter(|line| *line == "LHLO mx.o.ex").count(),
            1,
            "one connection for both: {said:?}"
        );
        assert_eq!(said.iter().filter(|line| line.starts_with("RCPT TO:<a@")).count(), 1);
        let kept = house.store.attempts(storage::JobId::from_number(1)).await.unwrap();
        let place = &kept[0].attempt.address;
        assert_eq!(place.starts_with("unix:/"), !over_tcp, "{place}");
        house.stop().await;
        task.abort();
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_is_waited_for() {
    let mut house = House::build().await;
    let to = next("[127.0.0.1]", 0, Protocol::Lmtp, Some(house.dir.path().join("nobody")));
    house.send("alice@o.ex", &["a@inner.ex"], TEXT).await;
    house.work(Config { routes: vec![route("store", Some(to))], ..config(1) });
    house.queue_is(&["a@inner.ex 1 451 4.4.1 [127.0.0.1] at unix:/"]).await;
    house.stop().await;
}

#[tokio::test]
async fn the_first_route_that_fits_is_taken() {
    let by_sender = FakeMx::usual("127.0.0.2:0").await;
    let port = by_sender.address.port();
    let by_domain = FakeMx::start(&format!("127.0.0.4:{port}"), "relay.ex", &["PIPELINING"]).await;
    let usual = FakeMx::usual(&format!("127.0.0.3:{port}")).await;
    let mut house = House::build().await;
    let routes = vec![
        Route {
            senders: vec![Pattern::Null],
            ..route("notices", Some(next("[127.0.0.2]", port, Protocol::Smtp, None)))
        },
        Route {
            recipients: vec![Pattern::Below(domain("ex"))],
            senders: vec![Pattern::Domain(domain("other.ex"))],
            ..route("other", Some(next("[127.0.0.4]", port, Protocol::Smtp, None)))
        },
    ];
    house.send("", &["a@f.ex"], TEXT).await;
    house.send("x@other.ex", &["b@f.ex"], TEXT).await;
    house.send("alice@o.ex", &["c@f.ex"], TEXT).await;
    house.work(Config { routes, ..config(port) });
    house.queue_is(&[]).await;
    for (mx, want) in
        [(&by_sender, "RCPT TO:<a@f.ex>"), (&by_domain, "RCPT TO:<b@f.ex>"), (&usual, "RCPT TO:<c@f.ex>")]
    {
        let to: Vec<String> = mx.heard().into_iter().filter(|line| line.starts_with("RCPT")).collect();
        assert_eq!(to, [want]);
    }
    house.stop().await;
}

#[tokio::test]
async fn a_family_without_addresses_is_told() {
    let mx = FakeMx::usual("127.0.0.3:0").await;
    let mut house = House::build().await;
    let six = Route {
        recipients: vec![Pattern::Domain(domain("f.ex"))],
        family: Family::V6Only,
        ..route("six", None)
    };
    house.send("alice@o.ex", &["a@f.ex"], TEXT).await;
    let config = Config { routes: vec![six], ..config(mx.address.port()) };
    let handle = house.work(config.clone());
    house.queue_is(&["a@f.ex 1 451 4.4.4 mx2.e.ex has no address of the family"]).await;
    handle.set_config(Config { routes: Vec::new(), family: Family::V4Only, ..config }).unwrap();
    house.later(300).await;
    house.queue_is(&[]).await;
    house.stop().await;
}
