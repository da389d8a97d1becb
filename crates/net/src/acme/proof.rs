//! A proof that a name is ours, put where the authority looks, and taken away again.

use crate::acme::challenge::{Challenges, Standing};
use crate::acme::config::{AcmeName, ChallengeKind};
use crate::acme::error::AcmeError;
use crate::acme::hook::{self, Placed};
use crate::acme::jose;
use crate::dns_update::DnsUpdater;
use aws_lc_rs::digest::{SHA256, digest};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
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
                    let path = root.join(WEB_PLACE).join(token);
                    let failed = |error: io::Error| {
                        AcmeError::Options(format!("`web-root`: {}: {error}", path.display()))
                    };
                    write(&path, authorization).map_err(failed)?;
                    Ok(Proof::File(path))
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

/// A file that a web server can read, whoever it is.
fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    let _ = fs::remove_file(path);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o644).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    // What the process takes away from new files, it must not take away here.
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
}
