//! The record that pins the key of our certificate (TLSA, RFC 7672), also while the key changes. One that does not fit keeps
//! mail away; one that is missing harms nobody.

use crate::certificates;
use crate::config::Config;
use crate::setup::compare::add;
use crate::setup::finding::{Finding, State};
use crate::setup::records::{Facts, Says, Wanted, wanted};
use std::time::Duration;
use world::{Data, DnsError, DnsName, Security, Tlsa, World};

const WHY: &str = "servers that follow DANE do not deliver to you";

/// The keys that we have, by their records.
struct Keys<'a> {
    present: &'a Wanted,
    /// The one that takes its place.
    next: Option<&'a Wanted>,
    /// For how long the record of that is seen before it is used.
    settle: Duration,
}

pub(super) async fn look(config: &Config, facts: &Facts, world: &World) -> Option<Finding> {
    let list = wanted(config, facts);
    let mut pinned = list.iter().filter(|record| matches!(record.says, Says::Tlsa(_)));
    let (present, next) = (pinned.next()?, pinned.next());
    let settle = certificates::plan(config).map_or(Duration::ZERO, |plan| plan.options.rollover.settle);
    let keys = Keys { present, next, settle };
    let reply = world.dns.tlsa(&DnsName::parse(&present.name).ok()?).await;
    let security = reply.security;
    let found = reply.read(|data| match data {
        Data::Tlsa(tlsa) => Some(tlsa),
        _ => None,
    });
    Some(match found {
        Err(error @ DnsError::Trouble(_)) => Finding::unknown("tlsa", &present.name, &error),
        Err(_) if security == Security::Secure => {
            let why = "the zone is signed: with this record, mail to you could not be led astray";
            Finding::new("tlsa", &present.name, State::Note, "there is no record", why, add(present))
        }
        Err(_) => Finding::good("tlsa", &present.name, "no record; none is of use without DNSSEC"),
        Ok(all) => keys.compare(&all),
    })
}

impl Keys<'_> {
    /// With what the DNS shows.
    fn compare(&self, all: &[Tlsa]) -> Finding {
        let pins_keys = |tlsa: &&Tlsa| (tlsa.usage, tlsa.selector, tlsa.matching) == (3, 1, 1);
        let shows = |key: &Wanted| all.iter().filter(pins_keys).any(|tlsa| is_of(tlsa, key));
        let former = all
            .iter()
            .filter(pins_keys)
            .find(|tlsa| !is_of(tlsa, self.present) && !self.next.is_some_and(|next| is_of(tlsa, next)));
        let found = |state, what: &str, why, fix: String| {
            Finding::new("tlsa", &self.present.name, state, what, why, fix)
        };
        if !shows(self.present) {
            return if all.iter().all(|tlsa| pins_keys(&tlsa)) {
                let what = "none of the records fits the key of our certificate";
                found(State::Bad, what, WHY, add(self.present))
            } else {
                let what = "there are records of other kinds than 3 1 1, which are not looked at here";
                found(State::Note, what, WHY, add(self.present))
            };
        }
        match (self.next, former) {
            (Some(next), _) if !shows(next) => {
                let what = "the record of the next key is not there yet";
                let why = "the next key is not used before its record has been seen for a while";
                found(State::Note, what, why, format!("{}; leave the present one beside it", add(next)))
            }
            (Some(_), _) => Finding::good(
                "tlsa",
                &self.present.name,
                format!(
                    "the present key and the next are pinned; leave both records: the next key is used when its record has been \
                     seen for {}",
                    ::config::print_duration(&self.settle)
                ),
            ),
            (None, Some(former)) => {
                let what = "the key of our certificate is pinned, and another one that we do not have";
                let why = "whoever has a former key could still be taken for you by servers that follow DANE";
                let line = Wanted { says: Says::Tlsa(hex(&former.data)), ..self.present.clone() };
                let fix = format!("if it is a former key's, this may go from the zone now: {}", line.line());
                found(State::Note, what, why, fix)
            }
            (None, None) => Finding::good("tlsa", &self.present.name, "it pins the key of our certificate"),
        }
    }
}

fn is_of(tlsa: &Tlsa, key: &Wanted) -> bool {
    Says::Tlsa(hex(&tlsa.data)) == key.says
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::records::Need;

    #[test]
    fn what_to_publish_and_what_may_go_while_the_key_changes() {
        let key = |octet: u8| {
            let says = Says::Tlsa(hex(&[octet; 32]));
            Wanted::new("_25._tcp.mx.example.org".to_owned(), Need::May, says, "pins")
        };
        let record = |octet: u8, usage: u8| Tlsa { usage, selector: 1, matching: 1, data: vec![octet; 32] };
        let (present, next) = (key(1), key(2));
        for (has_next, shown, state, says) in [
            (false, vec![record(1, 3)], State::Good, "it pins the key"),
            (false, vec![record(9, 3)], State::Bad, "IN TLSA 3 1 1 0101"),
            (false, vec![record(1, 2)], State::Note, "other kinds"),
            // The next key: made, published, in use; and then the record of the former one goes.
            (true, vec![record(1, 3)], State::Note, "IN TLSA 3 1 1 0202"),
            (true, vec![record(1, 3), record(2, 3)], State::Good, "leave both records"),
            (true, vec![record(2, 3)], State::Bad, "IN TLSA 3 1 1 0101"),
            (
                false,
                vec![record(1, 3), record(7, 3)],
                State::Note,
                "may go from the zone now: _25._tcp.mx.example.org. IN TLSA 3 1 1 0707",
            ),
            // Those of other kinds are somebody else's.
            (false, vec![record(1, 3), record(7, 2)], State::Good, "it pins the key"),
        ] {
            let settle = Duration::from_secs(2 * 24 * 3600);
            let keys = Keys { present: &present, next: has_next.then_some(&next), settle };
            let finding = keys.compare(&shown);
            assert_eq!(finding.state, state, "{finding:?}");
            assert!(format!("{} {}", finding.what, finding.fix).contains(says), "{says}: {finding:?}");
        }
    }
}
