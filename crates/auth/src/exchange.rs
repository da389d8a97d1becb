//! The server's side of a SASL exchange (RFC 4422), without sockets. In and out is what stands on the wire of SMTP
//! (RFC 4954 §4) and IMAP (RFC 9051 §6.2.2) alike: base64, `=` for an empty initial response, `*` to cancel.

use crate::authenticate::Claim;
use crate::login::{Login, Secret, account_name, check_user};
use crate::oauth::{self, TokenClaim};
use crate::plain;
use crate::scram::{self, Binding, Bindings, ScramFacts, ScramHash};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroizing;

/// Longest line of base64 that is looked at, in octets (RFC 4954 §4).
pub const RESPONSE_MAX: usize = 12288;

/// How a client may prove who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 7677, bound to the TLS connection.
    ScramSha256Plus,
    /// RFC 7677.
    ScramSha256,
    /// RFC 5802, bound to the TLS connection.
    ScramSha1Plus,
    /// RFC 5802, for old clients.
    ScramSha1,
    /// RFC 4422 appendix A: the client has shown who it is by its TLS certificate.
    External,
    /// RFC 7628: a token of an authorization server.
    OauthBearer,
    /// The forerunner of OAUTHBEARER, never standardised, and what most clients speak.
    Xoauth2,
    /// RFC 4616.
    Plain,
    /// Never standardised (draft-murchison-sasl-login), still what some clients know best.
    Login,
}

impl Mechanism {
    /// All, in the order in which they are announced.
    pub const ALL: &[Self] = &[
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::ScramSha1Plus,
        Self::ScramSha1,
        Self::External,
        Self::OauthBearer,
        Self::Xoauth2,
        Self::Plain,
        Self::Login,
    ];

    /// The mechanism of a name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::External => "EXTERNAL",
            Self::OauthBearer => "OAUTHBEARER",
            Self::Xoauth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Whether it is of the family of SCRAM.
    pub fn is_scram(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha256 | Self::ScramSha1Plus | Self::ScramSha1)
    }

    /// Whether a token is shown.
    pub fn takes_tokens(self) -> bool {
        matches!(self, Self::OauthBearer | Self::Xoauth2)
    }

    /// Whether it needs a connection to bind to.
    pub fn is_bound(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha1Plus)
    }
}

/// What comes next in an exchange.
#[derive(Debug)]
pub enum Step {
    /// Send this to the client (base64, perhaps empty) and hand its line to [`Exchange::answer`].
    Challenge(String),
    /// Find out what this user is to be asked with, and go on with [`Exchange::ask`].
    Scram { user: String, hash: ScramHash },
    /// This is who the client says it is. If that is believed, `last` is the server's last challenge, to which the client
    /// has nothing more to say.
    Claim { claim: Claim, last: Option<String> },
    /// The exchange is over without a login.
    Refused(Refusal),
}

/// Why an exchange gave no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The client cancelled it (501 5.7.0, BAD).
    Cancelled,
    /// 501 5.5.2, BAD.
    BadBase64,
    /// Over [`RESPONSE_MAX`] (500 5.5.6, BAD).
    TooLong,
    /// Not what the mechanism says must come here (501 5.5.2, BAD).
    Malformed,
    /// The client asks to act for somebody else (535 5.7.8, NO).
    Impersonation,
    /// A user name or password that nobody can have (535 5.7.8, NO).
    BadText,
    /// The client was made to believe that we cannot bind to TLS (535 5.7.8, NO).
    Downgrade,
    /// A kind of channel binding that is not there (535 5.7.8, NO).
    UnknownBinding,
    /// The client's end of TLS is not the one that ends here (535 5.7.8, NO).
    WrongBinding,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "Authentication cancelled",
            Self::BadBase64 => "The response is not valid base64",
            Self::TooLong => "The response is too long",
            Self::Malformed => "The response does not have the form of this mechanism",
            Self::Impersonation => {
                "Acting for another account is not allowed; leave the authorization identity empty"
            }
            Self::BadText => "User name or password has characters that cannot be, or is empty or too long",
            Self::Downgrade => {
                "Channel binding is offered here, and you were told otherwise; somebody may sit in between"
            }
            Self::UnknownBinding => "This kind of channel binding is not offered here",
            Self::WrongBinding => {
                "The TLS connection on your side is another one; somebody may sit in between"
            }
        })
    }
}

