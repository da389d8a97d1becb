//! LOGIN and AUTHENTICATE: who it is, and how guessing is made slow.

use crate::client::{Account, Client};
use auth::{Claim, Conversation, Denied, Identity, Login, Mechanism, Refusal, Turn, Verdict};
use imap_proto::{Answer, Response, Secret};
use std::time::Duration;
use tracing::{info, warn};

/// Longest pause after a failed login.
const DELAY_MAX: Duration = Duration::from_secs(30);

/// LOGIN (RFC 9051 §6.2.3).
pub(super) async fn run(client: &mut Client, user: &str, password: &Secret) -> Response {
    let Ok(password) = std::str::from_utf8(&password.0) else {
        return refused(client, Refusal::BadText).await;
    };
    match Login::new(user, auth::Secret::new(password.to_owned())) {
        Ok(login) => {
            let visitor = client.circumstances().visitor;
            let verdict = client.house.authenticate.authenticate(Claim::Password(login), visitor).await;
            judged(client, verdict).await
        }
        Err(refusal) => refused(client, refusal).await,
    }
}

/// AUTHENTICATE begins (RFC 9051 §6.2.2).
pub(crate) async fn begin(client: &mut Client, mechanism: &str, initial: Option<Secret>) {
    let circumstances = client.circumstances();
    let judge = client.house.authenticate.clone();
    let offered = circumstances.offers(judge.as_ref());
    let Some(mechanism) = Mechanism::parse(mechanism).filter(|mechanism| offered.contains(mechanism)) else {
        let response = Response::no("This mechanism is not known here.").word("CANNOT");
        return client.session.answer(Answer::Done(response));
    };
    let initial = initial.as_ref().map(|secret| secret.0.as_slice());
    let (conversation, turn) = Conversation::begin(judge.as_ref(), mechanism, circumstances, initial).await;
    client.conversation = Some(conversation);
    answer(client, turn).await;
}

/// The client's next line.
pub(crate) async fn go_on(client: &mut Client, line: Secret) {
    let judge = client.house.authenticate.clone();
    let Some(conversation) = &mut client.conversation else {
        return client.session.answer(Answer::Done(Response::bad("No login is under way.")));
    };
    let turn = conversation.answer(judge.as_ref(), &line.0).await;
    answer(client, turn).await;
}

async fn answer(client: &mut Client, turn: Turn) {
    let response = match turn {
        Turn::Challenge(challenge) => return client.session.answer(Answer::Challenge(challenge)),
        Turn::Judged { verdict, .. } => judged(client, verdict).await,
        Turn::Refused(refusal) => refused(client, refusal).await,
    };
    client.conversation = None;
    client.session.answer(Answer::Done(response));
}

async fn refused(client: &mut Client, refusal: Refusal) -> Response {
    match refusal {
        Refusal::Cancelled | Refusal::BadBase64 | Refusal::TooLong | Refusal::Malformed => {
            Response::bad(format!("{refusal}."))
        }
        Refusal::Impersonation => {
            penalty(client).await;
            Response::no(format!("{refusal}.")).word("AUTHORIZATIONFAILED")
        }
        Refusal::BadText | Refusal::Downgrade | Refusal::UnknownBinding | Refusal::WrongBinding => {
            penalty(client).await;
            Response::no(format!("{refusal}.")).word("AUTHENTICATIONFAILED")
        }
    }
}

async fn judged(client: &mut Client, verdict: Verdict) -> Response {
    let from = client.conn.peer().ip();
    match verdict {
        Ok(identity) => welcome(client, identity).await,
        Err(Denied::WrongCredentials) => {
            info!(%from, "login failed");
            penalty(client).await;
            Response::no(format!("{}.", Denied::WrongCredentials)).word("AUTHENTICATIONFAILED")
        }
        Err(denied @ Denied::OutOfScope) => {
            penalty(client).await;
            Response::no(format!("{denied}.")).word("AUTHORIZATIONFAILED")
        }
        // It costs the connection what a wrong one costs.
        Err(denied @ Denied::TooManyGuesses(_)) => {
            penalty(client).await;
            Response::no(format!("{denied}.")).word("UNAVAILABLE")
        }
        Err(denied @ Denied::Unavailable(_)) => {
            warn!(reason = ?denied, "login could not be checked");
            Response::no(format!("{denied}.")).word("UNAVAILABLE")
        }
    }
}

/// A growing pause, so that a connection is no good for guessing.
async fn penalty(client: &mut Client) {
    let factor = 1_u32.checked_shl(client.failures).unwrap_or(u32::MAX);
    client.failures += 1;
    let pause = client.config.failure_delay.saturating_mul(factor).min(DELAY_MAX);
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

async fn welcome(client: &mut Client, identity: Identity) -> Response {
    let name = identity.account();
    let account = match client.house.store.account(name).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            info!(account = name, "credentials without mailboxes");
            let text = "These credentials have no mailboxes; they are for sending only.";
            return Response::no(text).word("CONTACTADMIN");
        }
        Err(error) => return crate::refusal::response(&error),
    };
    let Some(seat) = client.house.seat(account.id, client.config.connections_per_account) else {
        info!(account = name, "too many connections of one account");
        return Response::no("This account has too many connections open.").word("LIMIT");
    };
    info!(account = name, "logged in");
    client.conn.belongs_to(Some(name));
    client.session.hide_from_account(client.config.hidden_from(name));
    client.message_limit = client.session.offers("MESSAGELIMIT").then_some(client.config.message_limit);
    client.account = Some(Account {
        id: account.id,
        name: name.to_owned(),
        scope: identity.scope(),
        bell: client.house.store.watch(account.id),
        append_limit: account.append_limit.unwrap_or(u64::MAX).min(client.config.append_limit),
        _seat: seat,
        ending: client.house.authenticate.clone().ending(identity),
    });
    Response::ok("Welcome.")
}
