//! Options of the store, and their place in the configuration.

use crate::quota::Quota;
use crate::search::Search;
use crate::sending::DailyLimits;
use std::path::PathBuf;

/// Smallest number of octets that `max-database-size` may be set to.
const DATABASE_MIN: u64 = 1024 * 1024;

/// How the store works. Checked values only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The state directory; made if it is not there.
    pub dir: PathBuf,
    /// Read-only connections. 1 to 64.
    pub readers: u32,
    /// Most jobs that one commit takes. 1 to 10,000.
    pub batch_jobs: usize,
    /// Octets after which a commit takes no further job.
    pub batch_octets: u64,
    /// Most messages in the queue; more are answered with [`crate::Error::QueueFull`].
    pub queue_max: u64,
    /// Octets of the write-ahead log after which it is carried over into the database.
    pub checkpoint_octets: u64,
    /// Largest size of the database file in octets, without large bodies; `None`: the disk is the limit.
    pub database_max: Option<u64>,
    pub search: Search,
    /// Copies of the database that are kept from before its schema was changed. 0 to 10; 0: none is made.
    pub upgrade_copies: usize,
    /// What accounts may keep that have no limits of their own; see [`crate::Store::set_configured_quota`].
    pub quota: Quota,
    /// What senders may send in a day that have no limits of their own; see [`crate::Store::set_configured_sending`].
    pub sending: DailyLimits,
}

impl Config {
    /// The defaults, in the state directory `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            readers: 4,
            batch_jobs: 256,
            batch_octets: 8 * 1024 * 1024,
            queue_max: 1_000_000,
            checkpoint_octets: 16 * 1024 * 1024,
            database_max: None,
            search: Search::default(),
            upgrade_copies: 2,
            quota: Quota::default(),
            sending: DailyLimits::default(),
        }
    }

    /// Reads the node `storage { … }`.
    pub fn decode(section: &mut config::Section<'_>, dir: PathBuf) -> Self {
        let default = Self::new(dir);
        Self {
            readers: section
                .count("readers", "Connections that read the database side by side.")
                .within(1..=64)
                .or(default.readers),
            batch_jobs: section
                .count("batch-jobs", "Most pieces of work that share one commit.")
                .within(1..=10_000)
                .or(default.batch_jobs),
            batch_octets: section
                .size("batch-size", "Octets after which a commit takes no further work.")
                .within(64 * 1024..=256 * 1024 * 1024)
                .or(default.batch_octets),
            queue_max: section
                .count("max-queue", "Most messages in the outgoing queue.")
                .within(1..=u64::from(u32::MAX))
                .or(default.queue_max),
            checkpoint_octets: section
                .size("checkpoint-size", "Size of the write-ahead log at which it is carried over.")
                .within(1024 * 1024..=1024 * 1024 * 1024)
                .or(default.checkpoint_octets),
            database_max: section
                .size(
                    "max-database-size",
                    "Largest size of the database file, without large bodies; the disk if not given.",
                )
                .within(DATABASE_MIN..=u64::MAX)
                .optional(),
            upgrade_copies: section
                .count(
                    "upgrade-copies",
                    "Copies of the database that are kept from before a new version changed it; 0 for none.",
                )
                .within(0..=10)
                .or(default.upgrade_copies),
            search: section.child("search", "The search index.", Search::decode),
            quota: Quota {
                octets: section
                    .size(
                        "quota",
                        "What the messages of one account may take together; no limit if not given.",
                    )
                    .optional(),
                messages: section
                    .count("quota-messages", "How many messages one account may have; no limit if not given.")
                    .optional(),
            },
            sending: default.sending,
            dir: default.dir,
        }
    }
}
