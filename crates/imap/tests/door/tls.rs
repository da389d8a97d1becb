//! STARTTLS, and TLS from the first octet, with the sockets of `net` on both sides.

use crate::chat::Stage;
use net::{ClientTls, Conn, Connector, Driven, Roots};
use std::time::Duration;
use wire::{Machine, Step};

/// A client that sends what it is given and waits for a line that begins with `wanted`.
#[derive(Default)]
struct Lines {
    out: Vec<u8>,
    heard: Vec<u8>,
    wanted: String,
}

impl Machine for Lines {
    type Question = String;

    fn feed(&mut self, octets: &[u8]) {
        self.heard.extend_from_slice(octets);
    }

    fn step(&mut self) -> Step<String> {
        if !self.out.is_empty() {
            return Step::Write(std::mem::take(&mut self.out));
        }
        let text = String::from_utf8_lossy(&self.heard).into_owned();
        let found = text.ends_with("\r\n") && text.lines().any(|line| line.starts_with(&self.wanted));
        if !found {
            return Step::Read;
        }
        self.heard.clear();
        Step::Ask(text)
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(20)
    }
}

impl Lines {
    async fn say(&mut self, conn: &mut Conn, line: &str, wanted: &str) -> String {
        wanted.clone_into(&mut self.wanted);
        self.out = line.as_bytes().to_vec();
        match conn.drive(self).await {
            Driven::Ask(text) => text,
            other => panic!("{line:?}: {other:?}, heard {:?}", String::from_utf8_lossy(&self.heard)),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_need_tls_and_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let world = world::fake::world(7);
    let demo = net::demo_ca(dir.path(), &[], &*world.clock).unwrap();
    let stage = Stage::with_tls(&demo.leaf).await;
    let tls = ClientTls::authenticated(&Roots::File(demo.ca), world.clock.clone()).unwrap();
    let mut conn = Connector::new(&world).connect(stage.address).await.unwrap();
    let mut client = Lines::default();
    let greeting = client.say(&mut conn, "", "* OK").await;
    assert!(greeting.contains(" STARTTLS LOGINDISABLED]"), "{greeting}");
    let refused = client.say(&mut conn, "a LOGIN alice@example.org secret\r\n", "a ").await;
    assert!(refused.starts_with("a NO [PRIVACYREQUIRED]"), "{refused}");
    client.say(&mut conn, "b STARTTLS\r\n", "b OK").await;
    conn.start_tls_client(&tls, "localhost").await.unwrap();
    let capability = client.say(&mut conn, "c CAPABILITY\r\n", "c OK").await;
    assert!(capability.contains(" AUTH=SCRAM-SHA-256-PLUS AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1-PLUS AUTH=SCRAM-SHA-1 AUTH=OAUTHBEARER AUTH=XOAUTH2 AUTH=PLAIN AUTH=LOGIN"), "{capability}");
    assert!(!capability.contains("STARTTLS"), "{capability}");
    client.say(&mut conn, "d LOGIN alice@example.org secret\r\n", "d OK").await;
}
