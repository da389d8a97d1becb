//! Between two certificates of a name: whether the authority wants another one earlier, and whether the next key may be used.

use crate::acme::config::AcmeName;
use crate::acme::error::AcmeError;
use crate::acme::files::Which;
use crate::acme::keeper::{Keeper, Plan, blocking};
use crate::acme::renewal_info;
use crate::certificate_files::key_digest;
use std::time::Duration;
use tracing::{debug, info, warn};
use world::{Data, DnsError, DnsName};

/// How often it is looked whether the DNS shows the next key.
const ROLL_PAUSE: Duration = Duration::from_secs(10 * 60);
/// How often it is looked whether a key is old.
const AGE_PAUSE: Duration = Duration::from_secs(3600);
/// A certificate is not renewed sooner than this after it was made, whatever the authority suggests, in seconds: an
/// authority whose windows lie in the past must not be asked without end.
const AGE_MIN: i64 = 6 * 3600;

/// When to look again, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looks {
    pub(crate) authority: i64,
    pub(crate) key: i64,
}

impl Looks {
    pub(crate) fn first(self) -> i64 {
        self.authority.min(self.key)
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl Keeper {
    /// What is due of the two.
    pub(super) async fn look(&self, plan: &Plan, name: &AcmeName, looks: Looks) -> Looks {
        let now = self.world.clock.unix();
        let mut next = looks;
        if looks.key <= now {
            let pause = self.look_at_keys(plan, name, now).await;
            next.key = now.saturating_add(seconds(pause).max(1));
        }
        if looks.authority <= now {
            let pause = match self.suggested(plan, name, now).await {
                Ok(pause) => pause,
                Err(error) => {
                    debug!(%name, %error, "the authority does not say when it wants a renewal");
                    renewal_info::PAUSE
                }
            };
            next.authority = now.saturating_add(seconds(pause).max(1));
        }
        next
    }

    /// Moves the time of the renewal into the window that the authority suggests (RFC 9773 §4.2).
    async fn suggested(&self, plan: &Plan, name: &AcmeName, now: i64) -> Result<Duration, AcmeError> {
        let (files, wanted) = (plan.files.clone(), name.clone());
        let known = blocking(move || {
            let files = files.of(&wanted);
            Ok(renewal_info::id(&files).zip(crate::certificate_files::certificate_facts(&files.chain).ok()))
        });
        let Some((id, facts)) = known.await? else { return Ok(renewal_info::PAUSE) };
        let fetcher = self.fetcher(plan)?;
        let Some(suggestion) = renewal_info::ask(&fetcher, &plan.options.directory, &id).await? else {
            return Ok(renewal_info::PAUSE);
        };
        let width = u64::try_from(suggestion.to - suggestion.from).unwrap_or(0);
        let chosen =
            suggestion.from.saturating_add(i64::try_from(self.world.random.below(width)).unwrap_or(0));
        // The same time is not chosen anew at each look: one that lies in the window stays.
        self.suggest(plan, name, |next| {
            let stays = (suggestion.from..suggestion.to).contains(&next);
            let wanted = if stays { next } else { chosen };
            wanted.max(facts.not_before.saturating_add(AGE_MIN)).min(facts.not_after).max(now.min(next))
        });
        Ok(suggestion.again)
    }

    /// Makes the next key when the present one is old, and has it used when the DNS has shown its digest for long enough.
    async fn look_at_keys(&self, plan: &Plan, name: &AcmeName, now: i64) -> Duration {
        match self.roll(plan, name, now).await {
            Ok(pause) => pause,
            Err(error) => {
                warn!(%name, %error, "the next key of a certificate is not looked after");
                AGE_PAUSE
            }
        }
    }

    async fn roll(&self, plan: &Plan, name: &AcmeName, now: i64) -> Result<Duration, AcmeError> {
        let rollover = plan.options.rollover;
        let (files, wanted) = (plan.files.clone(), name.clone());
        let digest = blocking(move || {
            let made = files.made(&wanted);
            let is_old = rollover.every.zip(made).is_some_and(|(every, made)| now - made >= seconds(every));
            if is_old && files.prepare_next(&wanted)? {
                info!(name = %wanted, "the key of the certificate is old: the next one was made; publish its digest (`maddy dns records`)");
            }
            let next = files.next_key(&wanted);
            if next.exists() { key_digest(&next).map(Some) } else { Ok(None) }
        });
        let Some(digest) = digest.await? else { return Ok(AGE_PAUSE) };
        let pause = (rollover.settle / 4).clamp(Duration::from_secs(1), ROLL_PAUSE);
        let shown = self.shows(name, &digest).await;
        let (files, wanted) = (plan.files.clone(), name.clone());
        let is_ready = blocking(move || match (shown, files.seen(&wanted)) {
            (Shown::Unpinned, _) => files.set_seen(&wanted, 0).map(|()| true),
            (Shown::Yes, Some(since)) => Ok(now.saturating_sub(since) >= seconds(rollover.settle)),
            (Shown::Yes, None) => files.set_seen(&wanted, now).map(|()| false),
            (Shown::No, _) => {
                files.forget_seen(&wanted);
                Ok(false)
            }
            (Shown::Unknown, _) => Ok(false),
        });
        if is_ready.await? {
            info!(%name, "the next key may be used: a certificate for it is asked for");
            self.suggest(plan, name, |next| next.min(now));
        }
        Ok(pause)
    }

    /// Sets another time for the next certificate of a name, made of the present one.
    fn suggest(&self, plan: &Plan, name: &AcmeName, change: impl FnOnce(i64) -> i64) {
        let mut inner = self.handle.inner();
        if inner.plan.as_ref() == Some(plan)
            && let Some(state) = inner.states.get_mut(name).filter(|state| state.failures == 0)
        {
            state.next = change(state.next);
        }
    }

    /// Which key the next certificate is for.
    pub(super) fn which(&self, plan: &Plan, name: &AcmeName) -> Which {
        let since = plan.files.seen(name).filter(|_| plan.files.next_key(name).exists());
        let age = since.map(|since| self.world.clock.unix().saturating_sub(since));
        if age.is_some_and(|age| age >= seconds(plan.options.rollover.settle)) {
            Which::Next
        } else {
            Which::Current
        }
    }

    /// Whether the DNS pins the key of that digest (RFC 7672 §8.1: the record comes before the key).
    async fn shows(&self, name: &AcmeName, digest: &[u8]) -> Shown {
        let Ok(place) = DnsName::parse(&format!("_25._tcp.{}", name.base())) else { return Shown::Unpinned };
        let found = self.world.dns.tlsa(&place).await.read(|data| match data {
            Data::Tlsa(tlsa) => Some(tlsa),
            _ => None,
        });
        let is_ours =
            |one: &world::Tlsa| (one.usage, one.selector, one.matching) == (3, 1, 1) && one.data == digest;
        match found {
            Err(DnsError::NoName | DnsError::NoRecord) => Shown::Unpinned,
            Err(DnsError::Trouble(_)) => Shown::Unknown,
            Ok(list) if list.iter().any(is_ours) => Shown::Yes,
            Ok(_) => Shown::No,
        }
    }
}

/// What the DNS says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Yes,
    No,
    /// No key is pinned at all.
    Unpinned,
    Unknown,
}