impl std::error::Error for Refusal {}

/// An exchange under way.
#[derive(Debug)]
pub struct Exchange {
    state: State,
}

#[derive(Debug)]
enum State {
    Scram { hash: ScramHash, binding: Binding, offered: Bindings },
    ScramWaiting(Box<scram::First>),
    ScramAsked(Box<scram::Asked>),
    External,
    OauthBearer,
    Xoauth2,
    Plain,
    LoginUser,
    LoginPassword { user: String },
    Over,
}

impl Exchange {
    /// Begins with the initial response that came along with the command, as it stood there, if there was one.
    /// `offered` is what the client can bind to.
    pub fn begin(mechanism: Mechanism, offered: Bindings, initial: Option<&[u8]>) -> (Self, Step) {
        let scram = |hash, binding| State::Scram { hash, binding, offered };
        let state = match mechanism {
            Mechanism::ScramSha256Plus => scram(ScramHash::Sha256, Binding::Plus),
            Mechanism::ScramSha256 => scram(ScramHash::Sha256, Binding::Unbound),
            Mechanism::ScramSha1Plus => scram(ScramHash::Sha1, Binding::Plus),
            Mechanism::ScramSha1 => scram(ScramHash::Sha1, Binding::Unbound),
            Mechanism::External => State::External,
            Mechanism::OauthBearer => State::OauthBearer,
            Mechanism::Xoauth2 => State::Xoauth2,
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginUser,
        };
        let mut exchange = Self { state };
        let step = match initial {
            None => Step::Challenge(exchange.challenge()),
            Some(b"=") => exchange.respond(&[]),
            Some(line) => exchange.decoded(line),
        };
        (exchange, step)
    }

    /// Goes on after [`Step::Scram`].
    pub fn ask(&mut self, facts: ScramFacts) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ScramWaiting(first) => {
                let (asked, said) = first.ask(facts);
                self.state = State::ScramAsked(Box::new(asked));
                Step::Challenge(STANDARD.encode(said))
            }
            _ => Step::Refused(Refusal::Malformed),
        }
    }

    /// Goes on with one line of the client, without its CRLF.
    pub fn answer(&mut self, line: &[u8]) -> Step {
        if line == b"*" {
            self.state = State::Over;
            return Step::Refused(Refusal::Cancelled);
        }
        self.decoded(line)
    }

    fn decoded(&mut self, line: &[u8]) -> Step {
        if line.len() > RESPONSE_MAX {
            self.state = State::Over;
            return Step::Refused(Refusal::TooLong);
        }
        match STANDARD.decode(line).map(Zeroizing::new) {
            Ok(octets) => self.respond(&octets),
            Err(_) => {
                self.state = State::Over;
                Step::Refused(Refusal::BadBase64)
            }
        }
    }

    fn respond(&mut self, octets: &[u8]) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Scram { hash, binding, offered } => {
                self.scram(scram::first(octets, hash, binding, &offered), hash)
            }
            State::ScramAsked(asked) => match asked.judge(octets) {
                Ok(proven) => Step::Claim {
                    claim: Claim::Scram { user: proven.user, proof: proven.proof },
                    last: Some(STANDARD.encode(proven.last)),
                },
                Err(refusal) => Step::Refused(refusal),
            },
            State::External => match external(octets) {
                Ok(authorize) => {
                    Step::Claim { claim: Claim::Certificate { authorize, key: None }, last: None }
                }
                Err(refusal) => Step::Refused(refusal),
            },
            State::OauthBearer => token(oauth::bearer(octets)),
            State::Xoauth2 => token(oauth::xoauth2(octets)),
            State::Plain => finish(plain::read(octets)),
            State::LoginUser => match std::str::from_utf8(octets) {
                Ok(user) => {
                    self.state = State::LoginPassword { user: user.to_owned() };
                    Step::Challenge(self.challenge())
                }
                Err(_) => Step::Refused(Refusal::BadText),
            },
            State::LoginPassword { user } => finish(
                std::str::from_utf8(octets)
                    .map_err(|_| Refusal::BadText)
                    .and_then(|password| Login::new(&user, Secret::new(password.to_owned()))),
            ),
            State::ScramWaiting(_) | State::Over => Step::Refused(Refusal::Malformed),
        }
    }

    fn scram(&mut self, first: Result<scram::First, Refusal>, hash: ScramHash) -> Step {
        match first {
            Ok(first) => {
                let user = first.user.clone();
                self.state = State::ScramWaiting(Box::new(first));
                Step::Scram { user, hash }
            }
            Err(refusal) => Step::Refused(refusal),
        }
    }

    fn challenge(&self) -> String {
        let words = match self.state {
            State::LoginUser => "Username:",
            State::LoginPassword { .. } => "Password:",
            _ => "",
        };
        STANDARD.encode(words)
    }
}

