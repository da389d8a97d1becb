//! Tokens of an authorization server: it is asked whether they are good (RFC 7662), and what it said is remembered for a
//! short while. What cannot be found out is refused.

use super::turns::Turns;
use ::config::Section;
use auth::{Denied, Discovery, Secret, TokenClaim};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use net::{ClientTls, Connector, FetchLimits, Fetcher, Request, Roots, Url};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;
use world::World;

/// Longest answer of the authorization server, in octets.
const ANSWER_MAX: usize = 64 * 1024;
/// Most tokens that are remembered.
const REMEMBERED_MAX: usize = 10_000;
/// How long a token that is not good is remembered, in seconds.
const WRONG_TIME: i64 = 30;
/// Questions at the same time.
const QUESTIONS_MAX: usize = 16;
/// Longest secret of ours for the authorization server, in octets.
const SECRET_MAX: u64 = 4096;

/// Checked node `oauth`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OAuth {
    introspection: Url,
    client_id: String,
    client_secret: Secret,
    /// The claim that holds the account's name.
    claim: String,
    /// The word that a token's scope must have.
    scope: Option<String>,
    /// Whom the token must be for.
    audience: Option<String>,
    openid_configuration: Option<String>,
    timeout: Duration,
    remember: Duration,
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OAuth({})", self.introspection)
    }
}

impl OAuth {
    /// `None` where something is missing; that was reported.
    pub(super) fn decode(section: &mut Section<'_>) -> Option<Self> {
        let introspection = section
            .parsed("introspection", "a URL", url, "Where the authorization server says whether a token is good (RFC 7662).")
            .required();
        let client_id = section.text("client-id", "Our name for the authorization server.").required();
        let secret = section.path("client-secret-file", "File with our secret for it, in one line.").required();
        let secret = secret.and_then(|path| read_secret(section, path));
        let word = |text: &String| plain(text);
        let claim = section
            .text("claim", "The member of its answer that holds the account's name.")
            .check(word)
            .or("username".to_owned());
        let scope = section.text("scope", "The scope that a token must have.").check(word).optional();
        let audience = section.text("audience", "The audience that a token must be for.").check(word).optional();
        let openid_configuration = section
            .text("openid-configuration", "What clients are told of where to get a token: a URL.")
            .check(word)
            .optional();
        let timeout = section
            .duration("timeout", "How long to wait for its answer.")
            .within(Duration::from_secs(1)..=Duration::from_secs(60))
            .or(Duration::from_secs(5));
        let remember = section
            .duration("remember", "How long a good token is not asked about again.")
            .within(Duration::ZERO..=Duration::from_secs(3600))
            .or(Duration::from_secs(60));
        Some(Self {
            introspection: introspection?,
            client_id: client_id?,
            client_secret: secret?,
            claim,
            scope,
            audience,
            openid_configuration,
            timeout,
            remember,
        })
    }

    pub(super) fn discovery(&self) -> Discovery {
        Discovery { scope: self.scope.clone(), openid_configuration: self.openid_configuration.clone() }
    }

    fn request(&self, token: &Secret) -> Request {
        // Neither needs more escaping than this: tokens are made of letters that need little (RFC 6750 §2.1).
        let body = format!("token={}&token_type_hint=access_token", form(token.reveal()));
        let login = format!("{}:{}", form(&self.client_id), form(self.client_secret.reveal()));
        Request::post(self.introspection.clone(), "application/x-www-form-urlencoded", body.into_bytes())
            .field("accept", "application/json")
            .field("authorization", &format!("Basic {}", STANDARD.encode(login)))
    }

    /// What an answer says of a token (RFC 7662 §2.2).
    fn read(&self, body: &[u8], now: i64) -> Result<Said, String> {
        let answer: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
        let active = answer.get("active").and_then(Value::as_bool).ok_or("it does not say `active`")?;
        let number = |key: &str| answer.get(key).and_then(Value::as_f64);
        let until = number("exp").map(|exp| exp as i64);
        let is_early = number("nbf").is_some_and(|nbf| nbf > now as f64);
        if !active || is_early || until.is_some_and(|until| until <= now) {
            return Ok(Said::No);
        }
        let words = answer.get("scope").and_then(Value::as_str).unwrap_or_default();
        let has_scope = self.scope.as_deref().is_none_or(|scope| words.split(' ').any(|word| word == scope));
        let is_for_us = self.audience.as_deref().is_none_or(|audience| match answer.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        });
        if !has_scope || !is_for_us {
            return Ok(Said::No);
        }
        match answer.get(&self.claim).and_then(Value::as_str) {
            Some(name) if !name.is_empty() => Ok(Said::Yes { account: crate::admin::account_name(name), until }),
            _ => Err(format!("it says nothing as `{}`", self.claim)),
        }
    }
}

