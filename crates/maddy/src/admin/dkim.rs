//! The signing keys, as operations. They need the configuration, which names domains and directory, and so are no
//! operations on a store: the daemon carries them out with its own, the command line with the file.

use policy::dkim::{Haste, KeyChange, KeyError, KeyInfo, Keyring};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use web::{Failure, Kind};

/// Name of the operation on the control socket.
pub(crate) const DKIM: &str = "dkim";

/// What is asked for.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub(crate) enum DkimCall {
    List,
    /// Keys for the next rotation; of all domains, if none is named.
    Generate {
        domain: Option<String>,
    },
    /// New keys sign as soon as the DNS shows their records.
    Rotate {
        domain: Option<String>,
        /// At the first look that shows them.
        at_once: bool,
    },
    Retire {
        domain: String,
        selector: String,
    },
}

/// A key, or what has happened to it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct KeyLine {
    pub(crate) domain: String,
    pub(crate) selector: String,
    /// rsa or ed25519.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// prepared, waiting, seen, signing, retiring or retired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stage: Option<String>,
    /// When it came into this stage, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<i64>,
    /// What has happened, as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change: Option<String>,
    /// What has to stand in the DNS; of a retired key what may stand there.
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) zone: String,
}

impl KeyLine {
    /// `None` for a key that is still to be made.
    fn of(key: KeyInfo) -> Option<Self> {
        let record = key.record?;
        Some(Self {
            domain: key.domain.to_string(),
            selector: key.selector,
            kind: Some(key.kind.word().to_owned()),
            stage: Some(key.stage.word().to_owned()),
            since: Some(key.since),
            change: None,
            zone: record.zone_line(),
            name: record.name,
            text: record.text,
        })
    }

    fn changed(change: &KeyChange) -> Self {
        Self {
            domain: change.domain.to_string(),
            selector: change.selector.clone(),
            kind: None,
            stage: None,
            since: None,
            change: Some(change.to_string()),
            zone: change.record.zone_line(),
            name: change.record.name.clone(),
            text: change.record.text.clone(),
        }
    }
}

/// What came of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DkimAnswer {
    pub(crate) lines: Vec<KeyLine>,
    /// Keys that the configuration asks for and that are not there yet, as `domain selector`.
    pub(crate) missing: Vec<String>,
}

/// Carries an operation out. Gives the changes, for the log, beside the answer.
pub(crate) async fn carry_out(
    call: DkimCall,
    keyring: &Keyring,
) -> Result<(DkimAnswer, Vec<KeyChange>), Failure> {
    let mut changes = Vec::new();
    match call {
        DkimCall::List => return list(keyring).await.map(|answer| (answer, changes)),
        DkimCall::Generate { domain } => {
            for domain in domains(keyring, domain.as_deref())? {
                let keyring = keyring.clone();
                changes.extend(blocking(move || keyring.prepare(&domain)).await?);
            }
        }
        DkimCall::Rotate { domain, at_once } => {
            let haste = if at_once { Haste::AtOnce } else { Haste::Settled };
            for domain in domains(keyring, domain.as_deref())? {
                changes.extend(keyring.rotate(&domain, haste).await.map_err(failure)?);
            }
        }
        DkimCall::Retire { domain, selector } => {
            for domain in domains(keyring, Some(&domain))? {
                let (keyring, selector) = (keyring.clone(), selector.clone());
                changes.extend(blocking(move || keyring.retire(&domain, &selector)).await?);
            }
        }
    }
    let lines = changes.iter().map(KeyLine::changed).collect();
    Ok((DkimAnswer { lines, missing: Vec::new() }, changes))
}

async fn list(keyring: &Keyring) -> Result<DkimAnswer, Failure> {
    let keyring = keyring.clone();
    let keys = blocking(move || keyring.list()).await?;
    let absent = keys.iter().filter(|key| key.record.is_none());
    let missing = absent.map(|key| format!("{} {}", key.domain, key.selector)).collect();
    Ok(DkimAnswer { lines: keys.into_iter().filter_map(KeyLine::of).collect(), missing })
}

/// The domains that are meant: the one that is named, or all.
fn domains(keyring: &Keyring, named: Option<&str>) -> Result<Vec<mail::Domain>, Failure> {
    let Some(named) = named else {
        let signed = keyring.domains.iter().filter(|domain| domain.literal().is_none());
        return Ok(signed.cloned().collect());
    };
    let domain = mail::Domain::parse(named);
    domain.map(|domain| vec![domain]).map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyError> + Send + 'static,
) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Failure::new(Kind::Broken, error.to_string()))?.map_err(failure)
}

fn failure(error: KeyError) -> Failure {
    let kind = match error {
        KeyError::Refused(_) => Kind::Refused,
        KeyError::File(..) | KeyError::Content(..) | KeyError::Generate => Kind::Unavailable,
    };
    Failure::new(kind, error.to_string())
}
