//! How a session begins, and what it announces.

use super::{Session, State};

/// What is announced to everyone, before and after login; from the third on in the order of the alphabet.
const CAPABILITIES: &[&str] = &[
    "IMAP4rev1",
    "IMAP4rev2",
    "ACL",
    "BINARY",
    "CATENATE",
    "CHILDREN",
    "CONDSTORE",
    "CONTEXT=SEARCH",
    "CONTEXT=SORT",
    "CREATE-SPECIAL-USE",
    "ENABLE",
    "ESEARCH",
    "ESORT",
    "I18NLEVEL=1",
    "ID",
    "IDLE",
    "INPROGRESS",
    "LIST-EXTENDED",
    "LIST-METADATA",
    "LIST-MYRIGHTS",
    "LIST-STATUS",
    "LITERAL+",
    "METADATA",
    "METADATA-SERVER",
    "MOVE",
    "MULTIAPPEND",
    "MULTISEARCH",
    "NAMESPACE",
    "NOTIFY",
    "OBJECTID",
    "PARTIAL",
    "PREVIEW",
    "QRESYNC",
    "QUOTA",
    "QUOTA=RES-MESSAGE",
    "QUOTA=RES-STORAGE",
    "REPLACE",
    "RIGHTS=texk",
    "SASL-IR",
    "SAVEDATE",
    "SEARCH=FUZZY",
    "SEARCHRES",
    "SORT",
    "SORT=DISPLAY",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
    "THREAD=REFS",
    "UIDBATCHES",
    "UIDONLY",
    "UIDPLUS",
    "UNSELECT",
    "URL-PARTIAL",
    "UTF8=ACCEPT",
    "WITHIN",
];
/// What is announced only after login.
const AFTER_LOGIN: [&str; 2] = [UNAUTHENTICATE, COMPRESS];
/// RFC 8437.
pub(super) const UNAUTHENTICATE: &str = "UNAUTHENTICATE";
/// RFC 9738.
const MESSAGELIMIT: &str = "MESSAGELIMIT";
/// RFC 4978.
pub(super) const COMPRESS: &str = "COMPRESS=DEFLATE";

/// A capability as it is announced, from its name in any case; `None` if it is not known, or cannot be hidden since
/// clients could not do without it.
pub fn hideable(name: &str) -> Option<&'static str> {
    let names = CAPABILITIES.iter().copied().filter(|known| *known != "IMAP4rev1");
    names
        .chain(AFTER_LOGIN)
        .chain(["APPENDLIMIT", MESSAGELIMIT])
        .find(|known| known.eq_ignore_ascii_case(name))
}

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
    /// Most messages that one command works on (RFC 9738).
    pub message_limit: u32,
    /// Text of the greeting.
    pub greeting: String,
    /// Capabilities that are not announced, by the names that [`hideable`] gives: for broken clients.
    pub hidden: Vec<&'static str>,
}

impl Session {
    pub(super) fn may_login(&self) -> bool {
        self.options.privacy == Privacy::Tls || self.options.clear_login == ClearLogin::Allowed
    }

    /// Whether a capability is not hidden.
    pub fn offers(&self, name: &str) -> bool {
        !self.options.hidden.contains(&name)
    }

    /// Hides more capabilities, by the names that [`hideable`] gives, until the login is taken back: for the broken client
    /// of one account.
    pub fn hide_from_account(&mut self, names: Vec<&'static str>) {
        self.enabled.hidden = names.len();
        self.options.hidden.extend(names);
    }

    pub(super) fn capability(&self) -> String {
        let stranger = self.state == State::NotAuthenticated;
        let later = AFTER_LOGIN.into_iter().filter(|_| !stranger);
        let later = later.filter(|name| !(self.compressing && *name == COMPRESS));
        let names = CAPABILITIES.iter().copied().chain(later).filter(|name| self.offers(name));
        let mut list = names.collect::<Vec<_>>().join(" ");
        if self.offers("APPENDLIMIT") {
            list.push_str(&format!(" APPENDLIMIT={}", self.options.append_limit));
        }
        if self.offers(MESSAGELIMIT) {
            list.push_str(&format!(" MESSAGELIMIT={}", self.options.message_limit));
        }
        if stranger {
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
