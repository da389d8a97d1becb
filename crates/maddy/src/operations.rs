//! Operations that only a daemon can carry out, by name.

use crate::admin::{DKIM, DkimAnswer, DkimCall, Effect};
use crate::bans::{self, BanAdd, BanInfo, BanLift};
use crate::cli::{
    CertificateLine, GUESSES_LIFT, GUESSES_LIST, NextKey, RELOAD, STATUS, TLS_LIST, TLS_RENEW, TLS_ROLLOVER,
    TlsRenew, TlsRollover,
};
use crate::login::{GuessInfo, GuessLift};
use crate::openapi::Route;
use crate::overview::{OVERVIEW, Overview};
use crate::selfcheck::SELF_CHECK;
use schemars::{JsonSchema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DaemonOperation {
    Status,
    Reload,
    Overview,
    Dkim,
    SelfCheck,
    TlsList,
    TlsRenew,
    TlsRollover,
    GuessesList,
    GuessesLift,
    BansList,
    BansAdd,
    BansLift,
}

/// How it stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) hostname: String,
    /// Connections that live.
    pub(crate) connections: usize,
    /// How the kernel holds the process: its user, `landlock` and `seccomp`, each `on` or not, with a `detail`.
    pub(crate) sandbox: Value,
}

impl DaemonOperation {
    pub(crate) const ALL: [Self; 13] = [
        Self::Status,
        Self::Reload,
        Self::Overview,
        Self::Dkim,
        Self::SelfCheck,
        Self::TlsList,
        Self::TlsRenew,
        Self::TlsRollover,
        Self::GuessesList,
        Self::GuessesLift,
        Self::BansList,
        Self::BansAdd,
        Self::BansLift,
    ];

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|operation| operation.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Status => STATUS,
            Self::Reload => RELOAD,
            Self::Overview => OVERVIEW,
            Self::Dkim => DKIM,
            Self::SelfCheck => SELF_CHECK,
            Self::TlsList => TLS_LIST,
            Self::TlsRenew => TLS_RENEW,
            Self::TlsRollover => TLS_ROLLOVER,
            Self::GuessesList => GUESSES_LIST,
            Self::GuessesLift => GUESSES_LIFT,
            Self::BansList => bans::LIST,
            Self::BansAdd => bans::ADD,
            Self::BansLift => bans::LIFT,
        }
    }

    /// Whether it changes something.
    pub(crate) fn effect(self) -> Effect {
        match self {
            Self::Status | Self::Overview | Self::TlsList | Self::GuessesList | Self::BansList => {
                Effect::Reads
            }
            Self::Reload
            | Self::Dkim
            | Self::SelfCheck
            | Self::TlsRenew
            | Self::TlsRollover
            | Self::GuessesLift
            | Self::BansAdd
            | Self::BansLift => Effect::Changes,
        }
    }

    fn route(self, schemas: &mut SchemaGenerator) -> Route {
        let (name, effect) = (self.name(), self.effect());
        match self {
            Self::Status => Route::of::<(), Status>(schemas, name, effect).called("How it stands."),
            Self::Reload => {
                Route::of::<(), String>(schemas, name, effect).called("Reads the configuration again.")
            }
            Self::Overview => Route::of::<(), Overview>(schemas, name, effect)
                .called("Sessions, queue and what was counted since the start."),
            Self::Dkim => Route::of::<DkimCall, DkimAnswer>(schemas, name, effect)
                .called("The keys with which we sign."),
            Self::SelfCheck => Route::of::<(), ()>(schemas, name, effect)
                .called("Looks anew whether others would believe what is sent from here.")
                .answering(report_schema()),
            Self::TlsList => Route::of::<(), Vec<CertificateLine>>(schemas, name, effect)
                .called("The certificates that come from an authority."),
            Self::TlsRenew => Route::of::<TlsRenew, ()>(schemas, name, effect),
            Self::TlsRollover => Route::of::<TlsRollover, Vec<NextKey>>(schemas, name, effect),
            Self::GuessesList => Route::of::<(), Vec<GuessInfo>>(schemas, name, effect)
                .called("What is counted of failed logins."),
            Self::GuessesLift => Route::of::<GuessLift, ()>(schemas, name, effect),
            Self::BansList => {
                Route::of::<(), Vec<BanInfo>>(schemas, name, effect).called("Who is not let in.")
            }
            Self::BansAdd => Route::of::<BanAdd, ()>(schemas, name, effect),
            Self::BansLift => Route::of::<BanLift, ()>(schemas, name, effect),
        }
    }
}

/// All of them described.
pub(crate) fn routes(schemas: &mut SchemaGenerator) -> Vec<Route> {
    DaemonOperation::ALL.into_iter().map(|operation| operation.route(schemas)).collect()
}

/// What [`delivery::selfcheck::Report`] looks like.
pub(crate) fn report_schema() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "type": "object",
        "description": "What was found.",
        "properties": {
            "at": { "type": "integer", "description": "When it was looked, in seconds since 1970." },
            "points": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "check": text(), "state": text(), "about": text(), "text": text(), "help": text(),
                    },
                },
            },
            "burning": {
                "description": "Domains whose mail would fail their own policy, and why.",
                "type": ["array", "object"],
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_find_their_operations() {
        for operation in DaemonOperation::ALL {
            assert_eq!(DaemonOperation::named(operation.name()), Some(operation));
        }
        assert_eq!(DaemonOperation::named("none"), None);
    }
}
