//! Clients that speak before they are greeted: no honest server does (RFC 5321 §3.1), programs that only throw mail do.

use config::{Network, Section};
use mail::{Reply, Status};
use net::{ClientIs, Conn, Silence};
use std::time::Duration;
use tracing::info;

/// Longest wait, far below the five minutes for which a client must have patience (RFC 5321 §4.5.3.2.1).
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Checked node `early-talkers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyTalkers {
    pub action: Action,
    /// How long the greeting is held back.
    pub delay: Duration,
    /// Who is greeted at once.
    pub exempt: Vec<Network>,
}

/// What becomes of those who speak too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The greeting is not held back.
    Nothing,
    /// Their mail gets a field that says so.
    Mark,
    Refuse,
}

impl Default for EarlyTalkers {
    /// A second for strangers, none for this machine.
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text).ok());
        Self { action: Action::Refuse, delay: Duration::from_secs(1), exempt: loopback.collect() }
    }
}

impl EarlyTalkers {
    pub(crate) fn decode(section: &mut Section<'_>) -> Self {
        const ACTIONS: &[(&str, Action)] =
            &[("nothing", Action::Nothing), ("mark", Action::Mark), ("refuse", Action::Refuse)];
        let usual = Self::default();
        let action = section
            .choice("action", ACTIONS, "What becomes of them: \"nothing\" (all are greeted at once), \"mark\" (a field X-Junk-Reason), \"refuse\" (554).")
            .or(usual.action);
        let delay = section
            .duration("delay", "How long strangers wait for the greeting.")
            .within(Duration::ZERO..=DELAY_MAX)
            .or(usual.delay);
        let exempt = section
            .parsed(
                "exempt",
                "an address or a network",
                Network::parse,
                "Who is greeted at once; may repeat. This machine (127.0.0.0/8 and ::1), if nothing is given.",
            )
            .many();
        Self { action, delay, exempt: if exempt.is_empty() { usual.exempt } else { exempt } }
    }
}

/// What the wait has shown.
pub(crate) enum Manners {
    Good,
    /// It spoke; this is why its mail is marked.
    Marked(String),
    Refused(Reply),
    Gone,
}

/// Holds the greeting back.
pub(crate) async fn listen(options: &EarlyTalkers, conn: &Conn) -> Manners {
    let peer = conn.peer().ip();
    let is_exempt =
        conn.client_is() == ClientIs::Known && options.exempt.iter().any(|network| network.contains(peer));
    if options.action == Action::Nothing || is_exempt {
        return Manners::Good;
    }
    match (conn.silence(options.delay).await, options.action) {
        (Silence::Kept, _) => Manners::Good,
        (Silence::Gone, _) => Manners::Gone,
        (Silence::Broken, Action::Refuse) => {
            let text = "Wait for the greeting before you speak";
            Manners::Refused(Reply::new(554, Status::permanent(5, 1), text))
        }
        (Silence::Broken, _) => {
            info!("it spoke before it was greeted");
            Manners::Marked("the client spoke before it was greeted".to_owned())
        }
    }
}
