//! An authority that speaks ACME: Pebble, the test server of those who wrote the protocol.

use crate::daemon::Output;
use crate::ports::free_port;
use crate::setup::Setup;
use crate::wait::eventually;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Runs until this value goes.
pub struct Pebble {
    child: Child,
    port: u16,
    management: u16,
    ca: PathBuf,
}

/// What an authority is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Accounts {
    #[default]
    Open,
    /// Only those that are bound to an account elsewhere: `kid-1`, whose key is [`Pebble::BOUND_KEY`].
    Bound,
}

impl Pebble {
    /// The secret of the account `kid-1`.
    pub const BOUND_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

    /// An authority that asks the scene's name server, and looks at these ports for proofs.
    pub fn start(setup: &Setup, tls_port: u16, http_port: u16, accounts: Accounts) -> Self {
        Self::asking(setup, setup.names().at(), tls_port, http_port, accounts)
    }

    /// The same with another name server.
    pub fn asking(setup: &Setup, dns: SocketAddr, tls_port: u16, http_port: u16, accounts: Accounts) -> Self {
        let (port, management) = (free_port(), free_port());
        let files = setup.certificate();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": files.chain,
            "privateKey": files.key,
            "httpPort": http_port,
            "tlsPort": tls_port,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": accounts == Accounts::Bound,
            "externalAccountMACKeys": { "kid-1": Self::BOUND_KEY },
        }});
        let path = setup.dir().join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let log = File::create(setup.dir().join("pebble.log")).unwrap();
        let child = Command::new("pebble")
            .arg("-config")
            .arg(path)
            .args(["-strict", "-dnsserver", &dns.to_string()])
            // It takes its time and refuses every seventh number, so that clients learn to live with both.
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "15")
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("pebble is installed (tests/install)");
        eventually("the authority answers", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, port, management, ca: setup.ca() }
    }

    /// What stands in the configuration behind `directory` and `ca-file`.
    pub fn options(&self) -> String {
        format!("directory \"https://localhost:{}/dir\"\nca-file {:?}", self.port, self.ca)
    }

    /// Its directory, as it tells it.
    pub fn directory(&self) -> String {
        let url = format!("https://localhost:{}/dir", self.port);
        let said = Command::new("curl").args(["-sS", "--cacert"]).arg(&self.ca).arg(url).output().unwrap();
        Output::of(said).ok()
    }

    /// The root that vouches for its certificates, as PEM.
    pub fn root(&self) -> String {
        let url = format!("https://localhost:{}/roots/0", self.management);
        let said = Command::new("curl").args(["-sS", "--cacert"]).arg(&self.ca).arg(url).output().unwrap();
        Output::of(said).ok()
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
