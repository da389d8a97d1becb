//! Logins of one connection: the exchange, the question who it is, and the price of wrong answers.

use auth::{Authenticate, Denied, Exchange, Identity, Login, Mechanism, Refusal, Step};
use mail::{Reply, Status};
use smtp_proto::server::Answer;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// Longest pause after a failed login, however many there were.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// The login of one connection.
pub(crate) struct LoginState {
    authenticate: Arc<dyn Authenticate>,
    from: IpAddr,
    delay: Duration,
    failures: u32,
    exchange: Option<Exchange>,
    identity: Option<Identity>,
}

impl LoginState {
    /// `delay` is the pause after the first failure; each further one doubles it.
    pub(crate) fn new(authenticate: Arc<dyn Authenticate>, from: IpAddr, delay: Duration) -> Self {
        Self { authenticate, from, delay, failures: 0, exchange: None, identity: None }
    }

    pub(crate) fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) async fn begin(&mut self, mechanism: &str, initial: Option<&[u8]>) -> Answer {
        let Some(mechanism) = Mechanism::parse(mechanism) else {
            return Reply::new(504, Status::permanent(5, 4), "No such mechanism here").into();
        };
        let (exchange, step) = Exchange::begin(mechanism, initial);
        self.exchange = Some(exchange);
        self.go_on(step).await
    }

    pub(crate) async fn respond(&mut self, line: &[u8]) -> Answer {
        match self.exchange.as_mut().map(|exchange| exchange.answer(line)) {
            Some(step) => self.go_on(step).await,
            None => refused(Refusal::Malformed).into(),
        }
    }

    async fn go_on(&mut self, step: Step) -> Answer {
        match step {
            Step::Challenge(base64) => return Answer::Challenge(base64),
            Step::Refused(why) => {
                self.exchange = None;
                // Who only gives up or stumbles over the form has guessed no password.
                if matches!(why, Refusal::Impersonation | Refusal::BadText) {
                    self.fail().await;
                }
                info!(%why, "login refused");
                refused(why)
            }
            Step::Login(login) => {
                self.exchange = None;
                self.judge(login).await
            }
        }
        .into()
    }

    async fn judge(&mut self, login: Login) -> Reply {
        let user = login.user.clone();
        match self.authenticate.authenticate(login, self.from).await {
            Ok(identity) => {
                info!(account = %identity, "login");
                self.identity = Some(identity);
                self.failures = 0;
                Reply::new(235, Status::success(7, 0), "Welcome")
            }
            Err(denied @ Denied::WrongCredentials) => {
                self.fail().await;
                info!(user, failures = self.failures, "login failed");
                Reply::new(535, Status::permanent(7, 8), denied.to_string())
            }
            // It costs the connection what a wrong one costs.
            Err(denied @ Denied::TooManyGuesses(_)) => {
                self.fail().await;
                Reply::new(454, Status::transient(7, 0), denied.to_string())
            }
            Err(Denied::Unavailable(why)) => {
                warn!(user, why, "a login cannot be checked");
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
        Refusal::Impersonation | Refusal::BadText => (535, Status::permanent(7, 8)),
    };
    Reply::new(code, status, why.to_string())
}
