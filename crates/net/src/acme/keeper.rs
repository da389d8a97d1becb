//! Sees to it that there are certificates: asks for those that are missing, and again well before they end.

use crate::acme::challenge::Challenges;
use crate::acme::client::Client;
use crate::acme::config::{AcmeName, AcmeOptions, ChallengeKind};
use crate::acme::error::AcmeError;
use crate::acme::files::AcmeFiles;
use crate::acme::look::Looks;
use crate::acme::order;
use crate::acme::proof::Prover;
use crate::acme::renewal_info;
use crate::certificate_files::{CertFiles, certificate_facts, key_digest};
use crate::client_tls::{ClientTls, Roots};
use crate::connect::Connector;
use crate::dns_update::{DnsUpdateOptions, DnsUpdater};
use crate::fetch::Fetcher;
use crate::server_tls::ServerTls;
use crate::stop::Stop;
use crate::tls::TlsError;
use mail::Domain;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tracing::{debug, info, warn};
use world::{Clock, DnsError, World};

/// Pause after the first failure; doubled after each further one.
const FIRST_BACK_OFF: Duration = Duration::from_secs(10 * 60);
/// Longest pause after failures.
const BACK_OFF_MAX: Duration = Duration::from_secs(24 * 3600);
/// How often it is looked whether a name has come into the DNS.
const DNS_LOOK: Duration = Duration::from_secs(10 * 60);
/// Shortest time between two certificates of one name that are asked for without anybody's doing, in seconds.
const PAUSE_MIN: i64 = 10 * 60;
/// Longest sleep, so that a clock that is set does not matter.
const SLEEP_MAX: Duration = Duration::from_secs(3600);

/// What is to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub options: AcmeOptions,
    /// Each gets a certificate of its own; the first is shown to those who ask for no name that we know.
    pub names: Vec<AcmeName>,
    pub files: AcmeFiles,
    /// How our zones are changed, where dns-01 goes that way.
    pub update: Option<DnsUpdateOptions>,
}

impl Plan {
    /// What is shown now.
    pub fn shown(&self, clock: &dyn Clock) -> Result<Vec<CertFiles>, TlsError> {
        self.files.shown(&self.names, clock)
    }
}

/// Names, each with the digest of a key as TLSA records of the kind 3 1 1 hold it.
pub type KeyDigests = Vec<(AcmeName, [u8; 32])>;

/// How it stands with one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameState {
    pub name: AcmeName,
    /// When its certificate ends, in seconds since 1970.
    pub until: Option<i64>,
    /// When the authority is asked next, in seconds since 1970.
    pub next: i64,
    /// Attempts that failed since the last that did not.
    pub failures: u32,
    /// Why the last one failed.
    pub error: Option<String>,
}

/// The plan of the moment and how far it is, for those who change it and those who want to know.
#[derive(Clone, Default)]
pub struct KeeperHandle(Arc<Shared>);

#[derive(Default)]
struct Shared {
    inner: Mutex<Inner>,
    bell: Notify,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) plan: Option<Plan>,
    pub(super) states: BTreeMap<AcmeName, NameState>,
    looks: BTreeMap<AcmeName, Looks>,
}

impl KeeperHandle {
    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this is to be had, or nothing. What has failed is tried again at once.
    pub fn set(&self, plan: Option<Plan>) {
        let mut inner = self.inner();
        inner.states.clear();
        inner.looks.clear();
        inner.plan = plan;
        drop(inner);
        self.0.bell.notify_one();
    }

    /// How it stands, in the order of the plan.
    pub fn states(&self) -> Vec<NameState> {
        let inner = self.inner();
        let names = inner.plan.iter().flat_map(|plan| &plan.names);
        names.filter_map(|name| inner.states.get(name).cloned()).collect()
    }

    /// Has a new certificate asked for now: for one name, or for all. Whether there is such a name.
    pub fn renew(&self, name: Option<&str>) -> bool {
        let mut inner = self.inner();
        let mut found = false;
        for state in
            inner.states.values_mut().filter(|state| name.is_none_or(|name| state.name.as_str() == name))
        {
            state.next = 0;
            found = true;
        }
        drop(inner);
        self.0.bell.notify_one();
        found
    }

    /// Makes the next key of one name, or of all, if there is none yet. The digest of each, or `None` if there is no such
    /// name. Blocks on the disk.
    pub fn prepare_next_key(&self, name: Option<&str>) -> Result<Option<KeyDigests>, TlsError> {
        let Some(plan) = self.plan() else { return Ok(None) };
        let mut made = Vec::new();
        for one in plan.names.iter().filter(|one| name.is_none_or(|name| one.as_str() == name)) {
            plan.files.prepare_next(one)?;
            made.push((one.clone(), key_digest(&plan.files.next_key(one))?));
        }
        self.inner().looks.clear();
        self.0.bell.notify_one();
        Ok(Some(made).filter(|made| !made.is_empty()))
    }

    fn plan(&self) -> Option<Plan> {
        self.inner().plan.clone()
    }
}

