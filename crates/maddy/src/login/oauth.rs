//! Tokens of an authorization server: it is asked whether they are good (RFC 7662), and what it said is remembered for a
//! short while. What cannot be found out is refused.

use super::turns::Turns;
use super::{Judge, lock, standing};
use crate::admin::account_name;
use ::config::Section;
use auth::{
    Denied, Discovery, Identity, Mailboxes, Proof, Scope, Secret, Sending, TokenClaim, Verdict, source_of,
};
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
use tracing::{info, warn};
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
    /// What a token must have besides for mailboxes, and for sending.
    imap_scope: Option<String>,
    submission_scope: Option<String>,
    ca_file: Option<PathBuf>,
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
            .parsed(
                "introspection",
                "a URL",
                url,
                "Where the authorization server says whether a token is good (RFC 7662).",
            )
            .required();
        let client_id = section.text("client-id", "Our name for the authorization server.").required();
        let secret =
            section.path("client-secret-file", "File with our secret for it, in one line.").required();
        let secret = secret.and_then(|path| read_secret(section, path));
        let word = |text: &String| plain(text);
        let claim = section
            .text("claim", "The member of its answer that holds the account's name.")
            .check(word)
            .or("username".to_owned());
        let scope = section.text("scope", "The scope that a token must have.").check(word).optional();
        let audience =
            section.text("audience", "The audience that a token must be for.").check(word).optional();
        let imap_scope = section
            .text("imap-scope", "The scope that a token must have besides for IMAP.")
            .check(word)
            .optional();
        let submission_scope = section
            .text("submission-scope", "The scope that a token must have besides for sending mail.")
            .check(word)
            .optional();
        let ca_file = section
            .path(
                "ca-file",
                "More certificate authorities that may vouch for the authorization server (PEM).",
            )
            .optional();
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
            imap_scope,
            submission_scope,
            ca_file,
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
        // RFC 7519 §2: a NumericDate may have a fraction.
        let until = answer.get("exp").and_then(seconds);
        let is_early = answer.get("nbf").and_then(seconds).is_some_and(|nbf| nbf > now);
        if !active || is_early || until.is_some_and(|until| until <= now) {
            return Ok(Said::No);
        }
        let words = answer.get("scope").and_then(Value::as_str).unwrap_or_default();
        let has = |wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| words.split(' ').any(|word| word == wanted))
        };
        let is_for_us = self.audience.as_deref().is_none_or(|audience| match answer.get("aud") {
            Some(Value::String(one)) => one == audience,
            Some(Value::Array(many)) => many.iter().any(|one| one.as_str() == Some(audience)),
            _ => false,
        });
        if !has(&self.scope) || !is_for_us {
            return Ok(Said::No);
        }
        let mailboxes = if has(&self.imap_scope) { Mailboxes::Open } else { Mailboxes::Closed };
        let sending = if has(&self.submission_scope) { Sending::Allowed } else { Sending::Refused };
        let scope = Scope { mailboxes, sending };
        match answer.get(&self.claim).and_then(Value::as_str) {
            Some(name) if !name.is_empty() => Ok(Said::Yes { account: account_name(name), scope, until }),
            _ => Err(format!("it says nothing as `{}`", self.claim)),
        }
    }
}

/// `https`, or `http` to this machine.
fn url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if url.scheme() == net::url::Scheme::Http && !url.is_loopback() {
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
    Yes { account: String, scope: Scope, until: Option<i64> },
    No,
}

/// A number of seconds since 1970.
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| {
        let whole = value.as_f64()?.floor();
        // Far beyond any time that is meant, and far below where a float loses seconds.
        (whole.abs() < 1e15).then_some(whole as i64)
    })
}

struct Remembered {
    until: i64,
    of: Arc<OAuth>,
    said: Said,
}

/// Asks, and remembers.
pub(super) struct Introspection {
    world: World,
    key: [u8; 32],
    /// For which options it was made.
    fetcher: Mutex<Option<(Arc<OAuth>, Fetcher)>>,
    turns: Turns,
    remembered: Mutex<HashMap<[u8; 16], Remembered>>,
}

