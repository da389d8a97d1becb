//! Everything that is measured, with its name.

use super::labels::{
    Delivered, Door, Fate, ImapVerb, Judged, Login, Outcome, Reason, Refused, Side, TlsLevel, TurnedAway, Way,
};
use super::numbers::{Counters, Family, Histograms};
use std::ops::Deref;
use std::sync::Arc;

/// From a tenth of a millisecond to ten seconds, in microseconds: what happens inside this machine.
const SHORT: &[u64] =
    &[100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 10_000_000];
/// From ten milliseconds to five days, in microseconds: what other servers have a part in.
const LONG: &[u64] = &[
    10_000,
    100_000,
    500_000,
    1_000_000,
    5_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    86_400_000_000,
    432_000_000_000,
];
/// Pieces of work that share a commit.
const BATCH: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/// The numbers of one server. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Numbers>);

impl Deref for Meter {
    type Target = Numbers;

    fn deref(&self) -> &Numbers {
        &self.0
    }
}

macro_rules! numbers {
    ($($field:ident: $type:ty = $make:expr;)*) => {
        /// What is measured, one field for each name.
        #[derive(Debug)]
        pub struct Numbers {
            $(pub $field: $type,)*
        }

        impl Default for Numbers {
            fn default() -> Self {
                Self { $($field: $make,)* }
            }
        }

        impl Numbers {
            /// All of it as it is now.
            pub fn read(&self) -> Vec<Family> {
                vec![$(self.$field.read(),)*]
            }
        }
    };
}

numbers! {
    connections: Counters<Door> =
        Counters::new("maddy_connections_total", "Connections that came in and were let in.");
    turned_away: Counters<Door, TurnedAway> =
        Counters::new("maddy_connections_refused_total", "Connections that found no room, or came past the proxy.");
    tls: Counters<Side, TlsLevel> = Counters::new(
        "maddy_tls_total",
        "TLS handshakes by version, those that failed, and (of outgoing connections) those that stayed in clear.",
    );
    messages_in: Counters<Door, Outcome> =
        Counters::new("maddy_messages_in_total", "Messages that came to their end at a door.");
    refused: Counters<Refused, Reason> =
        Counters::new("maddy_refused_total", "Clients, senders, recipients and messages that were refused or put off.");
    judged: Counters<Judged> =
        Counters::new("maddy_judged_total", "Messages from other servers by the verdict of the checks.");
    filed: Counters<()> = Counters::new("maddy_filed_total", "Copies of messages that were put into mailboxes.");
    sent: Counters<Fate> = Counters::new("maddy_sent_total", "Recipients elsewhere, by what came of an attempt.");
    attempts: Counters<Way> =
        Counters::new("maddy_attempts_total", "Conversations with other servers that took place or could not.");
    delivery: Histograms<Delivered> = Histograms::of_times(
        "maddy_delivery_seconds",
        "Time from the end of a message until it is in the mailbox, or from when it may go until another server has it.",
        LONG,
    );
    logins: Counters<Door, Login> = Counters::new("maddy_logins_total", "Logins at submission and IMAP.");
    imap_commands: Histograms<ImapVerb> =
        Histograms::of_times("maddy_imap_command_seconds", "Time that commands of IMAP took, by command.", SHORT);
    store_writes: Histograms = Histograms::of_times(
        "maddy_store_write_seconds",
        "Time from handing in a change until it is on the disk.",
        SHORT,
    );
    store_reads: Histograms =
        Histograms::of_times("maddy_store_read_seconds", "Time that hot questions to the database took.", SHORT);
    commits: Histograms =
        Histograms::of_times("maddy_store_commit_seconds", "Time that the commit and its flush took.", SHORT);
    otlp_lost: Counters<()> =
        Counters::new("maddy_otlp_lost_total", "Records that the collector of OTLP did not get.");
    batches: Histograms =
        Histograms::of_counts("maddy_store_batch_jobs", "Pieces of work that shared one commit and its flush.", BATCH);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_the_number_of_series_is_small() {
        let meter = Meter::default();
        for verb in <ImapVerb as super::super::Label>::ALL {
            meter.imap_commands.note(*verb, 1);
        }
        let families = meter.read();
        let mut names: Vec<&str> = families.iter().map(|family| family.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), families.len());
        let series: usize = families.iter().map(|family| family.samples.len()).sum();
        assert!(series < 600, "{series}");
    }
}