/// `https`, or `http` to this machine.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == net::Scheme::Http && !url.is_loopback() {
        return Err("tokens travel over https only, but on this machine itself".to_owned());
    }
    Ok(url)
}

fn read_secret(section: &mut Section<'_>, path: PathBuf) -> Option<Secret> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(&path)?.take(SECRET_MAX).read_to_string(&mut text)?;
        Ok(text)
    };
    let why = match read() {
        Ok(text) => {
            let line = text.trim_end_matches(['\r', '\n']);
            if !line.is_empty() && !line.contains(['\r', '\n']) {
                return Some(Secret::new(line.to_owned()));
            }
            "it must hold one line".to_owned()
        }
        Err(error) => error.to_string(),
    };
    let help = "put the secret into a file that only this server can read";
    section.problem(section.span(), format!("{}: {why}", path.display()), help);
    None
}

/// What may stand in a JSON text without escaping.
fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() || !text.bytes().all(|b| (0x20..0x7f).contains(&b) && !matches!(b, b'"' | b'\\')) {
        return Err("this must be printable ASCII without quotes and backslashes".to_owned());
    }
    Ok(())
}

/// As it stands in a form (RFC 6749 appendix B).
fn form(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'*') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
        out
    })
}

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Yes { account: String, until: Option<i64> },
    No,
}

/// Asks, and remembers.
pub(super) struct Introspection {
    fetcher: Result<Fetcher, String>,
    turns: Turns,
    remembered: Mutex<HashMap<[u8; 16], (i64, Said)>>,
}

impl Introspection {
    pub(super) fn new(world: &World) -> Self {
        let tls = ClientTls::authenticated(&Roots::System, world.clock.clone());
        let fetcher = tls
            .map(|tls| Fetcher::new(world.dns.clone(), Connector::new(world), tls))
            .map_err(|error| error.to_string());
        Self { fetcher, turns: Turns::of(QUESTIONS_MAX), remembered: Mutex::default() }
    }

    /// What became of earlier questions is not true under other options.
    pub(super) fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], (i64, Said)>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a token from a moment ago.
    pub(super) fn known(&self, tag: &[u8; 16], now: i64) -> Option<Said> {
        let remembered = self.lock();
        let (until, said) = remembered.get(tag)?;
        (now < *until).then(|| said.clone())
    }

    /// Asks the authorization server.
    pub(super) async fn ask(
        &self,
        oauth: &Arc<OAuth>,
        claim: &TokenClaim,
        tag: [u8; 16],
        source: Option<IpAddr>,
        now: i64,
    ) -> Result<Said, Denied> {
        let unavailable = |why: String| {
            warn!(at = %oauth.introspection, why, "the authorization server gave no answer on a token");
            Denied::Unavailable(why)
        };
        let fetcher = self.fetcher.as_ref().map_err(|why| unavailable(why.clone()))?;
        let turn = self.turns.take(source).await;
        let _turn = turn.ok_or_else(|| unavailable("too many logins at once".to_owned()))?;
        let limits = FetchLimits { time: oauth.timeout, octets: ANSWER_MAX };
        let answer = fetcher.fetch(&oauth.request(&claim.token), limits).await;
        let answer = answer.map_err(|error| unavailable(error.to_string()))?;
        if answer.status != 200 {
            return Err(unavailable(format!("it answers with status {}", answer.status)));
        }
        let said = oauth.read(&answer.body, now).map_err(unavailable)?;
        self.remember(oauth, tag, &said, now);
        Ok(said)
    }

    fn remember(&self, oauth: &OAuth, tag: [u8; 16], said: &Said, now: i64) {
        let time = i64::try_from(oauth.remember.as_secs()).unwrap_or(0);
        let end = match said {
            Said::Yes { until, .. } => until.unwrap_or(i64::MAX).min(now + time),
            Said::No => now + WRONG_TIME.min(time),
        };
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            remembered.retain(|_, (until, _)| now < *until);
        }
        if remembered.len() < REMEMBERED_MAX && end > now {
            remembered.insert(tag, (end, said.clone()));
        }
    }
}
