//! How a session begins, and what it announces.

use super::{Session, State};

/// What is announced to everyone, before and after login.
const CAPABILITIES: &str = "IMAP4rev1 IMAP4rev2 LITERAL+ SASL-IR ID ENABLE IDLE NAMESPACE CHILDREN UNSELECT UIDPLUS \
     MOVE SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS ESEARCH SEARCHRES STATUS=SIZE CONDSTORE QRESYNC WITHIN \
     OBJECTID SAVEDATE PREVIEW MULTIAPPEND BINARY REPLACE \
     SORT SORT=DISPLAY ESORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES I18NLEVEL=1 MULTISEARCH";

/// Whether the connection is, or can become, private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privacy {
    /// TLS is on.
    Tls,
    /// Clear text, and STARTTLS is offered.
    StartTls,
    /// Clear text, and there is no TLS to be had.
    Clear,
}

/// Whether logins are taken in clear text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClearLogin {
    Refused,
    Allowed,
}

/// How a session begins.
#[derive(Clone, Debug)]
pub struct Options {
    pub privacy: Privacy,
    pub clear_login: ClearLogin,
    /// SASL mechanisms in capitals, best first.
    pub mechanisms: Vec<&'static str>,
    /// Largest message that APPEND takes, in octets (RFC 7889).
    pub append_limit: u64,
    /// Text of the greeting.
    pub greeting: String,
}

impl Session {
    pub(super) fn may_login(&self) -> bool {
        self.options.privacy == Privacy::Tls || self.options.clear_login == ClearLogin::Allowed
    }

    pub(super) fn capability(&self) -> String {
        let mut list = format!("{CAPABILITIES} APPENDLIMIT={}", self.options.append_limit);
        if self.state == State::NotAuthenticated {
            if self.options.privacy == Privacy::StartTls {
                list.push_str(" STARTTLS");
            }
            if self.may_login() {
                for mechanism in &self.options.mechanisms {
                    list.push_str(" AUTH=");
                    list.push_str(mechanism);
                }
            } else {
                list.push_str(" LOGINDISABLED");
            }
        }
        list
    }
}