/// Does the work.
pub struct Keeper {
    pub(super) handle: KeeperHandle,
    tls: ServerTls,
    challenges: Challenges,
    pub(super) world: World,
}

/// What is to be done next.
enum Next {
    Now(Box<Plan>, AcmeName),
    Look(Box<Plan>, AcmeName, Looks),
    Later(Duration),
}

impl Keeper {
    /// Certificates that come are shown by `tls`, which also answers the authority's handshakes.
    pub fn new(handle: KeeperHandle, tls: ServerTls, world: World) -> Self {
        let challenges = tls.challenges().clone();
        Self { handle, tls, challenges, world }
    }

    /// Works until the server stops. An order that is under way then is dropped; the next start makes another.
    pub async fn run(self, mut stop: Stop) {
        loop {
            let pause = match self.next() {
                Next::Later(pause) => pause,
                Next::Look(plan, name, looks) => {
                    let looks = tokio::select! {
                        () = stop.wait() => return,
                        looks = self.look(&plan, &name, looks) => looks,
                    };
                    // What was asked for meanwhile is looked at anew.
                    if let Some(known) = self.handle.inner().looks.get_mut(&name) {
                        *known = looks;
                    }
                    continue;
                }
                Next::Now(plan, name) => {
                    let result = tokio::select! {
                        () = stop.wait() => return,
                        result = self.obtain(&plan, &name) => result,
                    };
                    self.settle(&plan, &name, result);
                    continue;
                }
            };
            tokio::select! {
                () = stop.wait() => return,
                () = self.handle.0.bell.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// The name that is due first, or how long there is nothing to do.
    fn next(&self) -> Next {
        let now = self.world.clock.unix();
        let mut inner = self.handle.inner();
        let Some(plan) = inner.plan.clone() else { return Next::Later(SLEEP_MAX) };
        let Inner { states, looks, .. } = &mut *inner;
        let mut first: Option<(i64, &AcmeName, Option<Looks>)> = None;
        for name in &plan.names {
            let state = states.entry(name.clone()).or_insert_with(|| self.begin(&plan, name));
            // What has no certificate yet is not looked at in between.
            let look = state.until.map(|_| *looks.entry(name.clone()).or_default());
            let look = look.filter(|look| look.first() < state.next);
            let due = look.map_or(state.next, Looks::first);
            if first.is_none_or(|(earliest, ..)| due < earliest) {
                first = Some((due, name, look));
            }
        }
        let Some((due, name, look)) = first else { return Next::Later(SLEEP_MAX) };
        if due > now {
            return Next::Later(Duration::from_secs(u64::try_from(due - now).unwrap_or(0)).min(SLEEP_MAX));
        }
        let name = name.clone();
        match look {
            Some(look) => Next::Look(Box::new(plan), name, look),
            None => Next::Now(Box::new(plan), name),
        }
    }

    /// How it stands with a name that nothing was done about yet: what its files say.
    fn begin(&self, plan: &Plan, name: &AcmeName) -> NameState {
        let fresh = NameState { name: name.clone(), until: None, next: 0, failures: 0, error: None };
        if !plan.files.has(name) {
            return fresh;
        }
        match certificate_facts(&plan.files.of(name).chain) {
            Ok(facts) => {
                let (begin, end) = (facts.not_before, facts.not_after);
                NameState { until: Some(end), next: self.renewal(begin, end), ..fresh }
            }
            Err(_) => fresh,
        }
    }

    /// When a third of its life is left, and somewhat sooner, so that not all servers ask at the same hour.
    fn renewal(&self, begin: i64, end: i64) -> i64 {
        let life = end.saturating_sub(begin).max(0);
        let jitter = self.world.random.below(u64::try_from(life / 20).unwrap_or(0));
        (end - life / 3).saturating_sub(i64::try_from(jitter).unwrap_or(0))
    }

    async fn obtain(&self, plan: &Plan, name: &AcmeName) -> Result<(), AcmeError> {
        let failures = self.handle.inner().states.get(name).map_or(0, |state| state.failures);
        let kind = choose(&plan.options, name, failures);
        if kind != ChallengeKind::Dns {
            self.look_up(name).await?;
        }
        info!(%name, directory = %plan.options.directory, challenge = %kind, "asking for a certificate");
        let mut client = self.client(plan).await?;
        let which = self.which(plan, name);
        let (csr, replaced) = {
            let (files, name) = (plan.files.clone(), name.clone());
            blocking(move || Ok((files.request(&name, which)?, renewal_info::id(&files.of(&name))))).await?
        };
        let updater = plan.update.clone().map(|options| DnsUpdater::new(options, &self.world));
        let prover = Prover {
            kind,
            challenges: &self.challenges,
            hook: plan.options.hook.as_deref(),
            updater: updater.as_ref(),
            web_root: plan.options.web_root.as_deref(),
        };
        let chain = match order::certificate(&mut client, name, &csr, replaced.as_deref(), &prover).await {
            Err(AcmeError::Refused { kind, .. }) if kind == "accountDoesNotExist" => {
                // It was forgotten there, or never came to be. Our key is as good as ever.
                self.register(plan, &mut client).await?;
                order::certificate(&mut client, name, &csr, replaced.as_deref(), &prover).await?
            }
            other => other?,
        };
        let (files, name) = (plan.files.clone(), name.clone());
        blocking(move || files.keep(&name, &chain, which)).await
    }

    /// Whether anybody can reach us under the name. An authority counts looks that fail.
    async fn look_up(&self, name: &AcmeName) -> Result<(), AcmeError> {
        let Ok(host) = Domain::parse(name.base()) else { return Ok(()) };
        match self.world.dns.addresses(&host).await {
            Err(DnsError::NoName | DnsError::NoRecord) => Err(AcmeError::NotInDns),
            // Trouble here need not be trouble there.
            Ok(_) | Err(DnsError::Trouble(_)) => Ok(()),
        }
    }

    async fn client(&self, plan: &Plan) -> Result<Client, AcmeError> {
        let options = &plan.options;
        let fetcher = self.fetcher(plan)?;
        let (files, kept) = (plan.files.clone(), options.clone());
        let (key, account) =
            tokio::task::spawn_blocking(move || files.account(&kept)).await.map_err(broken)??;
        let is_known = account.is_some();
        let mut client = Client::open(fetcher, &options.directory, key, account).await?;
        if !is_known {
            self.register(plan, &mut client).await?;
        }
        Ok(client)
    }

    /// Who asks the authority.
    pub(super) fn fetcher(&self, plan: &Plan) -> Result<Fetcher, AcmeError> {
        let roots = plan.options.ca_file.clone().map_or(Roots::WebPki, Roots::File);
        let tls = ClientTls::authenticated(&roots, self.world.clock.clone())?;
        Ok(Fetcher::new(self.world.dns.clone(), Connector::new(&self.world), tls))
    }

    async fn register(&self, plan: &Plan, client: &mut Client) -> Result<(), AcmeError> {
        let options = &plan.options;
        let contact = options.contact.as_ref().map(ToString::to_string);
        let url = client.register(contact.as_deref(), options.external.as_ref()).await?;
        info!(account = url, "we have an account at the authority");
        plan.files.keep_account(options, client.key(), Some(url))
    }

    /// Shows what has come, and decides when to ask again.
    fn settle(&self, plan: &Plan, name: &AcmeName, result: Result<(), AcmeError>) {
        let now = self.world.clock.unix();
        let Err(error) = result else {
            let mut state = self.begin(plan, name);
            state.next = state.next.max(now.saturating_add(PAUSE_MIN));
            let until = state.until.map(mail::date::print_iso);
            info!(%name, until, "there is a new certificate");
            self.show();
            self.handle.inner().looks.remove(name);
            self.put(plan, state);
            return;
        };
        let mut state =
            self.handle.inner().states.get(name).cloned().unwrap_or_else(|| self.begin(plan, name));
        let said_before = state.error.replace(error.to_string()) == state.error;
        let wait = if matches!(error, AcmeError::NotInDns) {
            DNS_LOOK
        } else {
            state.failures = state.failures.saturating_add(1);
            self.back_off(state.failures).max(error.retry_after().unwrap_or_default())
        };
        state.next = now.saturating_add(i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        let again = mail::date::print_iso(state.next);
        match (&error, said_before) {
            (AcmeError::NotInDns, true) => debug!(%name, %error, again, "no certificate yet"),
            (AcmeError::NotInDns, false) => info!(%name, %error, again, "no certificate yet"),
            _ => warn!(%name, %error, again, "no new certificate"),
        }
        self.put(plan, state);
    }

    /// Remembers a state, unless the plan has become another one meanwhile.
    fn put(&self, plan: &Plan, state: NameState) {
        let mut inner = self.handle.inner();
        if inner.plan.as_ref() == Some(plan) {
            inner.states.insert(state.name.clone(), state);
        }
    }

    /// Uses the certificates that there are now.
    fn show(&self) {
        let Some(plan) = self.handle.plan() else { return };
        let shown = plan.shown(self.world.clock.as_ref());
        if let Err(error) = shown.and_then(|files| self.tls.replace(&files)) {
            warn!(%error, "the new certificate cannot be shown; the old one stays");
        }
    }

    fn back_off(&self, failures: u32) -> Duration {
        let doubled = FIRST_BACK_OFF.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let pause = doubled.min(BACK_OFF_MAX);
        pause + Duration::from_secs(self.world.random.below(pause.as_secs() / 10))
    }
}

/// The way of this attempt: wildcards can only be proven in the DNS (RFC 8555 §8.4); otherwise each in its turn.
fn choose(options: &AcmeOptions, name: &AcmeName, failures: u32) -> ChallengeKind {
    let ways = &options.challenges;
    if name.is_wildcard() || ways.is_empty() {
        return ChallengeKind::Dns;
    }
    ways[usize::try_from(failures).unwrap_or(0) % ways.len()]
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, TlsError> + Send + 'static,
) -> Result<T, AcmeError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(broken)??)
}

fn broken(error: tokio::task::JoinError) -> AcmeError {
    AcmeError::Files(TlsError::Make(error.to_string()))
}
