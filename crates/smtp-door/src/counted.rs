//! What both SMTP doors count.

use delivery::Resolved;
use delivery::route::Target;
use mail::{Address, Reply, Status};
use std::time::Instant;
use world::Meter;
use world::meter::{Delivered, Door, Outcome, Reason, Refused};

/// Somebody or something is refused with this reply, which tells the reason.
pub fn refused(meter: &Meter, what: Refused, reply: Reply) -> Reply {
    refused_because(meter, what, reason(reply.status_or_general()), reply)
}

/// The same where the reason is known better.
pub fn refused_because(meter: &Meter, what: Refused, reason: Reason, reply: Reply) -> Reply {
    meter.refused.add(what, reason);
    reply
}

/// As whom a recipient is counted: an account, by whichever of its addresses a message comes for it; else an address.
pub fn recipient(address: &Address, resolved: &Resolved) -> String {
    match resolved {
        Resolved::Ours(targets) => match targets.as_slice() {
            [Target::Mailbox { account, .. }] => account.clone(),
            _ => address.key(),
        },
        _ => address.key(),
    }
}

/// A message has come to its end. `Ok`: so many mailboxes of ours have it; `begun` is when its last octet came.
pub fn message(meter: &Meter, door: Door, begun: Instant, outcome: Result<usize, &Reply>) {
    let outcome = match outcome {
        Ok(local) => {
            if local > 0 {
                meter.delivery.took(Delivered::Here, begun.elapsed());
            }
            Outcome::Accepted
        }
        Err(reply) => {
            meter.refused.add(Refused::Message, reason(reply.status_or_general()));
            if reply.is_permanent() { Outcome::Refused } else { Outcome::PutOff }
        }
    };
    meter.messages_in.add(door, outcome);
}

/// What a status is about (RFC 3463 §3.2 to §3.8).
fn reason(status: Status) -> Reason {
    match (status.subject, status.detail) {
        (1, _) => Reason::Address,
        (2, 3) | (3, 4) => Reason::TooLarge,
        (2, _) => Reason::Mailbox,
        (3, _) => Reason::System,
        (4, _) => Reason::Network,
        (5, _) => Reason::Protocol,
        (6, _) => Reason::Content,
        (7, _) => Reason::Policy,
        _ => Reason::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipient_is_its_account() {
        let address = |text: &str| Address::parse(text).unwrap();
        let mailbox =
            |text: &str| Target::Mailbox { account: "alice@o.ex".to_owned(), address: address(text) };
        let away = Target::Remote { address: address("x@e.ex"), via: None };
        for (text, resolved, want) in [
            ("alice+tag@o.ex", Resolved::Ours(vec![mailbox("alice+tag@o.ex")]), "alice@o.ex"),
            ("sales@o.ex", Resolved::Ours(vec![mailbox("sales@o.ex")]), "alice@o.ex"),
            ("sales@o.ex", Resolved::Ours(vec![mailbox("sales@o.ex"), away.clone()]), "sales@o.ex"),
            ("Out@o.ex", Resolved::Ours(vec![away]), "out@o.ex"),
            ("x@e.ex", Resolved::Remote, "x@e.ex"),
        ] {
            assert_eq!(recipient(&address(text), &resolved), want, "{text}");
        }
    }

    #[test]
    fn replies_are_counted_by_what_they_are_about() {
        let meter = Meter::default();
        let begun = Instant::now();
        message(&meter, Door::Smtp, begun, Ok(2));
        message(&meter, Door::Smtp, begun, Err(&Reply::new(452, Status::transient(3, 1), "full")));
        message(&meter, Door::Submission, begun, Err(&Reply::new(552, Status::permanent(3, 4), "large")));
        refused(&meter, Refused::Recipient, Reply::new(550, Status::permanent(1, 1), "nobody"));
        let nothing_known = Reply::bare(550, "nothing known");
        refused(&meter, Refused::Recipient, nothing_known.clone());
        refused_because(&meter, Refused::Recipient, Reason::Greylisted, nothing_known);
        assert_eq!(meter.messages_in.get(Door::Smtp, Outcome::Accepted), 1);
        assert_eq!(meter.messages_in.get(Door::Smtp, Outcome::PutOff), 1);
        assert_eq!(meter.messages_in.get(Door::Submission, Outcome::Refused), 1);
        assert_eq!(meter.refused.get(Refused::Message, Reason::System), 1);
        assert_eq!(meter.refused.get(Refused::Message, Reason::TooLarge), 1);
        assert_eq!(meter.refused.get(Refused::Recipient, Reason::Address), 1);
        assert_eq!(meter.refused.get(Refused::Recipient, Reason::Other), 1);
        assert_eq!(meter.refused.get(Refused::Recipient, Reason::Greylisted), 1);
        assert_eq!(meter.delivery.count(Delivered::Here), 1);
    }
}
