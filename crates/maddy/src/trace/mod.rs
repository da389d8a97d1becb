//! The life of messages, kept for `maddy trace`: what the log tells of a message, by message, whatever the level of the
//! log. Attempts of the queue are not kept here: the queue keeps them itself.
//!
//! It is written beside the work, in a commit of its own for all that has come in a moment, so that no 250 waits for it; what
//! a crash takes with it is the last moment.

mod layer;

pub(crate) use layer::{Noted, Noting, name};

use crate::reload::Running;
use ::config::Section;
use net::Stop;
use std::sync::Arc;
use std::time::Duration;
use storage::{TRACE_BATCH_MAX, TraceBounds, TraceEvent};
use tokio::sync::mpsc::Receiver;
use tracing::warn;

/// How long events are gathered before they are written.
const GATHER: Duration = Duration::from_millis(300);
/// Events that may wait to be written; what finds no room is left out, and counted.
pub(crate) const WAITING_MAX: usize = 16 * 1024;

/// Checked node `trace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceConfig {
    pub(crate) enabled: bool,
    pub(crate) keep: Duration,
    pub(crate) rows: u64,
    /// In octets.
    pub(crate) size: u64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { enabled: true, keep: Duration::from_secs(14 * 24 * 3600), rows: 1_000_000, size: 256 << 20 }
    }
}

/// Reads the node.
pub(crate) fn decode(section: &mut Section<'_>) -> TraceConfig {
    let usual = TraceConfig::default();
    let hour = Duration::from_secs(3600);
    TraceConfig {
        enabled: section
            .flag("enabled", "Whether it is kept what happens to each message.")
            .or(usual.enabled),
        keep: section.duration("keep", "For how long.").within(hour..=24 * 400 * hour).or(usual.keep),
        rows: section
            .count("rows", "Most events in all, some ten for each message; the oldest go first.")
            .within(1000..=100_000_000)
            .or(usual.rows),
        size: section
            .size("size", "Most octets of all events together; the oldest go first.")
            .within(1 << 20..=1 << 36)
            .or(usual.size),
    }
}

impl TraceConfig {
    fn bounds(&self, now: i64) -> TraceBounds {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let oldest = now.saturating_sub(signed(self.keep.as_secs()));
        TraceBounds { oldest, rows: signed(self.rows), octets: signed(self.size) }
    }
}

/// Writes what is told until the server stops, and then what is left.
pub(crate) async fn run(mut noted: Receiver<Noted>, noting: Noting, running: Arc<Running>, mut stop: Stop) {
    let mut batch = Vec::new();
    loop {
        let ends = tokio::select! {
            () = stop.wait() => true,
            got = noted.recv_many(&mut batch, TRACE_BATCH_MAX) => got == 0,
        };
        if ends {
            while let Ok(one) = noted.try_recv() {
                batch.push(one);
            }
            write(&running, std::mem::take(&mut batch)).await;
            return;
        }
        let room = TRACE_BATCH_MAX.saturating_sub(batch.len());
        if room > 0 {
            tokio::time::sleep(GATHER).await;
            while batch.len() < TRACE_BATCH_MAX
                && let Ok(one) = noted.try_recv()
            {
                batch.push(one);
            }
        }
        write(&running, std::mem::take(&mut batch)).await;
        let lost = noting.take_lost();
        if lost > 0 {
            warn!(lost, "more happened than could be kept for `maddy trace`");
        }
    }
}

async fn write(running: &Running, batch: Vec<Noted>) {
    let config = running.config().trace;
    if batch.is_empty() || !config.enabled {
        return;
    }
    let bounds = config.bounds(running.world().clock.unix());
    let events: Vec<TraceEvent> = batch.into_iter().map(Noted::into_event).collect();
    for events in events.chunks(TRACE_BATCH_MAX) {
        if let Err(error) = running.store().add_trace(events.to_vec(), bounds).await {
            warn!(%error, "what happened to messages cannot be kept for `maddy trace`");
        }
    }
}
