//! Responses of ACL (RFC 4314 §3.6, §3.7, §3.8).

use super::{line_begin, mailbox, string};
use crate::parse::Names;

/// Rights as they are told: letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AclTold {
    /// Identifiers with their rights.
    Acl {
        mailbox: String,
        entries: Vec<(String, String)>,
    },
    /// Rights that an identifier has in any case, and groups of those that can be granted.
    ListRights {
        mailbox: String,
        identifier: String,
        required: String,
        optional: Vec<String>,
    },
    MyRights {
        mailbox: String,
        rights: String,
    },
}

impl AclTold {
    pub(super) fn encode(&self, names: Names, out: &mut Vec<u8>) {
        match self {
            Self::Acl { mailbox: name, entries } => {
                line_begin("ACL ", out);
                mailbox(name, names, out);
                for (identifier, letters) in entries {
                    out.push(b' ');
                    string(identifier.as_bytes(), out);
                    rights(letters, out);
                }
            }
            Self::ListRights { mailbox: name, identifier, required, optional } => {
                line_begin("LISTRIGHTS ", out);
                mailbox(name, names, out);
                out.push(b' ');
                string(identifier.as_bytes(), out);
                rights(required, out);
                optional.iter().for_each(|group| rights(group, out));
            }
            Self::MyRights { mailbox: name, rights: letters } => {
                line_begin("MYRIGHTS ", out);
                mailbox(name, names, out);
                rights(letters, out);
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// As an atom where there are any.
fn rights(letters: &str, out: &mut Vec<u8>) {
    out.push(b' ');
    out.extend_from_slice(if letters.is_empty() { b"\"\"" } else { letters.as_bytes() });
}