fn finish(login: Result<Login, Refusal>) -> Step {
    match login {
        Ok(login) => Step::Claim { claim: Claim::Password(login), last: None },
        Err(refusal) => Step::Refused(refusal),
    }
}

fn token(claim: Result<TokenClaim, Refusal>) -> Step {
    match claim {
        Ok(claim) => Step::Claim { claim: Claim::Token(claim), last: None },
        Err(refusal) => Step::Refused(refusal),
    }
}

/// The account that a certificate shall let in, where the client names one (RFC 4422 appendix A).
fn external(octets: &[u8]) -> Result<Option<String>, Refusal> {
    let text = std::str::from_utf8(octets).map_err(|_| Refusal::BadText)?;
    if text.is_empty() {
        return Ok(None);
    }
    check_user(text)?;
    Ok(Some(account_name(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays `C:` lines (raw when they begin with `!`, otherwise encoded) and gives what the server said.
    fn play(mechanism: Mechanism, initial: Option<&[u8]>, lines: &[&[u8]]) -> Vec<String> {
        let encode = |line: &[u8]| match line {
            [b'!', raw @ ..] => raw.to_vec(),
            octets => STANDARD.encode(octets).into_bytes(),
        };
        let (mut exchange, step) =
            Exchange::begin(mechanism, Bindings::default(), initial.map(encode).as_deref());
        let mut said = vec![show(&step)];
        for line in lines {
            said.push(show(&exchange.answer(&encode(line))));
        }
        said
    }

    fn show(step: &Step) -> String {
        match step {
            Step::Challenge(text) => {
                format!("? {}", String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
            }
            Step::Claim { claim: Claim::Password(login), .. } => {
                format!("{} / {}", login.user, login.password.reveal())
            }
            Step::Claim { claim: Claim::Certificate { authorize, key: None }, .. } => {
                format!("certificate {}", authorize.as_deref().unwrap_or("-"))
            }
            Step::Claim { claim: Claim::Token(claim), .. } => {
                format!("token of {}", claim.user.as_deref().unwrap_or("-"))
            }
            Step::Refused(why) => format!("{why:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn plain() {
        let long = [b'!'].into_iter().chain(std::iter::repeat_n(b'A', RESPONSE_MAX + 4)).collect::<Vec<u8>>();
        for (initial, want) in [
            (&b"\0Alice@x.y\0pass word"[..], "alice@x.y / pass word"),
            (b"alice@X.y\0alice@x.y\0p", "alice@x.y / p"),
            (b"bob@x.y\0alice@x.y\0p", "Impersonation"),
            ("\0ü@x.y\0pässword".as_bytes(), "ü@x.y / pässword"),
            (b"\0a@x.y\0", "BadText"),
            (b"\0\0p", "BadText"),
            (b"\0a@x.y\0p\0q", "Malformed"),
            (b"\0a@x.y", "Malformed"),
            (b"", "Malformed"),
            (b"!=", "Malformed"),
            (b"!?", "BadBase64"),
            (b"!AGEAYg", "BadBase64"),
            (b"\0a\xff@x.y\0p", "BadText"),
            (b"\0a@x.y\0p\nq", "BadText"),
            (&long, "TooLong"),
        ] {
            assert_eq!(play(Mechanism::Plain, Some(initial), &[]), [want]);
            if initial != b"!=" {
                assert_eq!(play(Mechanism::Plain, None, &[initial]), ["? ", want]);
            }
        }
        assert_eq!(play(Mechanism::Plain, None, &[b"!*"]), ["? ", "Cancelled"]);
        assert_eq!(play(Mechanism::Plain, Some(b"\0a\0b"), &[b"\0a\0b"]), ["a / b", "Malformed"]);
    }

    #[test]
    fn login() {
        assert_eq!(
            play(Mechanism::Login, None, &[b"Alice@x.y", b"secret"]),
            ["? Username:", "? Password:", "alice@x.y / secret"]
        );
        assert_eq!(play(Mechanism::Login, Some(b"a@x.y"), &[b"secret"]), ["? Password:", "a@x.y / secret"]);
        assert_eq!(
            play(Mechanism::Login, None, &[b"a@x.y", b"!*"]),
            ["? Username:", "? Password:", "Cancelled"]
        );
        assert_eq!(play(Mechanism::Login, None, &[b"a@x.y", b""]), ["? Username:", "? Password:", "BadText"]);
        assert_eq!(play(Mechanism::Login, None, &[b"\xff"]), ["? Username:", "BadText"]);
    }

    #[test]
    fn tokens() {
        assert_eq!(
            play(Mechanism::OauthBearer, Some(b"n,a=A@x.y,\x01auth=Bearer t\x01\x01"), &[]),
            ["token of a@x.y"]
        );
        assert_eq!(
            play(Mechanism::OauthBearer, None, &[b"n,,\x01auth=Bearer t\x01\x01"]),
            ["? ", "token of -"]
        );
        assert_eq!(
            play(Mechanism::Xoauth2, None, &[b"user=a@x.y\x01auth=Bearer t\x01\x01"]),
            ["? ", "token of a@x.y"]
        );
        assert_eq!(play(Mechanism::Xoauth2, Some(b"n,,\x01auth=Bearer t\x01\x01"), &[]), ["Malformed"]);
        assert_eq!(play(Mechanism::OauthBearer, Some(b"\x01"), &[]), ["Malformed"]);
        assert_eq!(play(Mechanism::OauthBearer, None, &[b"!*"]), ["? ", "Cancelled"]);
    }

    #[test]
    fn external() {
        assert_eq!(play(Mechanism::External, Some(b"!="), &[]), ["certificate -"]);
        assert_eq!(play(Mechanism::External, None, &[b""]), ["? ", "certificate -"]);
        assert_eq!(play(Mechanism::External, Some(b"Alice@X.y"), &[]), ["certificate alice@x.y"]);
        assert_eq!(play(Mechanism::External, None, &[b"!*"]), ["? ", "Cancelled"]);
        assert_eq!(play(Mechanism::External, Some(b"a\0b"), &[]), ["BadText"]);
        assert_eq!(play(Mechanism::External, Some(b"\xff"), &[]), ["BadText"]);
        assert_eq!(play(Mechanism::External, Some(b"!?"), &[]), ["BadBase64"]);
    }

    #[test]
    fn mechanisms_have_names() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(&mechanism.name().to_lowercase()), Some(*mechanism));
        }
        assert_eq!(Mechanism::parse("CRAM-MD5"), None);
    }
}
