//! Questions to web servers that behave, and to some that do not, on loopback.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use net::fetch::{FetchError, FetchLimits, Request, Response};
use net::{CertFiles, ClientTls, Connector, Fetcher, Roots, Url, demo_ca};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use world::World;

const LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(20), octets: 1000 };

/// Reads one request up to the end of its body, says `answer`, then waits until the other side has gone.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Vec<u8>) -> String {
    let mut got = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(&got).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned)
                })
                .map_or(0, |text| text.parse().unwrap());
            if body.len() >= length {
                break;
            }
        }
        match stream.read(&mut piece).await.unwrap_or(0) {
            0 => break,
            n => got.extend_from_slice(&piece[..n]),
        }
    }
    let _ = stream.write_all(&answer).await;
    if answer.ends_with(b"<close>") {
        let _ = stream.shutdown().await;
    }
    let _ = stream.read(&mut piece).await;
    String::from_utf8_lossy(&got).into_owned()
}

async fn clear(answer: &str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = answer.as_bytes().to_vec();
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, answer).await
    });
    (address, task)
}

fn fetcher(world: &World, roots: &Roots) -> Fetcher {
    let tls = ClientTls::authenticated(roots, world.clock.clone()).unwrap();
    Fetcher::new(world.dns.clone(), Connector::new(world), tls)
}

fn outside(zone: &str) -> World {
    world::fake::world_with(7, zone).unwrap()
}

async fn ask(address: SocketAddr, path: &str) -> Result<Response, FetchError> {
    let url = Url::parse(&format!("http://{address}{path}")).unwrap();
    fetcher(&outside(""), &Roots::WebPki).fetch(&Request::get(url), LIMITS).await
}

#[tokio::test]
async fn a_question_and_its_answer() {
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n\r\n{}";
    let (address, task) = clear(answer).await;
    let url = Url::parse(&format!("http://{address}/introspect?x=1")).unwrap();
    let request = Request::post(url, "application/x-www-form-urlencoded", b"token=abc".to_vec())
        .field("Authorization", "Bearer secret");
    assert!(!format!("{request:?}").contains("secret"));
    let response = fetcher(&outside(""), &Roots::WebPki).fetch(&request, LIMITS).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"{}".as_slice()));
    assert_eq!(response.media_type().as_deref(), Some("application/json"));
    let said = task.await.unwrap();
    assert!(said.starts_with("POST /introspect?x=1 HTTP/1.1\r\n"), "{said}");
    for want in [&format!("host: {address}"), "authorization: Bearer secret", "connection: close"] {
        assert!(said.contains(want), "{want} in {said}");
    }
    assert!(said.ends_with("\r\n\r\ntoken=abc"), "{said}");
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let (address, _) =
        clear("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n").await;
    let response = ask(address, "/").await.unwrap();
    assert_eq!((response.status, response.field("LOCATION")), (302, Some("http://127.0.0.1:1/")));
}

#[tokio::test]
async fn answers_that_are_too_long() {
    let long = "x".repeat(1001);
    for answer in [
        format!("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n{long}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{long}\r\n0\r\n\r\n"),
        format!("HTTP/1.1 200 OK\r\n\r\n{long}<close>"),
    ] {
        let (address, _) = clear(&answer).await;
        let error = ask(address, "/").await.unwrap_err();
        assert!(matches!(error, FetchError::TooLong(1000)), "{error}");
    }
    let (address, _) = clear(&format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(64 * 1024))).await;
    assert!(matches!(ask(address, "/").await, Err(FetchError::Broken(_))));
}

#[tokio::test]
async fn what_is_no_answer() {
    for answer in [
        "220 mx.example.org ESMTP\r\n<close>",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n<close>",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n<close>",
        "<close>",
    ] {
        let (address, _) = clear(answer).await;
        let error = ask(address, "/").await.unwrap_err();
        assert!(matches!(error, FetchError::Broken(_)), "{answer}: {error}");
    }
}

