//! Clients show certificates of their own, and log in with them at the listeners that ask for them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use std::sync::Arc;
use tests::{Chat, Daemon, Imap, Output, PASSWORD, Setup, Smtp, free_port};

const ALICE: &str = "alice@example.org";
const BOB: &str = "bob@example.org";

struct Scene {
    daemon: Daemon,
    /// Listeners that ask for certificates.
    imaps: u16,
    submission: u16,
}

impl Scene {
    fn start() -> Self {
        let mut setup = Setup::new();
        setup.account(ALICE);
        setup.account(BOB);
        let (imaps, submission) = (free_port(), free_port());
        let asking = "client-certificates=#true";
        setup.option("imap", &format!("listen \"127.0.0.1:{imaps}\" tls=#true {asking}"));
        setup.option("submission", &format!("listen \"127.0.0.1:{submission}\" {asking}"));
        setup.config("logins { exempt \"127.0.0.0/8\"; }");
        setup.option("imap", "failure-delay \"0s\"");
        setup.option("submission", "failure-delay \"0s\"");
        Self { daemon: setup.start(), imaps, submission }
    }

    /// A key with a certificate that it signed itself.
    fn key(&self, name: &str) -> net::CertFiles {
        let dir = self.daemon.setup.dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        net::self_signed(&dir, &[name.to_owned()], &world::SystemClock).unwrap()
    }

    fn client(&self, ours: Option<&net::CertFiles>) -> Arc<ClientConfig> {
        Chat::tls_client(&self.daemon.setup.ca(), ours)
    }

    fn imap(&self, client: &Arc<ClientConfig>) -> Imap {
        Imap::begin(Chat::connect(self.imaps).into_tls_with(client))
    }

    fn certificate(&self, arguments: &[&str]) -> Output {
        self.daemon.cli(&[&["creds", "certificate"], arguments].concat())
    }
}

fn named(account: &str) -> String {
    format!("AUTHENTICATE EXTERNAL {}", STANDARD.encode(account))
}

#[test]
fn a_certificate_lets_its_owner_in() {
    let scene = Scene::start();
    let laptop = scene.key("laptop");
    let chain = laptop.chain.to_str().unwrap();
    scene.certificate(&["add", ALICE, "laptop", chain]).ok();
    scene.certificate(&["add", ALICE, "laptop", chain]).fails();
    scene.certificate(&["add", ALICE, "x", scene.daemon.setup.config_file().to_str().unwrap()]).fails();
    scene.certificate(&["add", "nobody@example.org", "x", chain]).fails();

    // The second session is resumed: nothing is shown again, and it is not forgotten who it is. TLS 1.2 does it otherwise.
    let old = Chat::tls_client_of(&scene.daemon.setup.ca(), Some(&laptop), &[&rustls::version::TLS12]);
    for client in [&scene.client(Some(&laptop)), &old] {
        for round in 0..3 {
            let mut imap = scene.imap(client);
            assert_eq!(imap.is_resumed(), round > 0);
            let offers = imap.ok("CAPABILITY").join(" ");
            assert!(offers.contains(" AUTH=EXTERNAL "), "{offers}");
            imap.ok("AUTHENTICATE EXTERNAL =");
            imap.ok("SELECT INBOX");
        }
    }
    let client = scene.client(Some(&laptop));
    let mut imap = scene.imap(&client);
    assert!(imap.no(&named(BOB)).starts_with("NO [AUTHENTICATIONFAILED]"));
    imap.ok(&named(ALICE));

    let smtp = Smtp::begin(Chat::connect(scene.submission));
    assert!(!smtp.offers.iter().any(|offer| offer.contains("EXTERNAL")), "{:?}", smtp.offers);
    let mut smtp = smtp.start_tls_with(&client);
    assert!(smtp.offers.iter().any(|offer| offer.contains(" EXTERNAL")), "{:?}", smtp.offers);
    smtp.say("AUTH EXTERNAL");
    assert_eq!(smtp.hear(), "334 ");
    smtp.say("");
    assert_eq!(smtp.hear(), "235 2.7.0 Welcome");
    smtp.command(&format!("MAIL FROM:<{ALICE}>"), "250*");

    let list = scene.certificate(&["list", ALICE]).ok();
    assert!(list.contains("laptop"), "{list}");
    scene.certificate(&["remove", ALICE, "laptop"]).ok();
    imap.wait_for("* BYE The login was taken back*");
    let mut late = scene.imap(&client);
    late.no(&named(ALICE));
    scene.certificate(&["remove", ALICE, "laptop"]).fails();
}

#[test]
fn nobody_else_comes_in() {
    let scene = Scene::start();
    let (laptop, other) = (scene.key("laptop"), scene.key("other"));
    let chain = laptop.chain.to_str().unwrap();
    scene.certificate(&["add", ALICE, "laptop", chain]).ok();

    // Another key, and no certificate at all: their owners have their passwords still.
    let mut stranger = scene.imap(&scene.client(Some(&other)));
    stranger.no("AUTHENTICATE EXTERNAL =");
    stranger.log_in(BOB, PASSWORD);
    let mut plain = scene.imap(&scene.client(None));
    assert!(plain.no("AUTHENTICATE EXTERNAL =").starts_with("NO [CANNOT]"));
    plain.log_in(ALICE, PASSWORD);

    // A listener that does not ask: not even who resumes what began at one that does is somebody there.
    let client = scene.client(Some(&laptop));
    scene.imap(&client).ok("AUTHENTICATE EXTERNAL =");
    let imaps = scene.daemon.ports().imaps;
    let mut elsewhere = Imap::begin(Chat::connect(imaps).into_tls_with(&client));
    assert!(elsewhere.no("AUTHENTICATE EXTERNAL =").starts_with("NO [CANNOT]"));
    scene.imap(&client).ok("AUTHENTICATE EXTERNAL =");

    // One key of two accounts: the client must say which.
    scene.certificate(&["add", BOB, "laptop", chain]).ok();
    let mut both = scene.imap(&client);
    both.no("AUTHENTICATE EXTERNAL =");
    both.ok(&named(BOB));
    scene.certificate(&["remove", ALICE, "laptop"]).ok();
    both.ok("NOOP");
    scene.imap(&client).ok("AUTHENTICATE EXTERNAL =");
}
