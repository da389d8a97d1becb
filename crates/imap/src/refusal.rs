//! From errors of the store to what a client hears: one place for codes and sentences (RFC 5530).

use imap_proto::{Code, Response};
use storage::{Error, Trouble};
use tracing::{error, warn};

/// What a command answers when the store refused.
pub(crate) fn response(error: &Error) -> Response {
    let text = sentence(&error.to_string());
    match error {
        Error::Trouble(trouble) => trouble_response(trouble),
        Error::NoSuchMailbox(_) => Response::no(text).word("NONEXISTENT"),
        Error::Exists(_) => Response::no(text).word("ALREADYEXISTS"),
        Error::BadName(..) | Error::NotAllowed(_) | Error::NotSelectable(_) => {
            Response::no(text).word("CANNOT")
        }
        Error::TooLarge { .. } => Response::no(text).word("TOOBIG"),
        Error::OverQuota(_) => Response::no("The quota of the account is used up.").word("OVERQUOTA"),
        Error::AnnotationTooLarge { limit } => Response::no(text).with(Code::MetadataMaxSize(*limit)),
        Error::TooMany { .. } => Response::no(text).word("LIMIT"),
        Error::NoSuchAccount(_) | Error::NoSuchCredential(_) => {
            Response::no("The account is no more.").word("NONEXISTENT")
        }
        Error::HasChildren(_) => Response::no(text).word("HASCHILDREN"),
        // What is about the queue and the directory.
        _ => {
            error!(%error, "the store gave an error that does not belong to mailboxes");
            Response::no("Something is wrong in the server.").word("SERVERBUG")
        }
    }
}

/// The same where the mailbox is a target: the client may make it and try again (RFC 9051 §6.3.12).
pub(crate) fn of_target(error: &Error) -> Response {
    match error {
        Error::NoSuchMailbox(_) => {
            Response::no("There is no such mailbox; create it first.").with(Code::Word("TRYCREATE"))
        }
        other => response(other),
    }
}

fn trouble_response(trouble: &Trouble) -> Response {
    warn!(%trouble, "the store is in trouble");
    match trouble {
        Trouble::Full => Response::no("The server's disk is full; try again later.").word("UNAVAILABLE"),
        Trouble::Corrupt(_) => {
            Response::no("What is stored is damaged; tell the postmaster.").word("CORRUPTION")
        }
        Trouble::Bug(_) => Response::no("Something is wrong in the server.").word("SERVERBUG"),
        _ => Response::no("The mail store cannot be used now; try again later.").word("UNAVAILABLE"),
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let mut out: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    out.push_str(chars.as_str());
    if !out.ends_with('.') {
        out.push('.');
    }
    // Before ENABLE IMAP4rev2 text is ASCII (RFC 3501 §9); names may hold anything.
    out.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_codes() {
        for (error, want) in [
            (Error::NoSuchMailbox("a".into()), "NONEXISTENT"),
            (Error::Exists("a".into()), "ALREADYEXISTS"),
            (Error::TooLarge { limit: 5 }, "TOOBIG"),
            (Error::Trouble(Trouble::Full), "UNAVAILABLE"),
            (Error::Trouble(Trouble::Corrupt("x".into())), "CORRUPTION"),
        ] {
            assert_eq!(response(&error).code, Some(Code::Word(want)));
        }
        assert_eq!(of_target(&Error::NoSuchMailbox("a".into())).code, Some(Code::Word("TRYCREATE")));
        assert_eq!(response(&Error::NoSuchMailbox("ü".into())).text, "There is no mailbox ?.");
    }
}