#[tokio::test]
async fn nobody_there_and_nobody_who_speaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = FetchLimits { time: Duration::from_millis(50), octets: 10 };
    let request = Request::get(Url::parse(&format!("http://{address}/")).unwrap());
    let asked = fetcher(&outside(""), &Roots::WebPki).fetch(&request, limits).await;
    assert!(matches!(asked, Err(FetchError::TimedOut(_))));
    drop(listener);
    assert!(matches!(ask(address, "/").await, Err(FetchError::Connect(_))));
    let request = Request::get(Url::parse("http://nowhere.example/").unwrap());
    let asked = fetcher(&outside(""), &Roots::WebPki).fetch(&request, LIMITS).await;
    assert!(matches!(asked, Err(FetchError::Dns(_))));
}

#[tokio::test]
async fn a_field_that_would_begin_another() {
    let (address, _) = clear("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let request = Request::get(Url::parse(&format!("http://{address}/")).unwrap()).field("X", "a\r\nY: b");
    let error = fetcher(&outside(""), &Roots::WebPki).fetch(&request, LIMITS).await.unwrap_err();
    assert!(matches!(error, FetchError::Request(_)) && !error.to_string().contains("Y: b"), "{error}");
}

/// A server with a certificate for `web.example`, from a private authority.
async fn secured(dir: &Path, world: &World) -> (SocketAddr, Roots) {
    let ca = demo_ca(dir, &["web.example".to_owned()], world.clock.as_ref()).unwrap();
    let CertFiles { chain, key } = &ca.leaf;
    let chain: Vec<_> = CertificateDer::pem_file_iter(chain).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec();
                tokio::spawn(serve(stream, answer));
            }
        }
    });
    (address, Roots::File(ca.ca))
}

#[tokio::test]
async fn a_certificate_has_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    let world = outside("web.example A 127.0.0.1\nother.example A 127.0.0.1\n");
    let (address, roots) = secured(dir.path(), &world).await;
    let get = |host: &str| Request::get(Url::parse(&format!("https://{host}:{}/", address.port())).unwrap());
    let trusting = fetcher(&world, &roots);
    assert_eq!(trusting.fetch(&get("web.example"), LIMITS).await.unwrap().body, b"hello");
    for (fetcher, host) in [(&trusting, "other.example"), (&fetcher(&world, &Roots::WebPki), "web.example")] {
        let error = fetcher.fetch(&get(host), LIMITS).await.unwrap_err();
        assert!(matches!(error, FetchError::Tls(_)), "{host}: {error}");
    }
}

/// A name that somebody else has chosen leads nowhere but to the public Internet.
#[tokio::test]
async fn names_of_strangers_do_not_lead_inside() {
    let (address, task) = clear("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    let world = outside("inside.ex A 127.0.0.1\nmixed.ex A 10.0.0.1\nmixed.ex A 127.0.0.1\nnone.ex TXT x\n");
    let fetcher = fetcher(&world, &Roots::WebPki);
    let ask = async |host: &str, also: &[&str]| {
        let also = also.iter().map(|network| config::Network::parse(network).unwrap()).collect();
        let url = Url::parse(&format!("http://{host}:{}/", address.port())).unwrap();
        fetcher.within(net::Reach { also, port: address.port() }).fetch(&Request::get(url), LIMITS).await
    };
    for host in ["inside.ex", "mixed.ex", "localhost", "127.0.0.1", "[::1]"] {
        let error = ask(host, &["192.0.2.0/24"]).await.unwrap_err();
        assert!(matches!(error, FetchError::OutOfReach), "{host}: {error}");
    }
    assert!(matches!(ask("none.ex", &[]).await, Err(FetchError::Dns(_))));
    assert_eq!(ask("mixed.ex", &["127.0.0.0/8"]).await.unwrap().status, 200);
    assert!(task.await.unwrap().starts_with("GET / "));
}
