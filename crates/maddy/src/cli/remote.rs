//! A server elsewhere, whose control port (`control { listen … }`) is asked over TCP with a token.

use crate::cli::Trouble;
use crate::cli::args::Global;
use auth::Secret;
use net::{ClientTls, Connector, FetchLimits, Fetcher, Request, Roots, Url};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use web::{BODY_MAX, Failure};
use world::DnsOptions;

/// Longest wait for the answer to one operation.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

/// The server that `--control` names.
pub(crate) struct Remote {
    url: Url,
    token: Secret,
    fetcher: Fetcher,
}

impl Remote {
    /// `None` if none is named.
    pub(crate) fn named(global: &Global) -> Result<Option<Self>, Trouble> {
        let Some(text) = &global.control else { return Ok(None) };
        let bad = |why: String| Trouble::usage(format!("--control {text}: {why}"));
        if global.state_dir.is_some() {
            return Err(bad("this does not go together with --state-dir".to_owned()));
        }
        let base = text.trim_end_matches('/');
        let url = Url::parse(base).map_err(|error| bad(error.to_string()))?;
        let file = global.control_token.as_deref().ok_or_else(|| {
            bad("name the file with its token: --control-token FILE, or $MADDY_CONTROL_TOKEN".to_owned())
        })?;
        let token = read_token(file)?;
        let world = world::system::system(&DnsOptions::default()).map_err(bad)?;
        let roots = global.control_ca.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
        let tls =
            ClientTls::authenticated(&roots, world.clock.clone()).map_err(|error| bad(error.to_string()))?;
        let fetcher = Fetcher::new(world.dns.clone(), Connector::new(&world), tls);
        if url.scheme() == net::url::Scheme::Http && !is_here(&url) {
            return Err(bad("the token would go over the network in clear: use https".to_owned()));
        }
        Ok(Some(Self { url, token, fetcher }))
    }

    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Has it carry out an operation.
    pub(crate) async fn call(&self, operation: &str, arguments: &Value) -> Result<Value, Trouble> {
        let shown = self.url.to_string();
        let base = shown.trim_end_matches('/');
        let url =
            Url::parse(&format!("{base}/v1/{operation}")).map_err(|error| Trouble::new(error.to_string()))?;
        let request = Request::post(url, "application/json", arguments.to_string().into_bytes())
            .field("authorization", &format!("Bearer {}", self.token.reveal()));
        let limits = FetchLimits { time: ANSWER_TIMEOUT, octets: BODY_MAX };
        let unreachable = |why: String| Trouble::new(format!("the server at {base} cannot be asked: {why}"));
        let response =
            self.fetcher.fetch(&request, limits).await.map_err(|error| unreachable(error.to_string()))?;
        if response.status == 200 {
            return serde_json::from_slice(&response.body).map_err(|error| unreachable(error.to_string()));
        }
        match serde_json::from_slice::<Failure>(&response.body) {
            Ok(failure) => Err(failure.into()),
            Err(_) => Err(unreachable(format!("it answers {}", response.status))),
        }
    }
}

/// Whether the port is one of this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        net::url::Host::Address(ip) => ip.is_loopback(),
        net::url::Host::Name(name) => name.as_str() == "localhost",
    }
}

fn read_token(file: &Path) -> Result<Secret, Trouble> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Trouble::usage(format!("the token file {} cannot be read: {error}", file.display()))
    })?;
    Ok(Secret::new(text.trim_end().to_owned()))
}
