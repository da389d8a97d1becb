//! The MTA-STS policies of others: found by their records, fetched, kept in the database and refreshed (RFC 8461).
//!
//! A policy that is kept holds until it expires, whatever becomes of its record or of the web server meanwhile: who can
//! hide both for a while must not be able to switch it off (RFC 8461 §5.1, §10.2).

use mail::Domain;
use net::{FetchError, FetchLimits, Fetcher, Request, Url};
use policy::mtasts::{self, Mode, POLICY_SIZE_MAX, StsPolicy};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use storage::{Store, StsPolicyRow};
use tracing::{debug, info, warn};
use world::{DnsError, World};

/// How long a policy may take to come (RFC 8461 §3.3 suggests a minute).
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(60);
/// How long a fetch that failed is not tried again, in seconds (RFC 8461 §3.3).
const FAILURE_KEPT: i64 = 300;
/// Most domains whose failures are remembered.
const FAILURES_MAX: usize = 1000;
/// How often a policy that is in use is looked for anew, in seconds (RFC 8461 §3.3).
const REFRESH_AFTER: i64 = 24 * 3600;
/// A policy by which no mail has gone for so long, in seconds, is left to expire.
const UNUSED_AFTER: i64 = 30 * 24 * 3600;
/// How often it is looked which policies are to be refreshed.
pub(crate) const REFRESH_PERIOD: Duration = Duration::from_secs(3600);
/// Steps in which the last use is noted, in seconds: each costs a write.
const USE_STEP: i64 = 24 * 3600;
const HTTPS: u16 = 443;

/// Why there is no policy where a record promises one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsTrouble {
    /// The web server cannot be reached, or answers with something else.
    Fetch(String),
    /// Its certificate is not good for the name (RFC 8461 §3.3).
    Certificate(String),
    /// What it sends is no policy.
    Invalid(String),
}

impl StsTrouble {
    /// What others are told of it: in words of ours, for what their servers and those on the way said is nobody else's business.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Fetch(_) => "the policy could not be fetched",
            Self::Certificate(_) => "the certificate of the web server is not good for its name",
            Self::Invalid(_) => "the policy makes no sense",
        }
    }
}

impl fmt::Display for StsTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(why) | Self::Certificate(why) => f.write_str(why),
            Self::Invalid(why) => write!(f, "the policy makes no sense: {why}"),
        }
    }
}

/// Fetches the policy of a domain: nothing but status 200 and plain text counts, redirects do not (RFC 8461 §3.3). With it
/// its text.
pub async fn fetch(fetcher: &Fetcher, domain: &Domain, port: u16) -> Result<(StsPolicy, String), StsTrouble> {
    let url = match port {
        HTTPS => mtasts::policy_url(domain),
        port => mtasts::policy_url(domain).replacen("/.well", &format!(":{port}/.well"), 1),
    };
    let failed = |why: String| StsTrouble::Fetch(format!("{url}: {why}"));
    let parsed = Url::parse(&url).map_err(|error| failed(error.to_string()))?;
    let limits = FetchLimits { time: FETCH_TIME_MAX, octets: POLICY_SIZE_MAX };
    let response = fetcher.fetch(&Request::get(parsed), limits).await.map_err(|error| match error {
        FetchError::Tls(error) => StsTrouble::Certificate(format!("{url}: {error}")),
        other => failed(other.to_string()),
    })?;
    if response.status != 200 {
        return Err(failed(format!("the web server says {}, not 200", response.status)));
    }
    match response.media_type().as_deref() {
        Some("text/plain") => {}
        other => {
            let other = other.unwrap_or("nothing");
            return Err(failed(format!("the policy is sent as {other}, not as text/plain")));
        }
    }
    let policy = StsPolicy::parse(&response.body).map_err(|error| StsTrouble::Invalid(error.to_string()))?;
    Ok((policy, String::from_utf8_lossy(&response.body).into_owned()))
}

/// A policy, as it is kept and as it is understood.
type Fetched = Result<(StsPolicyRow, StsPolicy), StsTrouble>;

/// A policy that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub policy: StsPolicy,
    pub text: String,
}

/// What is known of a domain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Looked {
    /// A policy in another mode than `none`.
    pub policy: Option<Arc<Held>>,
    /// There should be one, or a newer one.
    pub trouble: Option<StsTrouble>,
}

/// A policy is kept that still holds, and cannot be read: what it demands is not known.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub domain: Domain,
    pub why: String,
}

