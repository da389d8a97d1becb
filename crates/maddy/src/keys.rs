//! The signing keys while the server runs: tended at every look, changed by hand, and used from then on.

use crate::config::Config;
use crate::reload::Running;
use net::{DnsUpdater, Stop, TextSet};
use policy::dkim::{KeyChange, KeyError, Keyring, What};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, info, warn};
use world::update::UpdateError;
use world::{DnsName, World};

/// How long after the start the first look is taken.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// A record that is missing is named in the log at once, and then once in so many seconds.
const REMINDER: i64 = 24 * 3600;

/// The keys that the configuration names.
pub(crate) fn keyring(config: &Config, world: &World) -> Keyring {
    Keyring {
        dir: config.keys_dir(),
        domains: config.domains.clone(),
        selectors: config.dkim.selectors.clone(),
        rotation: config.dkim.rotation.clone(),
        world: world.clone(),
    }
}

/// Looks after the keys until the server stops.
pub(crate) async fn watch(running: Arc<Running>, mut stop: Stop) {
    let mut reminders = Reminders::default();
    let mut pause = FIRST_LOOK;
    loop {
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let config = running.config();
        pause = config.dkim.rotation.look;
        if !config.dkim.signing.is_on() {
            continue;
        }
        // What is begun on the disk is finished; the look at the DNS ends by itself.
        for outcome in running.tend_keys().await {
            match outcome {
                Ok(changes) => {
                    publish(&config, running.world(), &changes, &mut reminders).await;
                    reminders.tell(&changes, running.world().clock.unix());
                }
                Err(error) => error!(%error, "the DKIM keys cannot be looked after"),
            }
        }
    }
}

/// Writes changes into the log.
pub(crate) fn log(change: &KeyChange) {
    let (domain, selector, record) = (&change.domain, &change.selector, change.record.zone_line());
    match &change.what {
        What::Missing(_) | What::Doubted(_) | What::Contradicted(_) => {
            warn!(%domain, selector, record, "{change}")
        }
        What::Unanswered(_) => debug!(%domain, selector, "{change}"),
        What::Made(_) | What::Retired(_) => info!(%domain, selector, record, "{change}"),
        What::Seen | What::Confirmed | What::Signs | What::Retiring => {
            info!(%domain, selector, "{change}");
        }
    }
}

/// Has the name server of our zones publish what has to be published, and revoke what is retired, if it takes changes. What
/// others have put there stays: another server may sign with it. The next look shows what came of it; trouble is logged and
/// tried again then.
pub(crate) async fn publish(
    config: &Config,
    world: &World,
    changes: &[KeyChange],
    reminders: &mut Reminders,
) {
    let Some(options) = &config.dns_update else { return };
    let updater = DnsUpdater::new(options.clone(), world);
    for change in changes {
        let ours = match &change.what {
            What::Missing(_) | What::Made(_) => &change.record,
            What::Retired(Some(before)) => before,
            _ => continue,
        };
        let (record, text) = (&change.record.name, &change.record.text);
        let done = match DnsName::parse(record) {
            Ok(name) => updater.set_text(&name, text, |there| ours.is_shown_by(there)).await,
            Err(error) => Err(UpdateError::Refused(error.to_string())),
        };
        match done {
            Ok(TextSet::Written) => info!(record, "the name server publishes the record of a DKIM key"),
            Ok(TextSet::There) => debug!(record, "the name server has the record of a DKIM key"),
            Ok(TextSet::Foreign(_)) if matches!(change.what, What::Retired(_)) => {
                debug!(record, "the record of a retired DKIM key is another one by now");
            }
            Ok(TextSet::Foreign(there)) => {
                if reminders.is_due(format!("foreign {record}"), world.clock.unix()) {
                    warn!(
                        record,
                        there,
                        "somebody else has put this in the place of the record of a DKIM key, and it is left as it is. If another \
                         server signs with it, `maddy dkim rotate` makes a key of another name here; if none does, `maddy dns \
                         apply` replaces it"
                    );
                }
            }
            Err(error) => warn!(record, %error, "the record of a DKIM key cannot be published"),
        }
    }
}

/// What was named in the log as missing, and when.
#[derive(Default)]
pub(crate) struct Reminders(HashMap<String, i64>);

impl Reminders {
    fn tell(&mut self, changes: &[KeyChange], now: i64) {
        for change in changes {
            let name = &change.record.name;
            match change.what {
                What::Missing(_) => {
                    if self.is_due(name.clone(), now) {
                        log(change);
                    }
                }
                _ => {
                    self.0.remove(name);
                    self.0.remove(&format!("foreign {name}"));
                    log(change);
                }
            }
        }
    }

    /// Whether something is to be named again; then it is taken as named.
    fn is_due(&mut self, what: String, now: i64) -> bool {
        let is_due = self.0.get(&what).is_none_or(|told| now - told >= REMINDER);
        if is_due {
            self.0.insert(what, now);
        }
        is_due
    }
}

/// Whether another signer is needed after these changes.
pub(crate) fn move_signing(outcomes: &[Result<Vec<KeyChange>, KeyError>]) -> bool {
    let mut changes = outcomes.iter().flatten().flatten();
    changes.any(|change| matches!(change.what, What::Signs | What::Contradicted(_)))
}
