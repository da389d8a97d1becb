//! Whether what somebody logged in with still stands, while the session goes on.

use auth::{Identity, Proof, Trace};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use storage::Store;
use tokio::task::JoinHandle;
use tracing::{info, warn};
use world::Clock;

/// How long to wait before asking the store again that could not answer.
const RETRY: Duration = Duration::from_secs(10);
/// Longest sleep before looking at the clock again, which may have been set.
const SLEEP_MAX: Duration = Duration::from_secs(600);

/// What has become of it.
enum Standing {
    Good,
    Gone,
    /// It ends by itself, and not before this time has gone.
    Until(Duration),
}

/// Watches in a task of its own, which ends with this value. A session looks here only between its commands: if it did the
/// asking itself, it would keep a connection of the store for as long as a command of its own waits for one.
pub(super) struct Watching(JoinHandle<()>);

impl Watching {
    pub(super) fn begin(store: Store, clock: Arc<dyn Clock>, identity: Identity) -> Self {
        Self(tokio::spawn(ended(store, clock, identity)))
    }
}

impl Future for Watching {
    type Output = ();

    /// A watcher that broke can vouch for nothing: that counts as an end.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(context).map(drop)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Returns when it does not stand any more. Holds one bell of the store meanwhile.
async fn ended(store: Store, clock: Arc<dyn Clock>, identity: Identity) {
    let mut bell = store.watch_credential(identity.account());
    loop {
        bell.borrow_and_update();
        let wait = match look(&store, clock.as_ref(), &identity).await {
            Ok(Standing::Gone) => break,
            Ok(Standing::Good) => None,
            Ok(Standing::Until(wait)) => Some(wait),
            Err(error) => {
                warn!(account = %identity, %error, "whether a login still stands cannot be found out");
                Some(RETRY)
            }
        };
        let pause = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            rung = bell.changed() => if rung.is_err() { return std::future::pending().await },
            () = pause => {}
        }
    }
    info!(account = %identity, "what the login was proven by stands no more");
}

/// Whether there is such an account, or somebody may log in under this name.
pub(super) async fn is_here(store: &Store, name: &str) -> storage::Result<bool> {
    Ok(store.credential(name).await?.is_some() || store.account(name).await?.is_some())
}

async fn look(store: &Store, clock: &dyn Clock, identity: &Identity) -> storage::Result<Standing> {
    let left = |until: Option<i64>| match until {
        None => Standing::Good,
        Some(until) => match u64::try_from(until - clock.unix()) {
            Ok(0) | Err(_) => Standing::Gone,
            Ok(seconds) => Standing::Until(Duration::from_secs(seconds).min(SLEEP_MAX)),
        },
    };
    let or_gone = |stands: bool| if stands { Standing::Good } else { Standing::Gone };
    Ok(match identity.proof() {
        Proof::Given => Standing::Good,
        Proof::Token { until } => match left(*until) {
            Standing::Gone => Standing::Gone,
            ends => {
                if is_here(store, identity.account()).await? {
                    ends
                } else {
                    Standing::Gone
                }
            }
        },
        Proof::Password(trace) => {
            let found = store.credential(identity.account()).await?;
            or_gone(found.is_some_and(|found| Trace::of(found.password.as_str()) == *trace))
        }
        Proof::AppPassword(id) => {
            let all = store.app_passwords(identity.account()).await?;
            all.iter().find(|one| one.id == *id).map_or(Standing::Gone, |one| left(one.expires))
        }
        Proof::Certificate(id) => {
            let all = store.certificates(identity.account()).await?;
            or_gone(all.iter().any(|one| one.id == *id))
        }
    })
}
