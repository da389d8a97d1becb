//! Clients that speak before they are greeted: no honest server does (RFC 5321 §3.1), programs that only throw mail do.

use config::{Network, Section};
use mail::{Reply, Status};
use net::{ClientIs, Conn, Silence};
use policy::Action;
use std::time::Duration;
use tracing::info;

/// Longest wait, far below the five minutes for which a client must have patience (RFC 5321 §4.5.3.2.1).
const DELAY_MAX: Duration = Duration::from_secs(30);

/// Checked node `early-talkers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlyTalkers {
    /// What becomes of those who speak too early. With [`Action::Nothing`] the greeting is not held back.
    pub action: Action,
    /// How long the greeting is held back.
    pub delay: Duration,
    /// Who is greeted at once.
    pub exempt: Vec<Network>,
}

impl Default for EarlyTalkers {
    /// A second for strangers, none for this machine.
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1"].iter().filter_map(|text| Network::parse(text).ok());
        Self { action: Action::Reject, delay: Duration::from_secs(1), exempt: loopback.collect() }
    }
}

impl EarlyTalkers {
    pub(crate) fn decode(section: &mut Section<'_>) -> Self {
        const ACTIONS: &[(&str, Action)] = &[
            ("none", Action::Nothing),
            ("mark", Action::Mark),
            ("quarantine", Action::Quarantine),
            ("reject", Action::Reject),
            ("defer", Action::Defer),
        ];
        let usual = Self::default();
        let action = section
            .choice("action", ACTIONS, "What becomes of them: \"none\" (all are greeted at once), \"mark\" (a field X-Junk-Reason), \"quarantine\" (to Junk, with the field), \"reject\" (554 in place of the greeting), \"defer\" (421).")
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
    /// It spoke; what follows for its mail, and why.
    Bad(Blot),
    Refused(Reply),
    Gone,
}

/// What is held against all mail of a connection, whatever the checks say: that it is marked or put to Junk.
#[derive(Clone, Debug)]
pub(crate) struct Blot {
    pub(crate) action: Action,
    pub(crate) why: String,
}

/// Holds the greeting back.
pub(crate) async fn listen(options: &EarlyTalkers, conn: &Conn) -> Manners {
    let peer = conn.peer().ip();
    let is_exempt =
        conn.client_is() == ClientIs::Known && options.exempt.iter().any(|network| network.contains(peer));
    if options.action == Action::Nothing || is_exempt {
        return Manners::Good;
    }
    match conn.silence(options.delay).await {
        Silence::Kept => Manners::Good,
        Silence::Gone => Manners::Gone,
        Silence::Broken => spoke(options.action),
    }
}

fn spoke(action: Action) -> Manners {
    let text = "Wait for the greeting before you speak";
    match action {
        Action::Nothing => Manners::Good,
        Action::Mark | Action::Quarantine => {
            info!("it spoke before it was greeted");
            let why = "the client spoke before it was greeted".to_owned();
            Manners::Bad(Blot { action, why })
        }
        Action::Reject => Manners::Refused(Reply::new(554, Status::permanent(5, 1), text)),
        Action::Defer => Manners::Refused(Reply::new(421, Status::transient(5, 1), text)),
    }
}
