//! The log: its options, and one line per event on standard error, for people or for programs.

mod fields;
mod journal;
mod queue;

pub(crate) use queue::Tail;

use crate::config::{Format, Level, Log};
use crate::metrics::{Counting, Counts};
use crate::otlp::{self, Exporting, Record};
use crate::trace::{self, Noted, Noting};
use ::config::Section;
use fields::Fields;
use journal::Journal;
use queue::Queue;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc::Receiver;
use tracing::error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload::{Handle, Layer as Reloaded};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

/// Changes the level while the server runs.
#[derive(Clone)]
pub(crate) struct Logging {
    filter: Handle<Targets, Registry>,
    format: Format,
    counts: Arc<Counts>,
    noting: Noting,
    noted: Arc<Mutex<Option<Receiver<Noted>>>>,
    exporting: Exporting,
    exported: Arc<Mutex<Option<Receiver<Record>>>>,
}

impl Logging {
    /// Begins the log of this process. Can be done once. The last lines are written when [`Tail`] goes.
    pub(crate) fn start(log: Log) -> Result<(Self, Tail), String> {
        let (queue, tail) =
            Queue::start(io::stderr()).map_err(|error| format!("the log cannot begin: {error}"))?;
        let (filter, handle) = Reloaded::new(targets(log.level));
        let lines = fmt::layer().with_writer(queue).with_target(false);
        let lines = match log.format {
            Format::Text => lines.fmt_fields(Fields).with_ansi(is_coloured()).boxed(),
            Format::Journal => lines.fmt_fields(Fields).event_format(Journal::new()).boxed(),
            Format::Json => {
                lines.json().flatten_event(true).with_current_span(false).with_span_list(true).boxed()
            }
        };
        let counts = Arc::new(Counts::default());
        // What is counted does not depend on how much is said.
        let counting = Counting(counts.clone()).with_filter(targets(Level::Info));
        let (noting, noted) = Noting::new(trace::WAITING_MAX);
        let (exporting, exported) = Exporting::new(otlp::WAITING_MAX);
        tracing_subscriber::registry()
            .with(lines.with_filter(filter))
            .with(counting)
            .with(noting.clone().with_filter(about_messages()))
            .with(exporting.clone().with_filter(targets(Level::Info)))
            .try_init()
            .map_err(|error| format!("the log cannot begin: {error}"))?;
        log_panics();
        let noted = Arc::new(Mutex::new(Some(noted)));
        let exported = Arc::new(Mutex::new(Some(exported)));
        let format = log.format;
        Ok((Self { filter: handle, format, counts, noting, noted, exporting, exported }, tail))
    }

    /// What is counted of all events.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// What is told of messages, for whoever keeps it; once.
    pub(crate) fn take_noted(&self) -> Option<(Noting, Receiver<Noted>)> {
        let noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((self.noting.clone(), noted))
    }

    /// What a collector gets of all that is logged, for whoever sends it; once.
    pub(crate) fn take_exported(&self) -> Option<(Exporting, Receiver<Record>)> {
        let exported = self.exported.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some((self.exporting.clone(), exported))
    }

    /// Takes over a new level. Whether the format is the same, which cannot change while the server runs.
    pub(crate) fn change(&self, log: Log) -> bool {
        let _ = self.filter.reload(targets(log.level));
        self.format == log.format
    }
}

/// Colours are for a terminal that has some, and for people who have not said no (https://no-color.org).
fn is_coloured() -> bool {
    let says = |name: &str| std::env::var_os(name).unwrap_or_default();
    io::stderr().is_terminal() && says("NO_COLOR").is_empty() && says("TERM") != "dumb"
}

/// Reads the node `log`.
pub(crate) fn decode(section: &mut Section<'_>) -> Log {
    let usual = Log::default();
    let levels = [
        ("error", Level::Error),
        ("warn", Level::Warn),
        ("info", Level::Info),
        ("debug", Level::Debug),
        ("trace", Level::Trace),
    ];
    let formats = [("text", Format::Text), ("json", Format::Json), ("journal", Format::Journal)];
    Log {
        level: section.choice("level", &levels, "How much is said.").or(usual.level),
        format: section
            .choice("format", &formats, "Lines for people, objects for programs (\"json\"), or lines for systemd's journal, with their priority.")
            .or(usual.format),
    }
}

/// Has a panic logged as an event like others, where it happened and in the span of its session.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let words = panic.payload();
        let text =
            words.downcast_ref::<&str>().copied().or(words.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        error!(place, "panic: {}", text.unwrap_or("without words"));
    }));
}

/// What is told of messages, whatever the level of the log; of some modules more than the log usually says.
fn about_messages() -> Targets {
    targets(Level::Info)
        .with_target("delivery::lines", LevelFilter::DEBUG)
        .with_target("delivery::protect", LevelFilter::DEBUG)
        .with_target("delivery::trace", LevelFilter::DEBUG)
        .with_target("maddy::dns", LevelFilter::DEBUG)
        .with_target("submission::visit", LevelFilter::DEBUG)
}

/// Our own events at the wanted level; of the libraries only what is wrong, unless everything is wanted.
fn targets(level: Level) -> Targets {
    let level = match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => return Targets::new().with_default(LevelFilter::TRACE),
    };
    let ours = [
        "maddy",
        "net",
        "world",
        "storage",
        "delivery",
        "smtp_door",
        "smtp_in",
        "submission",
        "imap",
        "web",
        "policy",
    ];
    Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_targets(ours.map(|name| (name, level)))
        // They tell as warnings what happens every day: name servers that do not answer.
        .with_targets(
            ["hickory_resolver", "hickory_net", "hickory_proto"].map(|name| (name, LevelFilter::ERROR)),
        )
}
