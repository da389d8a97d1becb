//! `tls`: the certificates that come from an authority.

use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use clap::Subcommand;
use net::{KeeperHandle, NameState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use web::{Answer, Failure, Kind};

/// The daemon's operations: without one nobody asks an authority.
pub(crate) const TLS_LIST: &str = "tls-list";
pub(crate) const TLS_RENEW: &str = "tls-renew";
pub(crate) const TLS_ROLLOVER: &str = "tls-rollover";

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// List the certificates that come from an authority (ACME), and how it stands with each
    List,
    /// Have a new certificate asked for now
    Renew {
        /// The name it is for; all, if not given
        name: Option<String>,
    },
    /// Make the key that takes the place of the present one; it is used when the DNS has shown its TLSA record for a while
    Rollover {
        /// The name it is for; all, if not given
        name: Option<String>,
    },
}

/// A certificate that comes from an authority, and how it stands with it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct CertificateLine {
    name: String,
    /// Seconds since 1970.
    until: Option<i64>,
    next: i64,
    failures: u32,
    error: Option<String>,
}

impl From<NameState> for CertificateLine {
    fn from(state: NameState) -> Self {
        let NameState { name, until, next, failures, error } = state;
        Self { name: name.to_string(), until, next, failures, error }
    }
}

/// Has a new certificate asked for now.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct TlsRenew {
    /// The name it is for; all, if not given.
    #[serde(default)]
    name: Option<String>,
}

/// The daemon's side of the two.
pub(crate) fn answer_list(keeper: &KeeperHandle) -> Answer {
    let lines: Vec<CertificateLine> = keeper.states().into_iter().map(CertificateLine::from).collect();
    serde_json::to_value(lines).map_err(|error| Failure::new(Kind::Broken, error.to_string()))
}

pub(crate) fn answer_renew(keeper: &KeeperHandle, arguments: Value) -> Answer {
    let renew: TlsRenew = serde_json::from_value(arguments)
        .map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))?;
    let name = renew.name.as_deref();
    if keeper.renew(name) {
        return Ok(Value::Null);
    }
    let what =
        name.map_or("no certificate comes".to_owned(), |name| format!("no certificate for {name} comes"));
    Err(Failure::new(
        Kind::NotFound,
        format!("{what} from an authority; `maddy tls list` shows those that do"),
    ))
}

/// The next key of a name, by the record that pins it.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct NextKey {
    name: String,
    /// A line of a zone file.
    record: String,
}

/// Makes the next key of certificates, and says what to publish of it (TLSA).
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct TlsRollover {
    /// The name of the certificate; all, if not given.
    #[serde(default)]
    name: Option<String>,
}

pub(crate) async fn answer_rollover(keeper: KeeperHandle, arguments: Value) -> Answer {
    let rollover: TlsRollover = serde_json::from_value(arguments)
        .map_err(|error| Failure::new(Kind::BadRequest, error.to_string()))?;
    let name = rollover.name;
    let broken = |error: &dyn std::fmt::Display| Failure::new(Kind::Unavailable, error.to_string());
    let wanted = name.clone();
    let made = tokio::task::spawn_blocking(move || keeper.prepare_next_key(wanted.as_deref())).await;
    let Some(made) = made.map_err(|error| broken(&error))?.map_err(|error| broken(&error))? else {
        let what = name.map_or("no certificate".to_owned(), |name| format!("no certificate for {name}"));
        let what = format!("{what} comes from an authority; `maddy tls list` shows those that do");
        return Err(Failure::new(Kind::NotFound, what));
    };
    let line = |(name, digest): (net::AcmeName, [u8; 32])| {
        let hex: String = digest.iter().map(|octet| format!("{octet:02x}")).collect();
        NextKey { record: format!("_25._tcp.{}. IN TLSA 3 1 1 {hex}", name.base()), name: name.to_string() }
    };
    let lines: Vec<NextKey> = made.into_iter().map(line).collect();
    serde_json::to_value(lines).map_err(|error| broken(&error))
}

pub(crate) async fn run(command: &TlsCommand, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| match command {
        TlsCommand::List => {
            let answer = server.ask_daemon(TLS_LIST, &Value::Null).await?;
            let list: Vec<CertificateLine> =
                serde_json::from_value(answer).map_err(|error| Trouble::new(error.to_string()))?;
            print(&list, global)
        }
        TlsCommand::Renew { name } => {
            server.ask_daemon(TLS_RENEW, &json!({ "name": name })).await?;
            let what = name.as_deref().unwrap_or("all names");
            let sentence =
                format!("a new certificate is asked for: {what}; `maddy tls list` shows what becomes of it");
            output::done(global, &json!({ "asked": name }), &sentence)
        }
        TlsCommand::Rollover { name } => {
            let answer = server.ask_daemon(TLS_ROLLOVER, &json!({ "name": name })).await?;
            let list: Vec<NextKey> =
                serde_json::from_value(answer).map_err(|error| Trouble::new(error.to_string()))?;
            if global.json {
                return output::json(&list);
            }
            for one in &list {
                output::line(&one.record)?;
            }
            output::line(
                "If the zone has TLSA records, put those of mail hosts beside the present ones (`maddy dns apply` does it). Each key is \
                 used when the DNS has shown its record for a while; the old record may go after that.",
            )
        }
    })
    .await
}

fn print(list: &[CertificateLine], global: &Global) -> Result<(), Trouble> {
    let row = |line: &CertificateLine| {
        vec![
            line.name.clone(),
            line.until.map_or("none yet".to_owned(), output::time),
            if line.next == 0 { "now".to_owned() } else { output::time(line.next) },
            line.error.as_deref().map_or(String::new(), output::printable),
        ]
    };
    let empty = "no certificate comes from an authority; see `tls { acme; }` in docs/certificates.md";
    output::list(global, list, &["name", "good until", "asked for", "trouble"], row, empty)
}
