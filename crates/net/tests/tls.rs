//! TLS on both sides: handshakes, certificates by name, replacement, and what came in clear before.
#![allow(clippy::unwrap_used, reason = "the helpers of a test fail by panicking")]

mod toy;

use net::{
    CertFiles, ClientTls, Closed, Conn, Connector, Driven, Family, Gate, Limits, ListenOptions, Listener,
    Peer, Roots, ServerTls, Stop, Tls, TlsError, demo_ca, self_signed,
};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;
use toy::Toy;
use world::{Clock, World};

struct Scene {
    dir: TempDir,
    world: World,
}

impl Scene {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), world: world::fake::world(1) }
    }

    fn certificate(&self, place: &str, names: &[&str]) -> CertFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        demo_ca(&self.dir.path().join(place), &names, self.world.clock.as_ref()).unwrap().leaf
    }

    fn roots(&self, place: &str) -> Roots {
        Roots::File(self.dir.path().join(place).join("ca.pem"))
    }

    fn server(&self, files: &[CertFiles]) -> ServerTls {
        ServerTls::from_files(files, self.world.clock.clone()).unwrap()
    }

    fn listen(&self, tls: Tls) -> (Listener, SocketAddr) {
        let options = ListenOptions {
            name: "toy",
            address: "127.0.0.1:0".parse().unwrap(),
            family: Family::Both,
            tls,
            proxy: net::ProxyTrust::default(),
            busy: b"busy\r\n",
        };
        let listener =
            Listener::bind(options, Gate::new(Limits::default()), &self.world, Stop::never()).unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    /// A client's handshake with a port where TLS begins at once: both sides' facts, or the client's error.
    async fn shake(
        &self,
        server: &ServerTls,
        client: &ClientTls,
        name: &str,
    ) -> Result<(Conn, Conn), TlsError> {
        let (listener, at) = self.listen(Tls::Implicit(server.clone()));
        let mut from = Connector::new(&self.world).connect(at).await.unwrap();
        let accepted = tokio::spawn(async move { listener.accept().await.unwrap() });
        if let Err(error) = from.start_tls_client(client, name).await {
            accepted.abort();
            return Err(error);
        }
        Ok((accepted.await.unwrap(), from))
    }

    /// The certificate that the server shows for a name, by its CA.
    async fn shown(&self, server: &ServerTls, name: &str, places: &[&str]) -> String {
        let mut shown = String::new();
        for place in places {
            let client = ClientTls::opportunistic(&self.roots(place), self.world.clock.clone()).unwrap();
            let (_, from) = self.shake(server, &client, name).await.unwrap();
            if from.tls().unwrap().peer == Peer::Verified {
                shown.push_str(place);
            }
        }
        shown
    }
}

#[tokio::test]
async fn both_sides_know_what_protects_them() {
    let scene = Scene::new();
    let server = scene.server(&[scene.certificate("a", &["mx.example.org"])]);
    let client = ClientTls::authenticated(&scene.roots("a"), scene.world.clock.clone()).unwrap();
    let (to, from) = scene.shake(&server, &client, "mx.example.org").await.unwrap();
    for conn in [&to, &from] {
        let facts = conn.tls().unwrap();
        assert_eq!(facts.version, "TLSv1.3");
        assert_eq!(facts.cipher, "TLS_AES_256_GCM_SHA384");
        assert_eq!(facts.sni.as_deref(), Some("mx.example.org"));
    }
    assert_eq!(to.tls().unwrap().peer, Peer::None);
    assert_eq!(from.tls().unwrap().peer, Peer::Verified);
    assert!(!to.offers_tls());
    let (_, from) = scene.shake(&server, &client, "127.0.0.1").await.unwrap();
    assert_eq!(from.tls().unwrap().sni, None);
}

#[tokio::test]
async fn why_it_failed_is_told_in_words() {
    let scene = Scene::new();
    let leaf = scene.certificate("a", &["mx.example.org"]);
    let dir = leaf.chain.parent().unwrap();
    let authority = net::CertFiles { chain: dir.join("ca.pem"), key: dir.join("ca.key") };
    for (files, roots, name, want) in [
        (&leaf, Roots::WebPki, "mx.example.org", "comes from an authority that is not trusted here"),
        (&leaf, scene.roots("a"), "other.example.org", "is for another name: "),
        (&authority, scene.roots("a"), "mx.example.org", "is that of an authority, or signed by itself"),
    ] {
        let strict = ClientTls::authenticated(&roots, scene.world.clock.clone()).unwrap();
        let said = scene
            .shake(&scene.server(std::slice::from_ref(files)), &strict, name)
            .await
            .err()
            .unwrap()
            .to_string();
        assert!(said.contains(&format!("its certificate {want}")), "{said}");
    }
}

