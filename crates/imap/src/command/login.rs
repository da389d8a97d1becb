//! LOGIN and AUTHENTICATE: who it is, and how guessing is made slow.

use crate::client::{Account, Client};
use auth::{Denied, Exchange, Identity, Login, Mechanism, Refusal, Step};
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
        Ok(login) => judge(client, login).await,
        Err(refusal) => refused(client, refusal).await,
    }
}

/// AUTHENTICATE begins (RFC 9051 §6.2.2).
pub(crate) async fn begin(client: &mut Client, mechanism: &str, initial: Option<Secret>) {
    let Some(mechanism) = Mechanism::parse(mechanism) else {
        let response = Response::no("This mechanism is not known here.").word("CANNOT");
        return client.session.answer(Answer::Done(response));
    };
    let (exchange, step) = Exchange::begin(mechanism, initial.as_ref().map(|secret| secret.0.as_slice()));
    client.exchange = Some(exchange);
    answer(client, step).await;
}

/// The client's next line.
pub(crate) async fn go_on(client: &mut Client, line: Secret) {
    let Some(exchange) = &mut client.exchange else {
        return client.session.answer(Answer::Done(Response::bad("No login is under way.")));
    };
    let step = exchange.answer(&line.0);
    answer(client, step).await;
}

async fn answer(client: &mut Client, step: Step) {
    let response = match step {
        Step::Challenge(challenge) => return client.session.answer(Answer::Challenge(challenge)),
        Step::Login(login) => judge(client, login).await,
        Step::Refused(refusal) => refused(client, refusal).await,
    };
    client.exchange = None;
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
        Refusal::BadText => {
            penalty(client).await;
            Response::no(format!("{refusal}.")).word("AUTHENTICATIONFAILED")
        }
    }
}

async fn judge(client: &mut Client, login: Login) -> Response {
    let user = login.user.clone();
    let from = client.conn.peer().ip();
    match client.house.authenticate.authenticate(login, from).await {
        Ok(identity) => welcome(client, &identity).await,
        Err(Denied::WrongCredentials) => {
            info!(user, %from, "login failed");
            penalty(client).await;
            Response::no(format!("{}.", Denied::WrongCredentials)).word("AUTHENTICATIONFAILED")
        }
        // It costs the connection what a wrong one costs.
        Err(denied @ Denied::TooManyGuesses(_)) => {
            penalty(client).await;
            Response::no(format!("{denied}.")).word("UNAVAILABLE")
        }
        Err(denied @ Denied::Unavailable(_)) => {
            warn!(user, reason = ?denied, "login could not be checked");
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

async fn welcome(client: &mut Client, identity: &Identity) -> Response {
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
    client.account = Some(Account {
        id: account.id,
        name: name.to_owned(),
        bell: client.house.store.watch(account.id),
        append_limit: account.append_limit.unwrap_or(u64::MAX).min(client.config.append_limit),
        _seat: seat,
    });
    Response::ok("Welcome.")
}
