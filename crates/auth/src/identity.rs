//! Who has proved who they are, by what, and what they may do.

use std::fmt;
use std::net::IpAddr;

/// What a door serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    Imap,
    Submission,
}

/// What may be done with mailboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mailboxes {
    Closed,
    ReadOnly,
    Open,
}

/// Whether mail may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sending {
    Refused,
    Allowed,
}

/// What a login is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    pub mailboxes: Mailboxes,
    pub sending: Sending,
}

impl Scope {
    /// Everything that the account may do.
    pub const ALL: Self = Self { mailboxes: Mailboxes::Open, sending: Sending::Allowed };

    /// Whether a service may be used at all.
    pub fn covers(self, service: Service) -> bool {
        match service {
            Service::Imap => self.mailboxes != Mailboxes::Closed,
            Service::Submission => self.sending == Sending::Allowed,
        }
    }
}

/// Where a login comes from, and what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub from: IpAddr,
    pub service: Service,
}

/// A digest of a stored secret, to know it again by.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Trace([u8; 16]);

impl Trace {
    /// Of a stored hash, which holds a random salt: no two passwords leave the same.
    pub fn of(stored: &str) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, stored.as_bytes());
        let mut trace = [0; 16];
        for (to, from) in trace.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(trace)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace(***)")
    }
}

/// What somebody has proved who they are with. A session lasts as long as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// The account's password.
    Password(Trace),
    /// The app password of this number.
    AppPassword(i64),
    /// The client certificate that was registered under this number.
    Certificate(i64),
    /// A token of an authorization server, good until then (seconds since 1970), if it said so. It may take the token back
    /// before that, of which nobody tells us; the account can go.
    Token { until: Option<i64> },
    /// Something that cannot be taken back.
    Given,
}

/// An account whose owner has proved who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    account: String,
    scope: Scope,
    proof: Proof,
}

impl Identity {
    /// For implementations of [`crate::Authenticate`], once the proof is good.
    pub fn new(account: impl Into<String>, scope: Scope, proof: Proof) -> Self {
        Self { account: account.into(), scope, proof }
    }

    /// One that may do everything and cannot be taken back.
    pub fn proven(account: impl Into<String>) -> Self {
        Self::new(account, Scope::ALL, Proof::Given)
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.account
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub fn proof(&self) -> &Proof {
        &self.proof
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.account)
    }
}