#[tokio::test]
async fn a_demand_is_kept_and_an_opportunity_is_taken() {
    let scene = Scene::new();
    let server = scene.server(&[scene.certificate("a", &["mx.example.org"])]);
    scene.certificate("b", &[]);
    let clock = || scene.world.clock.clone();
    for (roots, name) in [("b", "mx.example.org"), ("a", "other.example.org"), ("a", "no_name")] {
        let strict = ClientTls::authenticated(&scene.roots(roots), clock()).unwrap();
        assert!(scene.shake(&server, &strict, name).await.is_err(), "{roots} {name}");
        let easy = ClientTls::opportunistic(&scene.roots(roots), clock()).unwrap();
        let (_, from) = scene.shake(&server, &easy, name).await.unwrap();
        assert!(matches!(from.tls().unwrap().peer, Peer::Unverified { .. }), "{roots} {name}");
    }
    // The same client, twice: a resumed session would not be verified.
    let strict = ClientTls::authenticated(&scene.roots("a"), clock()).unwrap();
    scene.shake(&server, &strict, "mx.example.org").await.unwrap();
    server.replace(&[scene.certificate("b", &["mx.example.org"])]).unwrap();
    assert!(scene.shake(&server, &strict, "mx.example.org").await.is_err());
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let scene = Scene::new();
    let files = ["a", "b", "c"].map(|place| {
        let names = match place {
            "a" => ["one.example"],
            "b" => ["two.example"],
            _ => ["*.three.example"],
        };
        scene.certificate(place, &names)
    });
    let server = scene.server(&files);
    for (name, want) in [
        ("one.example", "a"),
        ("TWO.example", "b"),
        ("x.three.example", "c"),
        ("localhost", "a"),
        ("x.y.three.example", ""),
    ] {
        assert_eq!(scene.shown(&server, name, &["a", "b", "c"]).await, want, "{name}");
    }
}

fn copy(from: &CertFiles, to: &CertFiles) {
    fs::copy(&from.chain, &to.chain).unwrap();
    fs::copy(&from.key, &to.key).unwrap();
}

#[tokio::test]
async fn files_that_change_are_read_again_and_bad_ones_change_nothing() {
    let scene = Scene::new();
    let [a, b] = ["a", "b"].map(|place| scene.certificate(place, &[]));
    let used = CertFiles { chain: scene.dir.path().join("used.pem"), key: scene.dir.path().join("used.key") };
    copy(&a, &used);
    let server = scene.server(std::slice::from_ref(&used));
    let shown = async || scene.shown(&server, "localhost", &["a", "b"]).await;
    assert_eq!(shown().await, "a");
    assert!(!server.reload_if_changed().unwrap());

    fs::write(&used.chain, "nonsense").unwrap();
    let error = server.reload_if_changed().unwrap_err();
    assert!(error.to_string().contains("used.pem"), "{error}");
    assert_eq!(shown().await, "a");
    // Told once, not every minute.
    assert!(!server.reload_if_changed().unwrap());

    fs::copy(&b.chain, &used.chain).unwrap();
    let error = server.reload_if_changed().unwrap_err();
    assert!(error.to_string().contains("does not belong"), "{error}");
    assert_eq!(shown().await, "a");

    copy(&b, &used);
    server.reload().unwrap();
    assert_eq!(shown().await, "b");
    let gone = CertFiles { chain: scene.dir.path().join("gone.pem"), ..used };
    assert!(server.replace(&[gone]).is_err());
    assert!(server.replace(&[]).is_err());
    assert_eq!(shown().await, "b");
}

