//! Options of the search index.

use std::time::Duration;

/// How the search index works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// Whether there is one. Without it every search for a text reads the messages.
    pub index: bool,
    /// An account with fewer messages has none: they are read as fast.
    pub messages_min: u64,
    /// How long after a change the index follows.
    pub delay: Duration,
}

impl Default for Search {
    fn default() -> Self {
        Self { index: true, messages_min: 200, delay: Duration::from_secs(1) }
    }
}

impl Search {
    /// Reads the node `search { … }`.
    pub(crate) fn decode(section: &mut config::Section<'_>) -> Self {
        let default = Self::default();
        Self {
            index: section
                .flag("index", "Whether texts of messages are indexed, so that a search need not read them.")
                .or(default.index),
            messages_min: section
                .count("min-messages", "Accounts with fewer messages are searched without an index.")
                .within(0..=1_000_000)
                .or(default.messages_min),
            delay: section
                .duration("delay", "How long after a change the index follows.")
                .within(Duration::from_millis(1)..=Duration::from_secs(3600))
                .or(default.delay),
        }
    }
}