/// What is kept of a domain's policy.
enum Kept {
    Nothing,
    Row(StsPolicyRow, StsPolicy),
    /// It is there, but makes no sense any more; with the id that it had.
    Damaged(String),
}

impl Kept {
    fn id(&self) -> Option<&str> {
        match self {
            Self::Row(row, _) => Some(&row.version),
            Self::Nothing | Self::Damaged(_) => None,
        }
    }
}

/// All policies that are known.
pub(crate) struct StsPolicies {
    store: Store,
    world: World,
    fetcher: Fetcher,
    port: u16,
    /// Fetches that failed: the id that the record named, when, and why.
    failures: Mutex<HashMap<Domain, (String, i64, StsTrouble)>>,
    /// One fetch of a domain at a time.
    fetching: Mutex<HashMap<Domain, Arc<tokio::sync::Mutex<()>>>>,
}

impl StsPolicies {
    pub(crate) fn new(store: Store, world: World, fetcher: Fetcher, port: u16) -> Self {
        Self { store, world, fetcher, port, failures: Mutex::default(), fetching: Mutex::default() }
    }

    /// The policy that holds for a domain now; a newer one is fetched if its record names one, and so is one that was damaged.
    /// Where one is kept and cannot be had, nothing may be sent: it would be sent without the protection.
    pub(crate) async fn look(&self, domain: &Domain) -> Result<Looked, Lost> {
        if domain.literal().is_some() {
            return Ok(Looked::default());
        }
        let announced = match self.world.dns.txt(&mtasts::record_name(domain)).await {
            Ok(texts) => mtasts::record_id(&texts),
            Err(DnsError::NoName | DnsError::NoRecord | DnsError::Trouble(_)) => None,
        };
        let kept = self.kept(domain).await?;
        let wanted = match &kept {
            Kept::Damaged(id) => Some(announced.unwrap_or_else(|| id.clone())),
            kept => announced.filter(|id| kept.id() != Some(id)),
        };
        let Some(id) = wanted else { return Ok(self.held(kept, None).await) };
        match (self.renew(domain, &id).await?, kept) {
            (Ok((row, policy)), _) => Ok(self.held(Kept::Row(row, policy), None).await),
            (Err(trouble), Kept::Damaged(_)) => {
                let why = format!("it is damaged, and cannot be fetched: {trouble}");
                Err(Lost { domain: domain.clone(), why })
            }
            (Err(trouble), kept) => Ok(self.held(kept, Some(trouble)).await),
        }
    }

    async fn held(&self, kept: Kept, trouble: Option<StsTrouble>) -> Looked {
        let Kept::Row(row, policy) = kept else { return Looked { policy: None, trouble } };
        self.note_use(&row).await;
        let policy = Some(policy).filter(|policy| policy.mode != Mode::None);
        let policy = policy.map(|policy| Arc::new(Held { policy, text: row.policy }));
        Looked { policy, trouble }
    }

    /// What is kept and has not expired.
    async fn kept(&self, domain: &Domain) -> Result<Kept, Lost> {
        let row = self.store.sts_policy(domain.as_str()).await.map_err(|error| {
            warn!(%domain, %error, "the MTA-STS policy that is kept cannot be read");
            Lost { domain: domain.clone(), why: error.to_string() }
        })?;
        let Some(row) = row.filter(|row| row.expires > self.world.clock.unix()) else {
            return Ok(Kept::Nothing);
        };
        match StsPolicy::parse(row.policy.as_bytes()) {
            Ok(policy) => Ok(Kept::Row(row, policy)),
            Err(error) => {
                warn!(%domain, %error, "the MTA-STS policy that is kept is damaged; it is fetched anew");
                Ok(Kept::Damaged(row.version))
            }
        }
    }

    async fn note_use(&self, row: &StsPolicyRow) {
        let now = self.world.clock.unix();
        if row.used + USE_STEP > now {
            return;
        }
        if let Err(error) = self.store.use_sts_policy(&row.domain, now).await {
            warn!(domain = row.domain, %error, "the use of an MTA-STS policy cannot be noted");
        }
    }

