//! A peer that shows a certificate whose key it does not have: encrypted, and not proven.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

use net::{ClientTls, Connector, Peer, Roots, demo_ca};
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Shows the same, whoever asks.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A server with this certificate and that key.
async fn serve(
    version: &'static rustls::SupportedProtocolVersion,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> SocketAddr {
    let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(chain, key)))));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            kept.extend(acceptor.accept(stream).await.ok());
        }
    });
    at
}

#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let world = world::fake::world(1);
    let make = |place: &str| {
        demo_ca(&dir.path().join(place), &["mx.example.org".to_owned()], world.clock.as_ref()).unwrap().leaf
    };
    let (good, other) = (make("a"), make("b"));
    let roots = Roots::File(dir.path().join("a/ca.pem"));
    let chain =
        || CertificateDer::pem_file_iter(&good.chain).unwrap().map(Result::unwrap).collect::<Vec<_>>();
    for version in [&version::TLS12, &version::TLS13] {
        for (key, is_its_own) in [(&good.key, true), (&other.key, false)] {
            let at = serve(version, chain(), PrivateKeyDer::from_pem_file(key).unwrap()).await;
            let easy = ClientTls::opportunistic(&roots, world.clock.clone()).unwrap();
            let mut conn = Connector::new(&world).connect(at).await.unwrap();
            conn.start_tls_client(&easy, "mx.example.org").await.unwrap();
            let peer = &conn.tls().unwrap().peer;
            assert_eq!(*peer == Peer::Verified, is_its_own, "{version:?} {peer:?}");
            let strict = ClientTls::authenticated(&roots, world.clock.clone()).unwrap();
            let mut conn = Connector::new(&world).connect(at).await.unwrap();
            let shaken = conn.start_tls_client(&strict, "mx.example.org").await;
            assert_eq!(shaken.is_ok(), is_its_own, "{version:?}");
        }
    }
}