impl Introspection {
    pub(super) fn new(world: &World, key: [u8; 32]) -> Self {
        let (fetcher, remembered) = (Mutex::default(), Mutex::default());
        Self { world: world.clone(), key, fetcher, turns: Turns::of(QUESTIONS_MAX), remembered }
    }

    fn fetcher(&self, oauth: &Arc<OAuth>) -> Result<Fetcher, String> {
        let mut made = self.fetcher.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, fetcher)) = made.as_ref()
            && Arc::ptr_eq(of, oauth)
        {
            return Ok(fetcher.clone());
        }
        let roots = oauth.ca_file.clone().map_or(Roots::WebPki, Roots::WebPkiAndFile);
        let tls =
            ClientTls::authenticated(&roots, self.world.clock.clone()).map_err(|error| error.to_string())?;
        let fetcher = Fetcher::new(self.world.dns.clone(), Connector::new(&self.world), tls);
        *made = Some((oauth.clone(), fetcher.clone()));
        Ok(fetcher)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 16], Remembered>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a token from a moment ago. What was said under other options is not.
    fn known(&self, oauth: &Arc<OAuth>, tag: &[u8; 16], now: i64) -> Option<Said> {
        let remembered = self.lock();
        let one = remembered.get(tag)?;
        (now < one.until && Arc::ptr_eq(&one.of, oauth)).then(|| one.said.clone())
    }

    /// Asks the authorization server.
    async fn ask(
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
        let fetcher = self.fetcher(oauth).map_err(unavailable)?;
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

    fn remember(&self, oauth: &Arc<OAuth>, tag: [u8; 16], said: &Said, now: i64) {
        let time = i64::try_from(oauth.remember.as_secs()).unwrap_or(0);
        let end = match said {
            Said::Yes { until, .. } => until.unwrap_or(i64::MAX).min(now + time),
            Said::No => now + WRONG_TIME.min(time),
        };
        let mut remembered = self.lock();
        if remembered.len() >= REMEMBERED_MAX {
            // What is not good goes first: anybody can make more of it.
            remembered.retain(|_, one| now < one.until && one.said != Said::No);
        }
        if remembered.len() < REMEMBERED_MAX && end > now {
            remembered.insert(tag, Remembered { until: end, of: oauth.clone(), said: said.clone() });
        }
    }
}

impl Judge {
    /// Whom a token lets in (RFC 7628, RFC 7662). A token that is not good is a guess like a wrong password.
    pub(super) async fn judge_token(&self, claim: TokenClaim, from: IpAddr) -> Verdict {
        let Some(oauth) = lock(&self.memory).options.oauth.clone() else {
            return Err(Denied::WrongCredentials);
        };
        let tag = claim.tag(&self.introspection.key);
        // Without a name only the address is counted: no account is meant that others might want.
        let user = claim.user.clone().unwrap_or_else(|| self.mask.of(&format!("{tag:?}")));
        self.admit(&user, from).await?;
        let known = self.introspection.known(&oauth, &tag, self.clock.unix());
        let is_new = known.is_none();
        let said = match known {
            Some(said) => said,
            None => {
                let source = (!lock(&self.memory).options.is_exempt(from)).then(|| source_of(from));
                let said = self.introspection.ask(&oauth, &claim, tag, source, self.clock.unix()).await?;
                // Others of the same address had their answers meanwhile.
                self.admit(&user, from).await?;
                said
            }
        };
        let Said::Yes { account, scope, until } = said else {
            return Err(self.token_refused(&user, from, is_new, "it is not good").await);
        };
        if claim.user.as_ref().is_some_and(|wanted| *wanted != account) {
            return Err(self.token_refused(&user, from, is_new, "it is somebody else's").await);
        }
        let is_here = standing::is_here(&self.store, &account).await.map_err(|error| {
            warn!(%error, "a login cannot be checked");
            Denied::Unavailable(error.to_string())
        })?;
        if !is_here {
            return Err(self.token_refused(&user, from, is_new, "its owner has no account here").await);
        }
        lock(&self.memory).guesses.right(&user, from, self.now());
        Ok(Identity::new(account, scope, Proof::Token { until }))
    }

