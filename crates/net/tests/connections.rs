//! Connections over loopback, driven by a toy protocol.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

mod toy;

use net::{
    Closed, Connector, Driven, Family, Gate, Limits, ListenOptions, Listener, Loopback, Stop, Stopper, Tls,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use toy::Toy;
use world::World;

fn listener(world: &World, gate: Arc<Gate>, stop: Stop) -> (Listener, SocketAddr) {
    let options = ListenOptions {
        name: "toy",
        address: "127.0.0.1:0".parse().unwrap(),
        family: Family::Both,
        tls: Tls::None,
        proxy: net::ProxyTrust::default(),
        busy: b"busy\r\n",
    };
    let listener = Listener::bind(options, gate, world, stop).unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

async fn pair() -> (net::Conn, BufReader<TcpStream>) {
    pair_with(Limits::default()).await
}

async fn pair_with(limits: Limits) -> (net::Conn, BufReader<TcpStream>) {
    let world = world::fake::world(1);
    let (listener, at) = listener(&world, Gate::new(limits), Stop::never());
    let client = TcpStream::connect(at).await.unwrap();
    (listener.accept().await.unwrap(), BufReader::new(client))
}

async fn line(client: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).await.unwrap();
    line.trim_end().to_owned()
}

#[tokio::test]
async fn a_machine_is_driven_until_its_owner_has_to_act() {
    let (mut conn, mut client) = pair().await;
    let mut toy = Toy::new();
    client.write_all(b"one\r\nask me\r\nbody\r\nbye\r\n").await.unwrap();
    assert!(matches!(conn.drive(&mut toy).await, Driven::Ask(what) if what == "me"));
    toy.say("yes");
    assert!(matches!(conn.drive(&mut toy).await, Driven::Body(octets) if octets == b"octets"));
    let driven = tokio::spawn(async move { conn.drive(&mut toy).await });
    for want in ["hello", "one", "yes", "bye", ""] {
        assert_eq!(line(&mut client).await, want);
    }
    drop(client);
    assert!(matches!(driven.await.unwrap(), Driven::Closed(Closed::Done)));
}

#[tokio::test]
async fn the_end_of_the_stream_is_told() {
    let (mut conn, mut client) = pair().await;
    let mut toy = Toy::new();
    client.shutdown().await.unwrap();
    assert!(matches!(conn.drive(&mut toy).await, Driven::Closed(Closed::ByPeer)));
}

/// What IDLE does: `drive` is dropped over and over while input and output are under way.
#[tokio::test]
async fn nothing_is_lost_when_driving_is_interrupted() {
    let (mut conn, mut client) = pair().await;
    let served = tokio::spawn(async move {
        let mut toy = Toy::new();
        loop {
            tokio::select! {
                biased;
                driven = conn.drive(&mut toy) => match driven {
                    Driven::Closed(closed) => return closed,
                    other => panic!("{other:?}"),
                },
                () = tokio::task::yield_now() => {}
            }
        }
    });
    let (reading, mut writing) = client.get_mut().split();
    let mut reading = BufReader::new(reading);
    let speak = async {
        for n in 0..500 {
            writing.write_all(format!("line {n}\r\nbig 50000\r\n").as_bytes()).await.unwrap();
        }
        writing.write_all(b"bye\r\n").await.unwrap();
    };
    let hear = async {
        let mut all = String::new();
        reading.read_to_string(&mut all).await.unwrap();
        let mut lines = all.lines();
        assert_eq!(lines.next(), Some("hello"));
        for n in 0..500 {
            assert_eq!(lines.next(), Some(format!("line {n}").as_str()));
            assert_eq!(lines.next().map(str::len), Some(50_000));
        }
        assert_eq!(lines.collect::<Vec<_>>(), ["bye"]);
    };
    tokio::join!(speak, hear);
    drop(client);
    assert_eq!(served.await.unwrap(), Closed::Done);
}

/// What IDLE does while the bell rings often: the peer must not gain time by it.
#[tokio::test]
async fn patience_runs_on_through_interruptions() {
    let (mut conn, mut client) = pair().await;
    let mut toy = Toy::new();
    toy.patience = Duration::from_millis(200);
    let mut interruptions = 0;
    let driven = loop {
        match tokio::time::timeout(Duration::from_millis(10), conn.drive(&mut toy)).await {
            Ok(driven) => break driven,
            Err(_) => interruptions += 1,
        }
        assert!(interruptions < 10_000, "patience begins anew with each interruption");
    };
    assert!(matches!(driven, Driven::TimedOut));
    assert!(interruptions > 0);
    toy.end("too late");
    let (driven, ()) = tokio::join!(conn.drive(&mut toy), async {
        assert_eq!(line(&mut client).await, "hello");
        assert_eq!(line(&mut client).await, "too late");
        drop(client);
    });
    assert!(matches!(driven, Driven::Closed(Closed::Done)));
}

/// Octets that come now and then renew the patience, but not for the line that they belong to.
#[tokio::test]
async fn a_line_in_crumbs_must_end_in_time() {
    let (mut conn, mut client) = pair().await;
    let mut toy = Toy::new();
    toy.line_patience = Duration::from_millis(200);
    let dribble = async {
        for _ in 0..2000 {
            client.write_all(b"x").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        driven = conn.drive(&mut toy) => assert!(matches!(driven, Driven::TimedOut), "{driven:?}"),
        () = dribble => panic!("crumbs renew the patience with a line"),
    }
}

#[tokio::test]
async fn who_does_not_read_is_dropped() {
    let limits = Limits { write_stall: Duration::from_millis(100), ..Limits::default() };
    let (mut conn, mut client) = pair_with(limits).await;
    let mut toy = Toy::new();
    client.write_all(b"big 30000000\r\n").await.unwrap();
    assert!(matches!(conn.drive(&mut toy).await, Driven::Closed(Closed::SlowReader)));
}

#[tokio::test]
async fn stopping_is_told_once_and_a_farewell_arrives() {
    let world = world::fake::world(1);
    let (stopper, stop) = Stopper::new();
    let (listener, at) = listener(&world, Gate::new(Limits::default()), stop);
    let mut client = BufReader::new(TcpStream::connect(at).await.unwrap());
    let mut conn = listener.accept().await.unwrap();
    let mut toy = Toy::new();
    stopper.stop();
    assert!(matches!(conn.drive(&mut toy).await, Driven::Stopping));
    client.write_all(b"ask once more\r\n").await.unwrap();
    assert!(matches!(conn.drive(&mut toy).await, Driven::Ask(_)));
    toy.end("stopping");
    let served = tokio::spawn(async move { conn.drive(&mut toy).await });
    for want in ["hello", "stopping", ""] {
        assert_eq!(line(&mut client).await, want);
    }
    drop(client);
    served.await.unwrap();
    // Nobody new comes in.
    listener.run(|_| async {}).await;
}

#[tokio::test]
async fn limits_refuse_with_a_line_and_a_panic_ends_one_session() {
    let world = world::fake::world(1);
    let loopback = Loopback::Exempt;
    let limits = Limits { connections: 2, per_address: 1, per_network: 1, loopback, ..Limits::default() };
    let gate = Gate::new(limits);
    let (listener, at) = listener(&world, gate.clone(), Stop::never());
    let running = tokio::spawn(listener.run(|mut conn| async move {
        let mut toy = Toy::new();
        let _ = conn.drive(&mut toy).await;
    }));
    let mut first = BufReader::new(TcpStream::connect(at).await.unwrap());
    let mut second = BufReader::new(TcpStream::connect(at).await.unwrap());
    assert_eq!(line(&mut first).await, "hello");
    assert_eq!(line(&mut second).await, "hello");
    let mut third = BufReader::new(TcpStream::connect(at).await.unwrap());
    assert_eq!(line(&mut third).await, "busy");
    assert_eq!(line(&mut third).await, "");
    first.write_all(b"panic\r\n").await.unwrap();
    assert_eq!(line(&mut first).await, "");
    second.write_all(b"one\r\n").await.unwrap();
    assert_eq!(line(&mut second).await, "one");
    drop(second);
    gate.drained().await;
    gate.set(Limits { loopback: Loopback::Counted, ..limits });
    let mut again = BufReader::new(TcpStream::connect(at).await.unwrap());
    assert_eq!(line(&mut again).await, "hello");
    let mut more = BufReader::new(TcpStream::connect(at).await.unwrap());
    assert_eq!(line(&mut more).await, "busy");
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    // The listening socket is gone, the session is not.
    assert!(TcpStream::connect(at).await.is_err());
    again.write_all(b"one\r\n").await.unwrap();
    assert_eq!(line(&mut again).await, "one");
}

#[tokio::test]
async fn both_families_come_in_through_one_socket_under_their_own_names() {
    let world = world::fake::world(1);
    let options = ListenOptions {
        name: "toy",
        address: "[::]:0".parse().unwrap(),
        family: Family::Both,
        tls: Tls::None,
        proxy: net::ProxyTrust::default(),
        busy: b"",
    };
    let listener =
        Listener::bind(options.clone(), Gate::new(Limits::default()), &world, Stop::never()).unwrap();
    let port = listener.local_addr().unwrap().port();
    for ip in ["127.0.0.1", "::1"] {
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        let from = Connector::new(&world).source(ip.parse().unwrap()).connect(to).await.unwrap();
        let conn = listener.accept().await.unwrap();
        assert_eq!(conn.peer(), from.local());
        assert_eq!(conn.local(), to);
        assert_eq!(conn.id().len(), 10);
        assert_ne!(conn.id(), from.id());
    }
    let four =
        ListenOptions { address: SocketAddr::new("0.0.0.0".parse().unwrap(), port), ..options.clone() };
    assert!(Listener::bind(four.clone(), Gate::new(Limits::default()), &world, Stop::never()).is_err());
    drop(listener);
    let six = ListenOptions {
        address: SocketAddr::new("::".parse().unwrap(), port),
        family: Family::Own,
        ..options
    };
    let gate = Gate::new(Limits::default());
    let _six = Listener::bind(six, gate.clone(), &world, Stop::never()).unwrap();
    let _four = Listener::bind(four, gate, &world, Stop::never()).unwrap();
}

#[tokio::test]
async fn a_connection_that_fails_says_why() {
    let world = world::fake::world(1);
    let (listener, at) = listener(&world, Gate::new(Limits::default()), Stop::never());
    drop(listener);
    let error = Connector::new(&world).connect(at).await.unwrap_err();
    assert_eq!(error.to_string(), "connection refused");
}