#[tokio::test]
async fn tls_begins_in_the_middle_and_nothing_said_in_clear_gets_in() {
    let scene = Scene::new();
    let server = scene.server(&[scene.certificate("a", &[])]);
    let client = ClientTls::authenticated(&scene.roots("a"), scene.world.clock.clone()).unwrap();
    let (listener, at) = scene.listen(Tls::StartTls(server));
    let mut from = Connector::new(&scene.world).connect(at).await.unwrap();
    let served = tokio::spawn(async move {
        let mut conn = listener.accept().await.unwrap();
        let mut toy = Toy::new();
        assert!(conn.offers_tls());
        assert!(matches!(conn.drive(&mut toy).await, Driven::StartTls));
        let injected = std::mem::take(&mut toy.input);
        conn.start_tls().await.unwrap();
        assert!(!conn.offers_tls());
        toy.say("hello again");
        // The first thing heard in TLS is the first thing said in TLS.
        assert!(matches!(conn.drive(&mut toy).await, Driven::Ask(what) if what == "in private"));
        toy.end("bye");
        assert!(matches!(conn.drive(&mut toy).await, Driven::Closed(Closed::Done)));
        injected
    });
    // The client side, by hand: the injected line travels with the command.
    let mut script =
        Script { send: Some(b"tls\r\nask injected\r\n".to_vec()), want: b"go\r\n", heard: Vec::new() };
    assert!(matches!(from.drive(&mut script).await, Driven::StartTls));
    from.start_tls_client(&client, "localhost").await.unwrap();
    let mut script =
        Script { send: Some(b"ask in private\r\n".to_vec()), want: b"bye\r\n", heard: Vec::new() };
    assert!(matches!(from.drive(&mut script).await, Driven::StartTls));
    drop(from);
    assert_eq!(served.await.unwrap(), b"ask injected\r\n");
    assert_eq!(script.heard, b"hello again\r\nbye\r\n");
}

/// A client that says one thing and stops when it has heard another.
struct Script {
    send: Option<Vec<u8>>,
    want: &'static [u8],
    heard: Vec<u8>,
}

impl wire::Machine for Script {
    type Question = ();

    fn feed(&mut self, octets: &[u8]) {
        self.heard.extend_from_slice(octets);
    }

    fn step(&mut self) -> wire::Step<()> {
        match self.send.take() {
            Some(octets) => wire::Step::Write(octets),
            None if self.heard.ends_with(self.want) => wire::Step::StartTls,
            None => wire::Step::Read,
        }
    }

    fn patience(&self) -> std::time::Duration {
        std::time::Duration::from_secs(60)
    }
}

#[tokio::test]
async fn clear_text_where_tls_belongs_ends_the_connection() {
    let scene = Scene::new();
    let server = scene.server(&[scene.certificate("a", &[])]);
    let (listener, at) = scene.listen(Tls::StartTls(server));
    let mut from = Connector::new(&scene.world).connect(at).await.unwrap();
    let served = tokio::spawn(async move {
        let mut conn = listener.accept().await.unwrap();
        let mut toy = Toy::new();
        assert!(matches!(conn.drive(&mut toy).await, Driven::StartTls));
        let error = conn.start_tls().await.unwrap_err();
        assert!(matches!(error, TlsError::Handshake(_)), "{error}");
        conn.drive(&mut toy).await
    });
    let mut script = Script { send: Some(b"tls\r\n".to_vec()), want: b"go\r\n", heard: Vec::new() };
    from.drive(&mut script).await;
    script = Script { send: Some(b"ask me in clear\r\n".to_vec()), want: b"never", heard: Vec::new() };
    assert!(matches!(from.drive(&mut script).await, Driven::Closed(_)));
    assert!(matches!(served.await.unwrap(), Driven::Closed(Closed::Broken(_))));
}

