//! Questions to an ACME server, each signed and with a number that is used once (RFC 8555 §6).

use crate::acme::config::ExternalAccount;
use crate::acme::error::{AcmeError, shorten};
use crate::acme::jose::{self, AccountKey};
use crate::fetch::{FetchLimits, Fetcher, Request, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;
use world::Url;

/// One question and its answer.
const LIMITS: FetchLimits = FetchLimits { time: Duration::from_secs(30), octets: ANSWER_MAX };
/// Largest answer in octets; a chain of certificates has some thousand.
pub(crate) const ANSWER_MAX: usize = 256 * 1024;
/// How often a request is sent again because its number was not liked (RFC 8555 §6.5).
const NONCE_TRIES: usize = 4;
/// Longest pause that a server may ask for. Authorities with limits by the week say so in their own time.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// Where a server wants to be asked for what (RFC 8555 §7.1.1).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
    new_order: String,
    renewal_info: Option<String>,
    #[serde(default)]
    meta: Meta,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    #[serde(default)]
    external_account_required: bool,
}

/// Why a server says no (RFC 8555 §6.7, RFC 9457).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    r#type: String,
    detail: String,
    subproblems: Vec<SubProblem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SubProblem {
    detail: String,
}

/// Speaks to one server for one account.
pub(crate) struct Client {
    fetcher: Fetcher,
    directory: Directory,
    key: AccountKey,
    /// The name of our account there; none before [`Client::register`].
    account: Option<String>,
    nonce: Option<String>,
}

/// What an answer is made of once it is no problem.
pub(crate) struct Answer {
    pub(crate) location: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, AcmeError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            AcmeError::Nonsense(shorten(&format!("its answer cannot be understood: {error}")))
        })
    }
}

impl Client {
    /// Reads the directory.
    pub(crate) async fn open(
        fetcher: Fetcher,
        directory: &Url,
        key: AccountKey,
        account: Option<String>,
    ) -> Result<Self, AcmeError> {
        let response = fetcher.fetch(&Request::get(directory.clone()), LIMITS).await?;
        let answer = understand(&response)?;
        Ok(Self { fetcher, directory: answer.json()?, key, account, nonce: None })
    }

    pub(crate) fn key(&self) -> &AccountKey {
        &self.key
    }

    /// The account, made if the server does not know our key yet; its name (RFC 8555 §7.3).
    pub(crate) async fn register(
        &mut self,
        contact: Option<&str>,
        external: Option<&ExternalAccount>,
    ) -> Result<String, AcmeError> {
        let url = self.directory.new_account.clone();
        let mut payload = json!({ "termsOfServiceAgreed": true });
        if let Some(contact) = contact {
            payload["contact"] = json!([format!("mailto:{contact}")]);
        }
        match external {
            Some(external) => {
                payload["externalAccountBinding"] =
                    jose::binding(&self.key, &external.id, external.key.reveal(), &url);
            }
            None if self.directory.meta.external_account_required => {
                return Err(AcmeError::Options(
                    "this authority takes only accounts that are bound to one that you have there: write \
                     `external-account` with the id and the key that it gives you"
                        .to_owned(),
                ));
            }
            None => {}
        }
        self.account = None;
        let answer = self.post(&url, Some(&payload)).await?;
        let name = answer
            .location
            .ok_or_else(|| AcmeError::Nonsense("it does not say where our account is".to_owned()))?;
        self.account = Some(name.clone());
        Ok(name)
    }

    /// Whether it says when it wants certificates to be renewed (RFC 9773 §4.1).
    pub(crate) fn suggests_renewals(&self) -> bool {
        self.directory.renewal_info.is_some()
    }

    /// A new order; its answer holds the place of the order.
    pub(crate) async fn order(&mut self, payload: &Value) -> Result<Answer, AcmeError> {
        let url = self.directory.new_order.clone();
        self.post(&url, Some(payload)).await
    }

    /// Asks with a signature. Without a payload it is a look (RFC 8555 §6.3).
    pub(crate) async fn post(&mut self, url: &str, payload: Option<&Value>) -> Result<Answer, AcmeError> {
        let parsed = Url::parse(url)
            .map_err(|error| AcmeError::Nonsense(shorten(&format!("it sends us to {url:?}: {error}"))))?;
        for _ in 1..NONCE_TRIES {
            match self.try_post(&parsed, url, payload).await {
                Err(AcmeError::Refused { kind, .. }) if kind == "badNonce" => {}
                other => return other,
            }
        }
        self.try_post(&parsed, url, payload).await
    }

    async fn try_post(&mut self, at: &Url, url: &str, payload: Option<&Value>) -> Result<Answer, AcmeError> {
        let nonce = match self.nonce.take() {
            Some(nonce) => nonce,
            None => self.fresh_nonce().await?,
        };
        let mut header = json!({ "alg": "ES256", "nonce": nonce, "url": url });
        match &self.account {
            Some(account) => header["kid"] = json!(account),
            None => header["jwk"] = self.key.jwk(),
        }
        let body = self.key.sign(&header, payload).map_err(|_| AcmeError::Key)?;
        let request = Request::post(at.clone(), "application/jose+json", body.to_string().into_bytes());
        let response = self.fetcher.fetch(&request, LIMITS).await?;
        self.nonce = response.field("replay-nonce").map(str::to_owned);
        understand(&response)
    }

    async fn fresh_nonce(&self) -> Result<String, AcmeError> {
        let url = Url::parse(&self.directory.new_nonce)
            .map_err(|error| AcmeError::Nonsense(format!("its newNonce is no URL: {error}")))?;
        let response = self.fetcher.fetch(&Request::get(url), LIMITS).await?;
        let nonce = response.field("replay-nonce").map(str::to_owned);
        nonce.ok_or_else(|| AcmeError::Nonsense("it gives no number to sign with (Replay-Nonce)".to_owned()))
    }
}

fn understand(response: &Response) -> Result<Answer, AcmeError> {
    let retry_after = response
        .field("retry-after")
        .and_then(|text| text.trim().parse().ok())
        .map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
    if (200..300).contains(&response.status) {
        let location = response.field("location").map(str::to_owned);
        return Ok(Answer { location, retry_after, body: response.body.clone() });
    }
    let problem: Problem = serde_json::from_slice(&response.body).unwrap_or_default();
    let kind =
        problem.r#type.strip_prefix("urn:ietf:params:acme:error:").unwrap_or(&problem.r#type).to_owned();
    let details = problem.subproblems.into_iter().map(|sub| sub.detail);
    let text: Vec<String> =
        std::iter::once(problem.detail).chain(details).filter(|text| !text.is_empty()).collect();
    let text = if text.is_empty() { format!("status {}", response.status) } else { text.join("; ") };
    Err(AcmeError::Refused { kind: shorten(&kind), text: shorten(&text), retry_after })
}
