//! `maddy demo`: a complete private mail server on this machine, without root, DNS or a configuration.
//!
//! It is the ordinary daemon with a configuration that is written here, and with a world without DNS.

mod accounts;
mod panel;

use crate::cli::args::{self, Global};
use crate::cli::{Trouble, speak};
use crate::config::{Config, Format, Level, Log};
use crate::daemon::{Daemon, Means, StartError};
use crate::listeners::BindError;
use crate::logging::Logging;
use crate::run::{Order, Signals, on_threads, stop};
use accounts::Account;
use guard::{Needs, Programs, Sandbox};
use net::config::CertificateFiles;
use panel::{Panel, Ports};
use std::io;
use std::path::{Path, PathBuf};
use world::World;

/// Where the demo keeps its state if nothing else is said.
const STATE_DIR: &str = "maddy-demo";
/// The only domain it delivers to.
const DOMAIN: &str = "demo.test";
/// Names that the certificate is good for, beside 127.0.0.1 and ::1.
const NAMES: [&str; 1] = ["localhost"];
/// The configuration it runs by, kept for people to read and for other commands to use.
const CONFIG_FILE: &str = "maddy.conf";

pub(crate) fn run(demo: &args::Demo, global: &Global) -> Result<(), Trouble> {
    let dir = global.state_dir.clone().unwrap_or_else(|| PathBuf::from(STATE_DIR));
    guard::make_directory(&dir, None)
        .map_err(|error| Trouble::new(format!("the directory {} cannot be made: {error}", dir.display())))?;
    let dir = dir.canonicalize()?;
    hold(&dir)?;
    let log = Log { level: Level::Warn, format: Format::Text };
    let (logging, _tail) = Logging::start(log).map_err(Trouble::new)?;
    on_threads(serve(demo.clone(), dir, global.json, logging))
}

/// The demo is whoever starts it, and cannot do more than a mail server must.
fn hold(dir: &Path) -> Result<(), Trouble> {
    let (_, is_root) = guard::present();
    let (read, write) = (Vec::new(), vec![dir.to_owned()]);
    let needs = Needs { read, write, programs: Programs::None, run: Vec::new(), is_root };
    guard::confine(&Sandbox::default(), &needs).map_err(|error| Trouble::new(error.to_string()))?;
    Ok(())
}

async fn serve(demo: args::Demo, dir: PathBuf, json: bool, logging: Logging) -> Result<(), Trouble> {
    let mut signals = Signals::new()?;
    let world = world::system::without_dns();
    let ports = Ports::from_base(demo.port_base);
    let (config, ca) = prepare(&demo, &dir, &ports, &world)?;
    let daemon = Daemon::start(config, world.clone(), Means::default())
        .await
        .map_err(|error| explain(&error, &dir, &demo))?;
    let accounts = match accounts::ready(daemon.store(), &world, &dir, DOMAIN).await {
        Ok(accounts) => accounts,
        Err(trouble) => {
            daemon.stop().await;
            return Err(trouble);
        }
    };
    let panel = Panel { domain: DOMAIN, accounts, ca, ports };
    let text = if json { panel.json()? } else { panel.text(&dir) };
    // On a thread where waiting harms nobody: the server answers already.
    let _ = tokio::task::spawn_blocking(move || speak(io::stdout(), text)).await;
    logging.change(Log { level: Level::Info, format: Format::Text });
    while signals.next().await != Order::Stop {}
    stop(daemon, signals).await
}

/// Makes the certificates, and the configuration from its text as any other.
fn prepare(
    demo: &args::Demo,
    dir: &Path,
    ports: &Ports,
    world: &World,
) -> Result<(Config, PathBuf), Trouble> {
    let names = NAMES.map(str::to_owned);
    let ca = net::demo_ca(&dir.join("tls"), &names, world.clock.as_ref())
        .map_err(|error| Trouble::new(format!("no certificate can be made: {error}")))?;
    let text = config_text(demo, dir, ports, &ca.leaf);
    let path = dir.join(CONFIG_FILE);
    std::fs::write(&path, &text).map_err(|error| Trouble::new(format!("{}: {error}", path.display())))?;
    let tree = ::config::Tree::from_text(&path.display().to_string(), &text, &|_| None);
    Ok((Config::from_tree(&tree, CertificateFiles::Examined)?, ca.ca))
}

fn config_text(demo: &args::Demo, dir: &Path, ports: &Ports, leaf: &net::CertFiles) -> String {
    let quoted = |path: &Path| ::config::quote(&path.display().to_string());
    let insecure = demo.insecure_auth;
    let Ports { smtp, submission, submissions, imap, imaps } = ports;
    format!(
        "\
// Written by `maddy demo` at each start; changes to it are lost. It serves other commands, like
//   maddy --config {shown} account list
hostname \"localhost\"
domains \"{DOMAIN}\"
state-dir {state}
tls {{ certificate {chain} key={key}; }}
log level=\"info\"
smtp {{
    listen \"127.0.0.1:{smtp}\"
    max-messages 1000000
    max-refusals 100000
}}
submission {{
    listen \"127.0.0.1:{submission}\"
    listen \"127.0.0.1:{submissions}\" tls=#true
    insecure-auth #{insecure}
    max-messages 1000000
    max-refusals 100000
    login-failures 100
    failure-delay \"0s\"
}}
imap {{
    listen \"127.0.0.1:{imap}\"
    listen \"127.0.0.1:{imaps}\" tls=#true
    insecure-auth #{insecure}
    connections-per-account 10000
    login-failures 100
    failure-delay \"0s\"
}}
// There is no DNS here, which the checks would ask, and nobody to read our signatures.
checks {{ exempt \"127.0.0.0/8\"; }}
dkim {{ enabled #false; }}
delivery {{ remote #false; }}
limits {{ exempt-loopback #true; }}
stop-timeout \"3s\"
",
        shown = dir.join(CONFIG_FILE).display(),
        state = quoted(dir),
        chain = quoted(&leaf.chain),
        key = quoted(&leaf.key),
    )
}

/// A start that failed, in the words of the demo.
fn explain(error: &StartError, dir: &Path, demo: &args::Demo) -> Trouble {
    match error {
        StartError::Bind(BindError { listening, error }) if error.kind() == io::ErrorKind::AddrInUse => {
            let port = listening.address.port();
            let other = if demo.port_base <= 50_000 { demo.port_base + 10_000 } else { 2000 };
            Trouble::new(format!(
                "port {port} is taken by another program: stop it, or choose other ports with --port-base {other}"
            ))
        }
        StartError::InUse => Trouble::new(format!(
            "a demo runs already on {}: stop it, or name another place with --state-dir and other ports with --port-base",
            dir.display()
        )),
        other => Trouble::new(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_sound() {
        let demo = args::Demo { port_base: 2000, insecure_auth: true };
        let leaf = net::CertFiles { chain: PathBuf::from("/a \"b\"/c.pem"), key: PathBuf::from("/k.pem") };
        let text = config_text(&demo, Path::new("/state"), &Ports::from_base(2000), &leaf);
        let tree = ::config::Tree::from_text("demo", &text, &|_| None);
        let config = Config::from_tree(&tree, CertificateFiles::Unread).unwrap();
        assert_eq!(config.imap.insecure_auth, imap::InsecureAuth::Allowed);
        assert_eq!(config.tls, net::TlsOptions::Files(vec![leaf]));
        let addresses: Vec<u16> =
            crate::listeners::wanted(&config).iter().map(|one| one.address.port()).collect();
        assert_eq!(addresses, [2025, 2587, 2465, 2143, 2993]);
    }
}
