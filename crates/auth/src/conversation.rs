//! A SASL exchange together with the judge who is asked in between: the same for every door.

use crate::authenticate::{Authenticate, Claim, Denied, Verdict};
use crate::exchange::{Exchange, Mechanism, Refusal, Step};
use crate::identity::Visitor;
use crate::scram::Bindings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a door knows of the connection on which somebody logs in.
#[derive(Clone, Debug)]
pub struct Circumstances {
    pub visitor: Visitor,
    pub bindings: Bindings,
    /// SHA-256 of the key of the client's TLS certificate, if it has shown one.
    pub certificate: Option<[u8; 32]>,
}

impl Circumstances {
    /// What is announced on this connection, best first.
    pub fn offers(&self, judge: &dyn Authenticate) -> Vec<Mechanism> {
        let mut offers = judge.mechanisms();
        offers.retain(|mechanism| match mechanism {
            Mechanism::External => self.certificate.is_some(),
            mechanism => !mechanism.is_bound() || self.bindings.are_possible(),
        });
        offers
    }
}

/// What the answer to a token says (RFC 6750 §3.1). Nothing where the token was not looked at.
fn status_of(denied: &Denied) -> Option<&'static str> {
    match denied {
        Denied::WrongCredentials => Some("invalid_token"),
        Denied::OutOfScope => Some("insufficient_scope"),
        Denied::TooManyGuesses(_) | Denied::Unavailable(_) => None,
    }
}

/// What the door is to do.
#[derive(Debug)]
pub enum Turn {
    /// Send this challenge (base64, perhaps empty) and hand the client's line to [`Conversation::answer`].
    Challenge(String),
    /// The exchange is over without anything to be judged.
    Refused(Refusal),
    /// The exchange is over: this became of the account's login.
    Judged { user: String, verdict: Verdict },
}

/// An exchange under way.
#[derive(Debug)]
pub struct Conversation {
    exchange: Exchange,
    visitor: Visitor,
    certificate: Option<[u8; 32]>,
    /// What is said once the client has heard the last challenge.
    judged: Option<(String, Verdict)>,
}

impl Conversation {
    /// Begins with the initial response that came along with the command, as it stood there, if there was one.
    pub async fn begin(
        judge: &dyn Authenticate,
        mechanism: Mechanism,
        circumstances: Circumstances,
        initial: Option<&[u8]>,
    ) -> (Self, Turn) {
        let Circumstances { visitor, bindings, certificate } = circumstances;
        let (exchange, step) = Exchange::begin(mechanism, bindings, initial);
        let mut conversation = Self { exchange, visitor, certificate, judged: None };
        let turn = conversation.go_on(judge, step).await;
        (conversation, turn)
    }

    /// Goes on with one line of the client, without its CRLF.
    pub async fn answer(&mut self, judge: &dyn Authenticate, line: &[u8]) -> Turn {
        if let Some((user, verdict)) = self.judged.take() {
            return match (line, verdict) {
                // The client has nothing more to say to the server's last message (RFC 4422 §3.6).
                (b"" | b"=", verdict) => Turn::Judged { user, verdict },
                (b"*", Ok(_)) => Turn::Refused(Refusal::Cancelled),
                (_, Ok(_)) => Turn::Refused(Refusal::Malformed),
                (_, Err(denied)) => Turn::Judged { user, verdict: Err(denied) },
            };
        }
        let step = self.exchange.answer(line);
        self.go_on(judge, step).await
    }

    async fn go_on(&mut self, judge: &dyn Authenticate, mut step: Step) -> Turn {
        loop {
            step = match step {
                Step::Challenge(challenge) => return Turn::Challenge(challenge),
                Step::Refused(refusal) => return Turn::Refused(refusal),
                Step::Scram { user, hash } => match judge.scram(&user, hash, self.visitor).await {
                    Ok(facts) => self.exchange.ask(facts),
                    Err(denied) => return Turn::Judged { user, verdict: Err(denied) },
                },
                Step::Claim { claim, last } => return self.judge(judge, claim, last).await,
            }
        }
    }

    async fn judge(&mut self, judge: &dyn Authenticate, mut claim: Claim, last: Option<String>) -> Turn {
        if let Claim::Certificate { key, .. } = &mut claim {
            *key = self.certificate;
        }
        let user = claim.user().to_owned();
        let is_token = matches!(claim, Claim::Token(_));
        let verdict = judge.authenticate(claim, self.visitor).await;
        // The client hears what it needs to get a better token, and says something without meaning before the exchange
        // fails (RFC 7628 §3.2.3).
        if let Some(status) = verdict.as_ref().err().filter(|_| is_token).and_then(status_of) {
            let error = judge.discovery().error(status);
            self.judged = Some((user, verdict));
            return Turn::Challenge(STANDARD.encode(error));
        }
        match last {
            Some(last) if verdict.is_ok() => {
                self.judged = Some((user, verdict));
                Turn::Challenge(last)
            }
            _ => Turn::Judged { user, verdict },
        }
    }
}
