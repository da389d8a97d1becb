//! Greylisting: strangers are asked to come again, which servers do and programs that only throw mail do not.

use config::{Network, Section};
use policy::spf::SpfResult;
use policy::{Facts, Finding, Identity, Pipeline, Stage};
use smtp_door::network_of;
use std::time::Duration;
use storage::GreyRule;

/// Checked node `greylist`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greylist {
    pub switch: policy::Switch,
    pub rule: GreyRule,
    /// Who is never asked to come again.
    pub exempt: Vec<Network>,
}

impl Default for Greylist {
    fn default() -> Self {
        let day = 24 * 3600;
        let rule = GreyRule { delay: 5 * 60, window: 2 * day, keep: 36 * day, learn: 5 };
        Self { switch: policy::Switch::Off, rule, exempt: Vec::new() }
    }
}

impl Greylist {
    pub(crate) fn decode(section: &mut Section<'_>) -> Self {
        let usual = Self::default();
        let on = section.flag("enabled", "Whether strangers are asked to come again.").or(false);
        let hour = Duration::from_secs(3600);
        let mut seconds = |key: &'static str, doc: &str, usual: i64, most: Duration| {
            let usual = Duration::from_secs(usual.unsigned_abs());
            let got = section.duration(key, doc).within(Duration::from_secs(1)..=most).or(usual);
            i64::try_from(got.as_secs()).unwrap_or(i64::MAX)
        };
        let rule = GreyRule {
            delay: seconds("delay", "A second try counts so long after the first.", usual.rule.delay, hour),
            window: seconds(
                "window",
                "How long a first try is remembered.",
                usual.rule.window,
                24 * 30 * hour,
            ),
            keep: seconds(
                "keep",
                "How long one that came again is remembered, since it last came.",
                usual.rule.keep,
                24 * 400 * hour,
            ),
            learn: section
                .count("learn", "After so many senders and recipients that came again the client is known.")
                .within(1..=1000)
                .or(usual.rule.learn),
        };
        let exempt = section
            .parsed(
                "exempt",
                "an address or a network",
                Network::parse,
                "Who is never asked to come again; may repeat.",
            )
            .many();
        let switch = if on { policy::Switch::On } else { policy::Switch::Off };
        Self { switch, rule, exempt }
    }
}

/// Under which name a client is remembered: the sender's domain, if it vouches for the client, since large senders come
/// again from another address; else the client's network.
pub(crate) async fn name_of(pipeline: &Pipeline, facts: &Facts) -> String {
    let network = || network_of(facts.peer).to_string();
    let Some(sender) = facts.mail_from.address() else { return network() };
    // The message is not there yet, so nothing is read from our disk that could fail.
    let findings = pipeline.examine(Stage::Sender, facts).await.unwrap_or_default();
    let is_vouched_for = findings.iter().any(|finding| match finding {
        Finding::Spf(one) => one.identity == Identity::MailFrom && one.outcome.result == SpfResult::Pass,
        _ => false,
    });
    if is_vouched_for { format!("spf {}", sender.domain()) } else { network() }
}
