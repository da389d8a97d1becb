//! Why the rest of a message is read and dropped.

use crate::transit::Full;
use imap_proto::Response;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Disk,
    /// NUL, which no part of a message may hold that BODY[…] can tell (RFC 3516 §4.4).
    Nul,
    /// Too much is on its way in at the same time.
    Full(Full),
}

impl Fault {
    pub(super) fn response(self) -> Response {
        let later = match self {
            Self::Nul => {
                return Response::no("Messages with NUL are not kept; encode it.").word("UNKNOWN-CTE");
            }
            Self::Disk => "The server's disk is full or broken; try again later.",
            Self::Full(Full::Account) => {
                "Your sessions bring too much at the same time; try again when some of it is filed."
            }
            Self::Full(Full::All) => "Too much is brought at the same time; try again later.",
        };
        Response::no(later).word("UNAVAILABLE")
    }
}
