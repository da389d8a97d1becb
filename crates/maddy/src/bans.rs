//! Bans over a restart, and for whoever runs the server.

use crate::config::Config;
use crate::reload::Running;
use ::config::Network;
use net::{Ban, BanOptions, Bans, Stop};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;
use web::{Answer, Failure, Kind};
use world::World;

/// The daemon's operations.
pub(crate) const LIST: &str = "bans-list";
pub(crate) const ADD: &str = "bans-add";
pub(crate) const LIFT: &str = "bans-lift";
/// Name of the file in the state directory. What it says may be lost: it is no promise to anybody.
const FILE: &str = "bans.json";
/// Most octets of it that are read.
const FILE_MAX: u64 = 64 * 1024 * 1024;
/// How often what has changed is written.
const PAUSE: Duration = Duration::from_secs(60);

/// Whom not to let in.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BanAdd {
    /// An address, or a network as `192.0.2.0/24`.
    pub(crate) network: String,
    /// How long; until it is lifted, if not given.
    pub(crate) seconds: Option<u64>,
}

/// Whom to let in again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BanLift {
    /// An address, or a network as `192.0.2.0/24`.
    pub(crate) network: String,
}

/// A ban.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BanInfo {
    /// An address, or a network as `192.0.2.0/24`.
    pub(crate) network: String,
    pub(crate) why: String,
    /// When it ends, in seconds since 1970; never, if not given.
    pub(crate) until: Option<u64>,
    /// Connections that were refused since the server started.
    pub(crate) refused: u64,
}

impl From<Ban> for BanInfo {
    fn from(ban: Ban) -> Self {
        let Ban { network, why, until, refused } = ban;
        Self { network, why, until, refused }
    }
}

/// The options with those whom other options trust: they are never banned.
pub(crate) fn options(config: &Config) -> BanOptions {
    let mut options = config.bans.clone();
    let (smtp, submission) = (&config.smtp.door, &config.submission.door);
    for door in [smtp, submission] {
        options.never.extend(door.xclient_from.iter().copied());
        options.never.extend(door.listen.iter().flat_map(|entrance| entrance.listen.proxy.from.clone()));
    }
    options.never.extend(config.imap.listen.iter().flat_map(|entrance| entrance.listen.proxy.from.clone()));
    options.never.extend(config.web.listen.iter().flat_map(|entrance| entrance.listen.proxy.from.clone()));
    options.never.extend(config.smtp.relay_from.iter().copied());
    options.never.extend(config.logins.exempt.iter().copied());
    options
}

/// The bans, with those of the process before.
pub(crate) fn open(config: &Config, world: &World) -> Bans {
    let bans = Bans::new(options(config), world.clock.clone());
    let path = config.state_dir().join(FILE);
    let restored = match read(&path) {
        Ok(octets) => bans.restore(&octets),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    if let Err(error) = restored {
        warn!(path = %path.display(), error, "who was banned cannot be read: nobody is");
    }
    bans
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    File::open(path)?.take(FILE_MAX).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Writes down what changes, until the server stops.
pub(crate) async fn keep(running: Arc<Running>, mut stop: Stop) {
    let dir = running.config().state_dir().to_owned();
    loop {
        let is_last = tokio::select! {
            () = stop.wait() => true,
            () = tokio::time::sleep(PAUSE) => false,
        };
        if let Some(octets) = running.bans().changes() {
            let dir = dir.clone();
            let written = tokio::task::spawn_blocking(move || write(&dir, &octets)).await;
            if let Err(error) = written.map_err(io::Error::other).flatten() {
                warn!(%error, "who is banned cannot be written: a restart forgets it");
            }
        }
        if is_last {
            return;
        }
    }
}

/// Puts it in the place of the file whole, or not at all.
fn write(dir: &Path, octets: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{FILE}.new"));
    let mut file = File::create(&fresh)?;
    file.write_all(octets)?;
    file.sync_all()?;
    fs::rename(&fresh, dir.join(FILE))
}

/// Who is not let in.
pub(crate) fn list(bans: &Bans) -> Vec<BanInfo> {
    bans.list().into_iter().map(BanInfo::from).collect()
}

/// Does not let somebody in.
pub(crate) fn add(bans: &Bans, arguments: Value) -> Answer {
    let BanAdd { network: text, seconds } =
        serde_json::from_value(arguments).map_err(|error| bad(error.to_string()))?;
    let added = bans.add(network(&text)?, seconds.map(Duration::from_secs));
    added.map_err(|why| Failure::new(Kind::Refused, why))?;
    Ok(Value::Null)
}

/// Lets somebody in again.
pub(crate) fn lift(bans: &Bans, arguments: Value) -> Answer {
    let BanLift { network: text } =
        serde_json::from_value(arguments).map_err(|error| bad(error.to_string()))?;
    if !bans.lift(network(&text)?) {
        let why = format!("nothing is kept of {text}; `maddy bans list` shows who is banned");
        return Err(Failure::new(Kind::NotFound, why));
    }
    Ok(Value::Null)
}

fn network(text: &str) -> Result<Network, Failure> {
    Network::parse(text).map_err(|why| bad(format!("{text:?}: {why}")))
}

fn bad(why: String) -> Failure {
    Failure::new(Kind::BadRequest, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use net::config::CertificateFiles;

    #[test]
    fn whom_we_trust_is_never_banned() {
        let text = "hostname mx.example.org\ndomains example.org\ntls { self-signed; }\n\
                    smtp { listen \"127.0.0.1:25\" { proxy { from \"192.0.2.1\"; }; }; xclient-from \"192.0.2.2\"; relay-from \"192.0.2.3\" }\n\
                    logins { exempt \"192.0.2.4\" }\nbans { never \"192.0.2.5\" }";
        let tree = ::config::Tree::from_text("t", text, &|_| None);
        let config = Config::from_tree(&tree, CertificateFiles::Unread)
            .unwrap_or_else(|problems| panic!("{problems}"));
        let options = options(&config);
        for n in 1..=5 {
            let ip = format!("192.0.2.{n}").parse().unwrap();
            assert!(options.never.iter().any(|network| network.contains(ip)), "{ip}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), b"one").unwrap();
        write(dir.path(), b"two").unwrap();
        assert_eq!(read(&dir.path().join(FILE)).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
