//! One certificate from the order to the chain (RFC 8555 §7.4, §7.5).

use crate::acme::client::{Answer, Client};
use crate::acme::config::AcmeName;
use crate::acme::error::{AcmeError, shorten};
use crate::acme::jose;
use crate::acme::proof::Prover;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long the authority may take to look, and to make the certificate.
const PATIENCE: Duration = Duration::from_secs(300);
/// Pauses between questions whether it is done: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Proofs of one order. We order one name at a time.
const AUTHORIZATIONS_MAX: usize = 4;
/// Longest token of a challenge that is taken (RFC 8555 §8.1 asks for 128 bits or more).
const TOKEN_MAX: usize = 256;

#[derive(Debug, Deserialize)]
struct Order {
    status: String,
    #[serde(default)]
    authorizations: Vec<String>,
    finalize: String,
    certificate: Option<String>,
    error: Option<Reason>,
}

#[derive(Debug, Deserialize)]
struct Authorization {
    status: String,
    #[serde(default)]
    challenges: Vec<Challenge>,
}

#[derive(Debug, Deserialize)]
struct Challenge {
    r#type: String,
    url: String,
    #[serde(default)]
    token: String,
    error: Option<Reason>,
}

#[derive(Debug, Deserialize)]
struct Reason {
    #[serde(default)]
    detail: String,
}

/// Has a certificate made for a name by the request `csr` (DER). The chain as PEM.
pub(crate) async fn certificate(
    client: &mut Client,
    name: &AcmeName,
    csr: &[u8],
    replaced: Option<&str>,
    prover: &Prover<'_>,
) -> Result<String, AcmeError> {
    let answer = place_order(client, name, replaced).await?;
    let place = answer
        .location
        .clone()
        .ok_or_else(|| AcmeError::Nonsense("it does not say where the order is".to_owned()))?;
    let order: Order = answer.json()?;
    if order.authorizations.len() > AUTHORIZATIONS_MAX {
        return Err(AcmeError::Nonsense("it wants more proofs than there are names".to_owned()));
    }
    for url in &order.authorizations {
        prove(client, url, name, prover).await?;
    }
    let ready = wait(client, &place, |order: &Order| order.status != "pending").await?;
    if ready.status == "invalid" {
        return Err(no(ready.error, "the order is invalid"));
    }
    client.post(&ready.finalize, Some(&json!({ "csr": jose::encode(csr) }))).await?;
    let done =
        wait(client, &place, |order: &Order| matches!(order.status.as_str(), "valid" | "invalid")).await?;
    let Some(url) = done.certificate.filter(|_| done.status == "valid") else {
        return Err(no(done.error, "the order came to nothing"));
    };
    let chain = client.post(&url, None).await?.body;
    String::from_utf8(chain).map_err(|_| AcmeError::Nonsense("its certificate is no PEM".to_owned()))
}

/// An order, with the certificate that the new one takes the place of, where the authority wants to know (RFC 9773 §5). It may
/// not know that certificate, or have another in its place already: then it is an order like any other.
async fn place_order(
    client: &mut Client,
    name: &AcmeName,
    replaced: Option<&str>,
) -> Result<Answer, AcmeError> {
    let mut payload = json!({ "identifiers": [{ "type": "dns", "value": name.as_str() }] });
    if let Some(replaced) = replaced.filter(|_| client.suggests_renewals()) {
        payload["replaces"] = json!(replaced);
        match client.order(&payload).await {
            Err(AcmeError::Refused { retry_after: None, .. }) => {}
            other => return other,
        }
        if let Some(members) = payload.as_object_mut() {
            members.remove("replaces");
        }
    }
    client.order(&payload).await
}

async fn prove(
    client: &mut Client,
    url: &str,
    name: &AcmeName,
    prover: &Prover<'_>,
) -> Result<(), AcmeError> {
    let authorization: Authorization = client.post(url, None).await?.json()?;
    if authorization.status == "valid" {
        return Ok(());
    }
    let word = prover.kind.word();
    let challenge = authorization.challenges.into_iter().find(|one| one.r#type == word).ok_or_else(|| {
        AcmeError::Options(format!(
            "the authority does not take {word} as a proof for {name}; see `challenges`"
        ))
    })?;
    let is_letter = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
    if challenge.token.is_empty()
        || challenge.token.len() > TOKEN_MAX
        || !challenge.token.bytes().all(is_letter)
    {
        return Err(AcmeError::Nonsense("the token of its challenge is none (RFC 8555 §8.1)".to_owned()));
    }
    let authorized = client.key().authorization(&challenge.token);
    let proof = prover.stand(&authorized, &challenge.token, name).await?;
    let looked = look(client, &challenge.url, url, word).await;
    proof.remove().await;
    looked
}

/// Has the authority look, and waits for what it saw.
async fn look(
    client: &mut Client,
    challenge: &str,
    authorization: &str,
    word: &str,
) -> Result<(), AcmeError> {
    client.post(challenge, Some(&json!({}))).await?;
    let seen = wait(client, authorization, |seen: &Authorization| {
        !matches!(seen.status.as_str(), "pending" | "processing")
    })
    .await?;
    if seen.status == "valid" {
        return Ok(());
    }
    let error = seen.challenges.into_iter().find(|one| one.r#type == word).and_then(|one| one.error);
    Err(no(error, "the proof was not accepted"))
}

/// Asks until it is so.
async fn wait<T: serde::de::DeserializeOwned>(
    client: &mut Client,
    url: &str,
    is_done: impl Fn(&T) -> bool,
) -> Result<T, AcmeError> {
    let until = Instant::now() + PATIENCE;
    let mut pause = FIRST_PAUSE;
    loop {
        let answer: Answer = client.post(url, None).await?;
        let state: T = answer.json()?;
        if is_done(&state) {
            return Ok(state);
        }
        let wanted = answer.retry_after.unwrap_or(pause).clamp(FIRST_PAUSE, PAUSE_MAX);
        if Instant::now() + wanted > until {
            return Err(AcmeError::TimedOut("the authority's look"));
        }
        sleep(wanted).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

fn no(reason: Option<Reason>, otherwise: &str) -> AcmeError {
    let detail = reason.map(|reason| reason.detail).filter(|detail| !detail.is_empty());
    AcmeError::Refused {
        kind: "proof".to_owned(),
        text: shorten(detail.as_deref().unwrap_or(otherwise)),
        retry_after: None,
    }
}
