//! Logins of one connection: the exchange, the question who it is, and the price of wrong answers.

use auth::{
    Authenticate, Circumstances, Conversation, Denied, Ending, Identity, Mechanism, Refusal, Turn, Verdict,
};
use mail::{Reply, Status};
use smtp_proto::server::Answer;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest pause after a failed login, however many there were.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// The login of one connection.
pub(crate) struct LoginState {
    authenticate: Arc<dyn Authenticate>,
    circumstances: Circumstances,
    /// The offers have not been told since the circumstances changed.
    has_moved: bool,
    delay: Duration,
    failures: u32,
    conversation: Option<Conversation>,
    identity: Option<Identity>,
    /// Is over when what the login was proven by does not stand any more.
    ending: Ending,
}

impl LoginState {
    /// `delay` is the pause after the first failure; each further one doubles it.
    pub(crate) fn new(
        authenticate: Arc<dyn Authenticate>,
        circumstances: Circumstances,
        delay: Duration,
    ) -> Self {
        Self {
            authenticate,
            circumstances,
            has_moved: false,
            delay,
            failures: 0,
            conversation: None,
            identity: None,
            ending: Ending::never(),
        }
    }

    /// The connection has changed: TLS is there, or the peer speaks for another client.
    pub(crate) fn moved(&mut self, circumstances: Circumstances) {
        self.circumstances = circumstances;
        self.conversation = None;
        self.has_moved = true;
    }

    /// The mechanisms that are offered since the connection changed; told once.
    pub(crate) fn new_mechanisms(&mut self) -> Option<Vec<String>> {
        std::mem::take(&mut self.has_moved).then(|| {
            let offers = self.circumstances.offers(self.authenticate.as_ref());
            offers.into_iter().map(|mechanism| mechanism.name().to_owned()).collect()
        })
    }

    /// Returns once, when what the login was proven by does not stand any more. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        self.ending.wait().await;
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) async fn begin(&mut self, mechanism: &str, initial: Option<&[u8]>) -> Answer {
        let circumstances = self.circumstances.clone();
        let offered = circumstances.offers(self.authenticate.as_ref());
        let Some(mechanism) = Mechanism::parse(mechanism).filter(|mechanism| offered.contains(mechanism))
        else {
            return Reply::new(504, Status::permanent(5, 4), "No such mechanism here").into();
        };
        let judge = self.authenticate.clone();
        let (conversation, turn) =
            Conversation::begin(judge.as_ref(), mechanism, circumstances, initial).await;
        self.conversation = Some(conversation);
        self.go_on(turn).await
    }

    pub(crate) async fn respond(&mut self, line: &[u8]) -> Answer {
        let judge = self.authenticate.clone();
        match &mut self.conversation {
            Some(conversation) => {
                let turn = conversation.answer(judge.as_ref(), line).await;
                self.go_on(turn).await
            }
            None => refused(Refusal::Malformed).into(),
        }
    }

    async fn go_on(&mut self, turn: Turn) -> Answer {
        let reply = match turn {
            Turn::Challenge(base64) => return Answer::Challenge(base64),
            Turn::Judged { verdict, .. } => self.judged(verdict).await,
            Turn::Refused(why) => {
                // Who only gives up or stumbles over the form has guessed no password.
                let is_clumsy = matches!(
                    why,
                    Refusal::Cancelled | Refusal::BadBase64 | Refusal::TooLong | Refusal::Malformed
                );
                if !is_clumsy {
                    self.fail().await;
                }
                info!(%why, "login refused");
                refused(why)
            }
        };
        self.conversation = None;
        reply.into()
    }

    async fn judged(&mut self, verdict: Verdict) -> Reply {
        match verdict {
            Ok(identity) => {
                info!(account = %identity, "login");
                self.ending = self.authenticate.clone().ending(identity.clone());
                self.identity = Some(identity);
                self.failures = 0;
                Reply::new(235, Status::success(7, 0), "Welcome")
            }
            Err(denied @ (Denied::WrongCredentials | Denied::OutOfScope)) => {
                self.fail().await;
                info!(failures = self.failures, "login failed");
                Reply::new(535, Status::permanent(7, 8), denied.to_string())
            }
            // It costs the connection what a wrong one costs.
            Err(denied @ Denied::TooManyGuesses(_)) => {
                self.fail().await;
                Reply::new(454, Status::transient(7, 0), denied.to_string())
            }
            Err(Denied::Unavailable(why)) => {
                warn!(why, "a login cannot be checked");
                Reply::new(454, Status::transient(7, 0), Denied::Unavailable(why).to_string())
            }
        }
    }

    async fn fail(&mut self) {
        let doubled = self.delay.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        tokio::time::sleep(doubled.min(DELAY_MAX)).await;
    }
}

fn refused(why: Refusal) -> Reply {
    let (code, status) = match why {
        Refusal::Cancelled => (501, Status::permanent(7, 0)),
        Refusal::BadBase64 | Refusal::Malformed => (501, Status::permanent(5, 2)),
        Refusal::TooLong => (500, Status::permanent(5, 6)),
        Refusal::Impersonation
        | Refusal::BadText
        | Refusal::Downgrade
        | Refusal::UnknownBinding
        | Refusal::WrongBinding => (535, Status::permanent(7, 8)),
    };
    Reply::new(code, status, why.to_string())
}
