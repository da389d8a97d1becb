//! The one place where trouble of ours becomes a reply to the peer.

use mail::{Reply, Status};
use storage::{Error, Trouble};

/// What the peer hears when the store does not take a message. The cause is logged where it is met: what is wrong
/// inside is no business of strangers.
pub fn of_store(error: &Error) -> Reply {
    match error {
        Error::Trouble(trouble) => of_trouble(trouble),
        Error::QueueFull { .. } => {
            temporary(452, (3, 1), "The queue of this server is full: try again later")
        }
        Error::TooLarge { limit } => Reply::new(
            552,
            Status::permanent(2, 3),
            format!("The message is larger than the {limit} octets that the recipient takes"),
        ),
        Error::OverQuota(_) => {
            temporary(452, (2, 2), "The mailbox of the recipient is full: try again later")
        }
        Error::TooMany { .. } => {
            temporary(452, (5, 3), "Too many recipients: send the rest in another message")
        }
        // An account or mailbox came or went meanwhile; what else there is cannot come from taking mail.
        _ => temporary(451, (2, 0), "The mailbox has just been changed: try again"),
    }
}

fn of_trouble(trouble: &Trouble) -> Reply {
    match trouble {
        Trouble::Full => temporary(452, (3, 1), "The disk of this server is full: try again later"),
        Trouble::Busy => temporary(451, (3, 2), "This server is too busy at the moment: try again later"),
        Trouble::Closed => temporary(451, (3, 2), "This server is shutting down: try again later"),
        _ => temporary(451, (3, 0), "This server cannot store mail at the moment: try again later"),
    }
}

/// The message itself could not be written down, or not be read back from the disk.
pub fn of_disk(error: &std::io::Error) -> Reply {
    match error.kind() {
        std::io::ErrorKind::StorageFull => of_trouble(&Trouble::Full),
        _ => of_trouble(&Trouble::Io(String::new())),
    }
}

/// What a sender hears now of an account that has no room: it may have some later.
pub(crate) fn no_room(address: &mail::Address) -> Reply {
    temporary(452, (2, 2), &format!("The mailbox of <{address}> is full: try again later"))
}

/// The message is more than the account could ever hold.
pub(crate) fn never_fits(address: &mail::Address) -> Reply {
    let text = format!("The message is larger than all that the mailbox of <{address}> may hold");
    Reply::new(552, Status::permanent(2, 3), text)
}

/// What the sender is told of a full mailbox when others got the message: it is not tried again.
pub(crate) fn mailbox_full(address: &mail::Address) -> Reply {
    Reply::new(552, Status::permanent(2, 2), format!("The mailbox of <{address}> is full"))
}

/// Nothing is sent to an address that hosts have refused again and again, or that the administrator has named.
pub(crate) fn suppressed(address: &mail::Address, found: &storage::Suppressed) -> Reply {
    let until = match found.until {
        Some(until) => format!("until {}", mail::date::print_iso(until)),
        None => "until the administrator allows it again".to_owned(),
    };
    let text = match found.failures {
        0 => format!("Nothing is sent from here to <{address}> {until}: {}", found.reason),
        failures => format!(
            "Nothing is sent from here to <{address}> {until}: it was refused {failures} times, the last time with: {}",
            found.reason
        ),
    };
    Reply::new(550, Status::permanent(1, 1), text)
}

/// What is suspicious is not sent on in our name.
pub(crate) fn suspicious() -> Reply {
    let text = "The message is suspicious, and would have to be sent on elsewhere: it is not taken";
    Reply::new(550, Status::permanent(7, 1), text)
}

/// More `Received` fields than any honest way has (RFC 5321 §6.3).
pub(crate) fn too_many_hops() -> Reply {
    Reply::new(
        554,
        Status::permanent(4, 6),
        "The message has gone through too many servers: it is most likely going in a circle",
    )
}

/// The message has been delivered to this very address before.
pub(crate) fn delivered_before(address: &mail::Address) -> Reply {
    Reply::new(
        554,
        Status::permanent(4, 6),
        format!("The message has already been delivered to <{address}>: it is forwarded in a circle"),
    )
}

fn temporary(code: u16, (subject, detail): (u16, u16), text: &str) -> Reply {
    Reply::new(code, Status::transient(subject, detail), text)
}
