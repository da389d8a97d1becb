//! Whether what somebody logged in with still stands, while the session goes on.

use auth::{Identity, Proof, Trace};
use std::sync::Arc;
use std::time::Duration;
use storage::Store;
use tracing::{info, warn};
use world::Clock;

/// How long to wait before asking the store again that could not answer.
const RETRY: Duration = Duration::from_secs(10);

/// What has become of it.
enum Standing {
    Good,
    Gone,
    /// It ends by itself after this time.
    Until(Duration),
}

/// Returns when it does not stand any more. Holds one bell of the store meanwhile.
pub(super) async fn ended(store: Store, clock: Arc<dyn Clock>, identity: Identity) {
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

async fn look(store: &Store, clock: &dyn Clock, identity: &Identity) -> storage::Result<Standing> {
    let left = |until: Option<i64>| match until {
        None => Standing::Good,
        Some(until) => match u64::try_from(until - clock.unix()) {
            Ok(0) | Err(_) => Standing::Gone,
            Ok(seconds) => Standing::Until(Duration::from_secs(seconds)),
        },
    };
    let or_gone = |stands: bool| if stands { Standing::Good } else { Standing::Gone };
    Ok(match identity.proof() {
        Proof::Given => Standing::Good,
        Proof::Token { until } => left(*until),
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
