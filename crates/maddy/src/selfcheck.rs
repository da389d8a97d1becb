//! Whether others would believe what we send: looked at before the first mail goes out and once a day, and whenever somebody
//! asks.

use crate::config::Config;
use crate::keys;
use crate::reload::Running;
use delivery::selfcheck::{Check, Inspector, Report, State, Way};
use delivery::{Arrival, config::EgressAuth};
use mail::{Address, Blob, Envelope, Mail, MailParams, Message, Recipient, ReversePath, date};
use net::Stop;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::{debug, error, info, warn};
use world::World;

/// The daemon's operation that looks anew.
pub(crate) const SELF_CHECK: &str = "selfcheck";
/// Time between two looks.
const PERIOD: Duration = Duration::from_secs(24 * 3600);
/// Longest time of one look; what has no answer by then is looked at again after [`PAUSE`].
const TIME_MAX: Duration = Duration::from_secs(300);
/// Time until the next look, where something is bad or unknown: it may be mended.
const PAUSE: Duration = Duration::from_secs(3600);
/// Letters of a message's id.
const ID_LETTERS: usize = 12;

/// What is to be looked at, as the configuration says.
pub(crate) fn inspector(config: &Config, world: &World) -> Inspector {
    let keyring = keys::keyring(config, world);
    let keys = if config.dkim.signing.is_on() { keyring.list().unwrap_or_default() } else { Vec::new() };
    let signing = keys.into_iter().filter(|key| key.stage == policy::dkim::Stage::Signing);
    Inspector {
        hostname: config.delivery.hostname.clone().unwrap_or_else(|| config.hostname.clone()),
        domains: config.domains.clone(),
        sources: config.delivery.source_addresses.clone(),
        way: if config.delivery.smarthost.is_some() { Way::Smarthost } else { Way::Direct },
        keys: signing.filter_map(|key| Some((key.domain, key.record?))).collect(),
        world: world.clone(),
    }
}

/// One look; `None` if it took too long.
pub(crate) async fn look(running: &Running) -> Option<Report> {
    let (config, world) = (running.config(), running.world().clone());
    let inspector = tokio::task::spawn_blocking(move || inspector(&config, &world)).await.ok()?;
    tokio::time::timeout(TIME_MAX, inspector.inspect()).await.ok()
}

/// Looks in the beginning and daily, until the server stops. `looked` hears of the first look.
pub(crate) async fn watch(running: Arc<Running>, looked: oneshot::Sender<()>, mut stop: Stop) {
    let mut told_at = None;
    let mut looked = Some(looked);
    loop {
        let report = tokio::select! {
            () = stop.wait() => return,
            report = look(&running) => report,
        };
        let pause = match report {
            None => {
                warn!("the DNS takes too long to say whether others would believe what is sent from here");
                PAUSE
            }
            Some(report) => {
                let is_good = report.points.iter().all(|point| point.state == State::Good);
                tell(&report);
                running.intake().set_self_check(Arc::new(report.clone()));
                let is_strict = running.config().delivery.egress_auth == EgressAuth::Strict;
                let is_due = told_at.is_none_or(|at: i64| report.at - at >= 23 * 3600);
                if is_strict && is_due && !report.burning.is_empty() {
                    warn_postmaster(&running, &report).await;
                    told_at = Some(report.at);
                }
                if is_good { PERIOD } else { PAUSE }
            }
        };
        if let Some(looked) = looked.take() {
            // Nobody waits for it where everything goes out.
            let _ = looked.send(());
        }
        tokio::select! {
            () = stop.wait() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn tell(report: &Report) {
    for point in &report.points {
        let (check, about, help) = (point.check.word(), &point.about, &point.help);
        let text = &point.text;
        match (point.state, point.check) {
            (State::Good, _) => debug!(check, about, text, "what is sent from here would be believed"),
            (State::Unknown, _) => {
                debug!(check, about, text, "it is not known whether what is sent from here would be believed")
            }
            // A domain without a policy is believed less, and not refused.
            (State::Bad, Check::Dmarc) if report.burning.is_empty() => {
                info!(check, about, text, help, "what is sent from here would be believed more");
            }
            (State::Bad, _) => warn!(check, about, text, help, "what is sent from here may not be believed"),
        }
    }
    for (domain, why) in &report.burning {
        warn!(domain, why, "mail of this domain would fail the domain's own DMARC policy");
    }
}

/// Tells postmaster what is held back. Trouble is logged: the next look tells it again.
async fn warn_postmaster(running: &Running, report: &Report) {
    let router = running.intake().router();
    let Some(postmaster) = router.bare_postmaster() else { return };
    let message = letter(&postmaster, router.hostname().as_str(), report);
    let envelope = Envelope {
        from: ReversePath::Null,
        params: MailParams::default(),
        recipients: vec![Recipient::plain(postmaster)],
    };
    let id = running.world().random.word(ID_LETTERS);
    let arrival = Arrival::own(id.as_str());
    let mail = Mail { envelope, message: Message::new(Blob::from_bytes(message.into_bytes())) };
    if let Err(reply) = running.intake().accept(mail, arrival).await {
        error!(mail = id, %reply, "postmaster cannot be told that mail is held back");
    }
}

fn letter(postmaster: &Address, hostname: &str, report: &Report) -> String {
    let mut text = format!(
        "From: {postmaster}\r\nTo: {postmaster}\r\nDate: {}\r\nMessage-ID: <selfcheck.{}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\nSubject: Mail is held back: it would fail our own DMARC policy\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n\
         Mail of these domains waits in the queue, because other servers would refuse it:\r\n\r\n",
        date::print(report.at),
        report.at
    );
    let clean =
        |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(900).collect::<String>();
    for (domain, why) in &report.burning {
        text.push_str(&format!("  {domain}: {}\r\n", clean(why)));
    }
    text.push_str("\r\nWhat is wrong, and what to do:\r\n\r\n");
    for point in report.points.iter().filter(|point| point.state == State::Bad) {
        let (check, about) = (point.check.word(), &point.about);
        text.push_str(&format!(
            "  {check} {about}: {}\r\n    {}\r\n",
            clean(&point.text),
            clean(&point.help)
        ));
    }
    text.push_str("\r\nIt is looked at once an hour; what waits goes out when the records are right.\r\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use delivery::selfcheck::Point;

    #[test]
    fn the_letter_says_what_is_wrong() {
        let point = Point {
            check: Check::Dkim,
            about: "o.ex".to_owned(),
            state: State::Bad,
            text: "another\r\nkey".to_owned(),
            help: "publish it".to_owned(),
        };
        let report =
            Report { at: 0, points: vec![point], burning: vec![("o.ex".to_owned(), "nobody".to_owned())] };
        let text = letter(&Address::parse("postmaster@o.ex").unwrap(), "mx.o.ex", &report);
        assert!(
            text.contains("  o.ex: nobody\r\n")
                && text.contains("  dkim o.ex: another  key\r\n    publish it"),
            "{text}"
        );
        assert!(text.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() < 998));
    }
}