    /// Fetches the policy that a record names by `id`, unless that has just failed or somebody else has done it.
    async fn renew(&self, domain: &Domain, id: &str) -> Result<Fetched, Lost> {
        let turn = lock(&self.fetching).entry(domain.clone()).or_default().clone();
        let done = {
            let _turn = turn.lock().await;
            match self.kept(domain).await {
                Ok(Kept::Row(row, policy)) if row.version == id => Ok(Ok((row, policy))),
                Ok(_) => match self.recent_failure(domain, id) {
                    Some(trouble) => Ok(Err(trouble)),
                    None => Ok(self.fetch_and_keep(domain, id).await),
                },
                Err(lost) => Err(lost),
            }
        };
        let mut fetching = lock(&self.fetching);
        // Nobody else waits for this turn: ours and the map's are the last.
        if Arc::strong_count(&turn) <= 2 {
            fetching.remove(domain);
        }
        done
    }

    async fn fetch_and_keep(&self, domain: &Domain, id: &str) -> Fetched {
        let fetched = fetch(&self.fetcher, domain, self.port).await;
        let now = self.world.clock.unix();
        let (policy, text) = match fetched {
            Ok(fetched) => fetched,
            Err(trouble) => {
                info!(%domain, id, %trouble, "the MTA-STS policy of a destination cannot be had");
                self.remember_failure(domain, id, &trouble, now);
                return Err(trouble);
            }
        };
        let life = i64::try_from(policy.max_age.as_secs()).unwrap_or(0);
        let row = StsPolicyRow {
            domain: domain.to_string(),
            version: id.to_owned(),
            policy: text,
            fetched: now,
            expires: now.saturating_add(life),
            used: now,
            tried: now,
        };
        info!(%domain, id, mode = %policy.mode, seconds = life, "the MTA-STS policy of a destination was fetched");
        if let Err(error) = self.store.keep_sts_policy(row.clone()).await {
            warn!(%domain, %error, "an MTA-STS policy cannot be kept");
        }
        Ok((row, policy))
    }

    fn recent_failure(&self, domain: &Domain, id: &str) -> Option<StsTrouble> {
        let now = self.world.clock.unix();
        let failures = lock(&self.failures);
        let (failed, since, trouble) = failures.get(domain)?;
        let is_recent = failed == id && (0..FAILURE_KEPT).contains(&(now - since));
        is_recent.then(|| trouble.clone())
    }

    fn remember_failure(&self, domain: &Domain, id: &str, trouble: &StsTrouble, now: i64) {
        let mut failures = lock(&self.failures);
        if failures.len() >= FAILURES_MAX {
            failures.retain(|_, (_, since, _)| (0..FAILURE_KEPT).contains(&(now - *since)));
        }
        if failures.len() < FAILURES_MAX {
            failures.insert(domain.clone(), (id.to_owned(), now, trouble.clone()));
        }
    }

    /// Looks for newer versions of the policies that are in use, so that none of them expires unseen (RFC 8461 §3.3).
    pub(crate) async fn refresh(&self) {
        let now = self.world.clock.unix();
        if let Err(error) = self.store.forget_expired_sts(now).await {
            warn!(%error, "MTA-STS policies that have expired cannot be let go");
        }
        let due = match self.store.sts_to_refresh(now, now - REFRESH_AFTER, now - UNUSED_AFTER).await {
            Ok(due) => due,
            Err(error) => return warn!(%error, "MTA-STS policies cannot be refreshed"),
        };
        for row in due {
            self.refresh_one(row).await;
        }
    }

    async fn refresh_one(&self, row: StsPolicyRow) {
        let Ok(domain) = Domain::parse(&row.domain) else { return };
        let announced = match self.world.dns.txt(&mtasts::record_name(&domain)).await {
            Ok(texts) => mtasts::record_id(&texts),
            Err(_) => None,
        };
        let renewed = match &announced {
            Some(id) => self.fetch_and_keep(&domain, id).await.map(drop),
            None => Err(StsTrouble::Fetch("its record is gone".to_owned())),
        };
        let Err(trouble) = renewed else { return };
        // A policy that has been withdrawn says `none` first; whoever leaves it out is to be noticed (RFC 8461 §3.3).
        match StsPolicy::parse(row.policy.as_bytes()).map(|policy| policy.mode) {
            Ok(Mode::None) => debug!(%domain, %trouble, "an MTA-STS policy in mode none is left to expire"),
            _ => {
                warn!(%domain, %trouble, until = row.expires, "an MTA-STS policy cannot be refreshed; the old one holds until it expires")
            }
        }
        if let Err(error) = self.store.try_sts_policy(&row.domain, self.world.clock.unix()).await {
            warn!(%domain, %error, "the look for a newer MTA-STS policy cannot be noted");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
