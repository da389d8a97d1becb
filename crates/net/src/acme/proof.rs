//! A proof that a name is ours, put where the authority looks, and taken away again.

use crate::acme::challenge::{Challenges, Standing};
use crate::acme::config::{AcmeName, ChallengeKind};
use crate::acme::error::AcmeError;
use crate::acme::hook::{self, Placed};
use crate::acme::jose;
use crate::dns_update::DnsUpdater;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tracing::warn;
use world::DnsName;
use world::update::Change;

/// Where a web server finds it below its directory (RFC 8555 §8.3).
const WEB_PLACE: &str = ".well-known/acme-challenge";

/// How proofs are given.
pub(crate) struct Prover<'a> {
    pub(crate) kind: ChallengeKind,
    pub(crate) challenges: &'a Challenges,
    pub(crate) hook: Option<&'a Path>,
    pub(crate) updater: Option<&'a DnsUpdater>,
    /// The directory of a web server that is not ours.
    pub(crate) web_root: Option<&'a Path>,
}

/// A proof that stands until the authority has looked.
pub(crate) enum Proof<'a> {
    /// Its end takes the answer back.
    Here(Standing),
    Hook(Placed),
    Zone(&'a DnsUpdater, DnsName, Change),
    File(PathBuf),
}

impl<'a> Prover<'a> {
    /// Puts the proof where the authority looks. `token` was checked: it is a name of a file, and nothing else.
    pub(crate) async fn stand(
        &self,
        authorization: &str,
        token: &str,
        name: &AcmeName,
    ) -> Result<Proof<'a>, AcmeError> {
        match self.kind {
            ChallengeKind::TlsAlpn => {
                Ok(Proof::Here(self.challenges.set_handshake(name.base(), authorization)?))
            }
            ChallengeKind::Http => match self.web_root {
                None => Ok(Proof::Here(self.challenges.set_page(token, authorization.to_owned()))),
                Some(root) => {
                    let failed = |error: io::Error| {
                        AcmeError::Options(format!("`web-root`: {}: {error}", root.display()))
                    };
                    Ok(Proof::File(write(root, token, authorization).map_err(failed)?))
                }
            },
            ChallengeKind::Dns => {
                let text = jose::encode(digest(&SHA256, authorization.as_bytes()).as_ref());
                let record = format!("_acme-challenge.{}", name.base());
                match (self.updater, self.hook) {
                    (Some(updater), _) => in_zone(updater, &record, &text).await,
                    (None, Some(hook)) => Ok(Proof::Hook(hook::place(hook, &record, &text).await?)),
                    (None, None) => Err(AcmeError::Options("dns-01 needs a hook or `dns-update`".to_owned())),
                }
            }
        }
    }
}

async fn in_zone<'a>(updater: &'a DnsUpdater, record: &str, text: &str) -> Result<Proof<'a>, AcmeError> {
    let failed = |error: &dyn std::fmt::Display| AcmeError::Zone(format!("{record}: {error}"));
    let name = DnsName::parse(record).map_err(|error| failed(&error))?;
    let (zone, back) = updater.place(&name, text).await.map_err(|error| failed(&error))?;
    tokio::time::sleep(updater.options().settle).await;
    Ok(Proof::Zone(updater, zone, back))
}

impl Proof<'_> {
    /// Takes the proof away. That this fails is no reason to go without a certificate.
    pub(crate) async fn remove(self) {
        match self {
            Self::Here(standing) => drop(standing),
            Self::Hook(placed) => placed.remove().await,
            Self::Zone(updater, zone, back) => {
                if let Err(error) = updater.change(&zone, &[back]).await {
                    warn!(%zone, %error, "a record of a proof stays in the DNS");
                }
            }
            Self::File(path) => {
                if let Err(error) = fs::remove_file(&path) {
                    warn!(file = %path.display(), %error, "the file of a proof stays");
                }
            }
        }
    }
}

/// A file that a web server can read, whoever it is: what this process takes away from new files (umask) it must not take
/// away here.
fn write(root: &Path, token: &str, text: &str) -> io::Result<PathBuf> {
    let mut dir = root.to_owned();
    for part in WEB_PLACE.split('/') {
        dir.push(part);
        match fs::create_dir(&dir) {
            Ok(()) => fs::set_permissions(&dir, Permissions::from_mode(0o755))?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let path = dir.join(token);
    let _ = fs::remove_file(&path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(text.as_bytes())?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    Ok(path)
}