    /// What comes again is no new guess.
    async fn token_refused(&self, user: &str, from: IpAddr, is_new: bool, why: &str) -> Denied {
        let shown = self.shown(user).await;
        let now = self.now();
        let mut memory = lock(&self.memory);
        if is_new && !memory.options.is_exempt(from) {
            memory.guesses.wrong(user, from, now);
        }
        drop(memory);
        if is_new {
            self.note_guess(from);
        }
        info!(user = shown, peer = %from, why, "token refused");
        Denied::WrongCredentials
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::Logins;

    const NOW: i64 = 1_767_225_600;

    fn read(text: &str) -> Result<Option<Arc<OAuth>>, String> {
        let tree = ::config::Tree::from_text("t", text, &|_| None);
        tree.decode(Logins::decode).map(|logins| logins.oauth).map_err(|problems| problems.to_string())
    }

    fn oauth(more: &str) -> Arc<OAuth> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "s3cret:%\n").unwrap();
        let text = format!(
            "oauth {{ introspection \"http://127.0.0.1:9/introspect?x=y\"; client-id \"mail server\"; client-secret-file {:?}; {more} }}",
            file.path()
        );
        read(&text).unwrap().unwrap()
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read("").unwrap(), None);
        let usual = oauth("");
        assert_eq!(
            (usual.claim.as_str(), usual.remember, usual.timeout),
            ("username", Duration::from_secs(60), Duration::from_secs(5))
        );
        let shown = format!("{usual:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let file = "client-id \"m\"; client-secret-file \"/nowhere\"";
        for (text, want) in [
            (format!("oauth {{ introspection \"http://id.example/i\"; {file}; }}"), "https only"),
            (format!("oauth {{ introspection \"ftp://id.example/i\"; {file}; }}"), "introspection"),
            (format!("oauth {{ introspection \"https://id.example/i\"; {file}; }}"), "/nowhere"),
            ("oauth { client-id \"m\"; }".to_owned(), "introspection"),
            (
                format!("oauth {{ introspection \"https://id.example/i\"; {file}; scope \"a\\\"b\"; }}"),
                "without quotes",
            ),
            (
                format!("oauth {{ introspection \"https://id.example/i\"; {file}; remember \"2h\"; }}"),
                "remember",
            ),
        ] {
            let problems = read(&text).unwrap_err();
            assert!(problems.contains(want), "{text}: {problems}");
        }
    }

    #[test]
    fn answers_are_read_strictly() {
        let plain = oauth("");
        let strict = oauth("scope \"mail\"; audience \"us\"; claim \"email\"");
        let halves = oauth("imap-scope \"read\"; submission-scope \"send\"");
        for (oauth, body, want) in [
            (&plain, r#"{"active":true,"username":"Ann@O.ex"}"#, "ann@o.ex open send"),
            (
                &plain,
                r#"{"active":true,"username":"ann@o.ex","exp":1767225601}"#,
                "ann@o.ex open send until 1",
            ),
            (
                &plain,
                r#"{"active":true,"username":"ann@o.ex","exp":1767225601.9}"#,
                "ann@o.ex open send until 1",
            ),
            (&plain, r#"{"active":true,"username":"ann@o.ex","exp":1767225600}"#, "no"),
            (&plain, r#"{"active":true,"username":"ann@o.ex","exp":1e300}"#, "ann@o.ex open send"),
            (&plain, r#"{"active":true,"username":"ann@o.ex","nbf":1767225601}"#, "no"),
            (&plain, r#"{"active":false,"username":"ann@o.ex"}"#, "no"),
            (&plain, r#"{"active":false}"#, "no"),
            (&plain, r#"{"active":true}"#, "it says nothing as `username`"),
            (&plain, r#"{"active":true,"username":""}"#, "it says nothing as `username`"),
            (&plain, r#"{"active":true,"username":7}"#, "it says nothing as `username`"),
            (&plain, r#"{"active":"true","username":"ann@o.ex"}"#, "it does not say `active`"),
            (&plain, r#"{"username":"ann@o.ex"}"#, "it does not say `active`"),
            (&plain, "[]", "it does not say `active`"),
            (&plain, "<html>", "no JSON"),
            (&plain, "", "no JSON"),
            (
                &strict,
                r#"{"active":true,"email":"a@o.ex","scope":"openid mail","aud":"us"}"#,
                "a@o.ex open send",
            ),
            (
                &strict,
                r#"{"active":true,"email":"a@o.ex","scope":"mail","aud":["them","us"]}"#,
                "a@o.ex open send",
            ),
            (&strict, r#"{"active":true,"email":"a@o.ex","scope":"mailbox","aud":"us"}"#, "no"),
            (&strict, r#"{"active":true,"email":"a@o.ex","scope":"mail","aud":"usa"}"#, "no"),
            (&strict, r#"{"active":true,"email":"a@o.ex","scope":"mail"}"#, "no"),
            (&strict, r#"{"active":true,"email":"a@o.ex","aud":"us"}"#, "no"),
            (&halves, r#"{"active":true,"username":"a@o.ex","scope":"read"}"#, "a@o.ex open -"),
            (&halves, r#"{"active":true,"username":"a@o.ex","scope":"send"}"#, "a@o.ex closed send"),
            (&halves, r#"{"active":true,"username":"a@o.ex"}"#, "a@o.ex closed -"),
        ] {
            let got = match oauth.read(body.as_bytes(), NOW) {
                Ok(Said::No) => "no".to_owned(),
                Ok(Said::Yes { account, scope, until }) => {
                    let mailboxes = if scope.mailboxes == Mailboxes::Open { "open" } else { "closed" };
                    let sending = if scope.sending == Sending::Allowed { "send" } else { "-" };
                    let until = until.map_or(String::new(), |until| format!(" until {}", until - NOW));
                    format!("{account} {mailboxes} {sending}{until}")
                }
                Err(why) => why,
            };
            assert!(got == want || (want == "no JSON" && got.starts_with(want)), "{body}: {got}, not {want}");
        }
    }

    #[test]
    fn what_was_said_is_remembered_for_a_while_and_never_too_long() {
        let (one, other) = (oauth("remember \"60s\""), oauth("remember \"60s\""));
        let introspection = Introspection::new(&world::fake::world(1), [7; 32]);
        let yes = |until| Said::Yes { account: "a@o.ex".to_owned(), scope: Scope::ALL, until };
        for (tag, said, known_until) in [
            ([1; 16], yes(None), 60),
            ([2; 16], yes(Some(NOW + 10)), 10),
            ([3; 16], yes(Some(NOW + 1000)), 60),
            ([4; 16], Said::No, 30),
        ] {
            introspection.remember(&one, tag, &said, NOW);
            assert_eq!(introspection.known(&one, &tag, NOW + known_until - 1), Some(said));
            assert_eq!(introspection.known(&one, &tag, NOW + known_until), None);
            assert_eq!(introspection.known(&other, &tag, NOW), None, "these are other options");
        }
        let never = oauth("remember \"0s\"");
        introspection.remember(&never, [5; 16], &yes(None), NOW);
        assert_eq!(introspection.known(&never, &[5; 16], NOW), None);
        for n in 0..REMEMBERED_MAX + 10 {
            let mut tag = [9; 16];
            tag[..8].copy_from_slice(&n.to_be_bytes());
            introspection.remember(&one, tag, &Said::No, NOW);
        }
        assert!(introspection.lock().len() <= REMEMBERED_MAX);
        assert_eq!(form("a b&c%d~e"), "a%20b%26c%25d%7Ee");
    }
}