#[tokio::test]
async fn no_certificate_no_promise() {
    let scene = Scene::new();
    let (listener, at) = scene.listen(Tls::None);
    let _from = Connector::new(&scene.world).connect(at).await.unwrap();
    let mut conn = listener.accept().await.unwrap();
    assert!(!conn.offers_tls());
    assert!(matches!(conn.start_tls().await, Err(TlsError::NotOffered)));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn made_certificates_are_kept_until_they_are_about_to_end() {
    let dir = TempDir::new().unwrap();
    let clock = world::fake::FakeClock::default();
    let names = ["mx.example.org".to_owned()];
    let make = || self_signed(&dir.path().join("self"), &names, &clock as &dyn Clock).unwrap();
    let demo = || demo_ca(&dir.path().join("demo"), &names, &clock as &dyn Clock).unwrap();
    let files = make();
    let ca = demo();
    let read = || {
        (
            fs::read(&files.chain).unwrap(),
            fs::read(&ca.ca).unwrap(),
            fs::read(&ca.leaf.chain).unwrap(),
            fs::read(&ca.leaf.key).unwrap(),
        )
    };
    let first = read();
    make();
    demo();
    assert_eq!(read(), first);
    for path in [&files.key, &ca.leaf.key, &dir.path().join("demo/ca.key")] {
        assert_eq!(mode(path), 0o600, "{}", path.display());
    }
    assert_eq!(mode(&dir.path().join("demo")), 0o700);
    clock.advance(std::time::Duration::from_secs(380 * 24 * 3600));
    make();
    demo();
    let second = read();
    assert_ne!(second.0, first.0);
    // Clients need not trust anew when only the leaf has ended.
    assert_eq!(second.1, first.1);
    assert_ne!(second.2, first.2);
    ServerTls::from_files(&[files, ca.leaf], std::sync::Arc::new(clock)).unwrap();
}

#[tokio::test]
async fn both_ends_have_the_same_to_bind_to() {
    let scene = Scene::new();
    let server = scene.server(&[
        scene.certificate("a", &["mx.example.org"]),
        scene.certificate("b", &["imap.example.org"]),
    ]);
    let mut seen = Vec::new();
    for (place, name) in [("a", "mx.example.org"), ("b", "imap.example.org"), ("a", "other.example.org")] {
        let client = ClientTls::opportunistic(&scene.roots(place), scene.world.clock.clone()).unwrap();
        // The second time the session is resumed, and the client knows the certificate of the first.
        for _ in 0..2 {
            let (to, from) = scene.shake(&server, &client, name).await.unwrap();
            let (ours, theirs) = (to.channel_bindings(), from.channel_bindings());
            assert_eq!(ours, theirs, "{name}");
            assert!(ours.server_end_point.is_some());
            seen.push(ours);
        }
    }
    let mut exporters: Vec<_> = seen.iter().map(|bindings| bindings.exporter.unwrap()).collect();
    exporters.sort_unstable();
    exporters.dedup();
    assert_eq!(exporters.len(), 6, "each connection has its own");
    let end_points: Vec<_> = seen.iter().map(|bindings| bindings.server_end_point.clone().unwrap()).collect();
    assert_eq!(end_points[0], end_points[1]);
    assert_eq!(end_points[0], end_points[4], "the default certificate");
    assert_ne!(end_points[0], end_points[2]);
}

#[tokio::test]
async fn a_new_certificate_is_what_is_bound_to_even_by_who_was_here() {
    let scene = Scene::new();
    let server = scene.server(&[scene.certificate("a", &["mx.example.org"])]);
    let client = ClientTls::opportunistic(&scene.roots("a"), scene.world.clock.clone()).unwrap();
    let before = scene.shake(&server, &client, "mx.example.org").await.unwrap().0.channel_bindings();
    server.replace(&[scene.certificate("b", &["mx.example.org"])]).unwrap();
    let (to, from) = scene.shake(&server, &client, "mx.example.org").await.unwrap();
    assert_eq!(to.channel_bindings(), from.channel_bindings());
    assert_ne!(to.channel_bindings().server_end_point, before.server_end_point);
}

/// One who shows the certificate of another signs with a key of his own: the mail goes, and nobody says that he was verified.
#[tokio::test]
async fn a_certificate_without_its_key_proves_nothing() {
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::{ClientHello, ResolvesServerCert};
    use rustls::sign::CertifiedKey;
    use std::sync::Arc;

    #[derive(Debug)]
    struct Shown(Arc<CertifiedKey>);

    impl ResolvesServerCert for Shown {
        fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            Some(self.0.clone())
        }
    }

    let scene = Scene::new();
    let own = scene.certificate("a", &["mx.example.org"]);
    let other = scene.certificate("b", &["mx.example.org"]);
    let client = ClientTls::opportunistic(&scene.roots("a"), scene.world.clock.clone()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        for (key, is_verified) in [(&own.key, true), (&other.key, false), (&own.key, true)] {
            let provider = Arc::new(default_provider());
            let chain = CertificateDer::pem_file_iter(&own.chain).unwrap().map(Result::unwrap).collect();
            let key = PrivateKeyDer::from_pem_file(key).unwrap();
            let key = provider.key_provider.load_private_key(key).unwrap();
            let config = rustls::ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Shown(Arc::new(CertifiedKey::new(chain, key)))));
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let at = listener.local_addr().unwrap();
            let serving = std::thread::spawn(move || {
                let mut stream = listener.accept().unwrap().0;
                let mut tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let _ = tls.complete_io(&mut stream);
                stream
            });
            let mut conn = Connector::new(&scene.world).connect(at).await.unwrap();
            conn.start_tls_client(&client, "mx.example.org").await.unwrap();
            let peer = &conn.tls().unwrap().peer;
            match peer {
                Peer::Verified => assert!(is_verified, "{version:?}"),
                Peer::Unverified { text, .. } => {
                    assert!(!is_verified && text.contains("not signed with"), "{version:?}: {text}");
                }
                Peer::None | Peer::Dane => panic!("{version:?}: {peer:?}"),
            }
            drop(conn);
            serving.join().unwrap();
        }
    }
}
