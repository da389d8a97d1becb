//! The commands of ACL as values (RFC 4314 §3).

/// Who may do what with a mailbox. Identifiers and rights are as they were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acl {
    Set {
        mailbox: String,
        identifier: String,
        /// Letters, all of them or behind `+` or `-`.
        rights: String,
    },
    Delete {
        mailbox: String,
        identifier: String,
    },
    Get {
        mailbox: String,
    },
    ListRights {
        mailbox: String,
        identifier: String,
    },
    MyRights {
        mailbox: String,
    },
}
