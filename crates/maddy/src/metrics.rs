//! What has happened since the start, counted from the events that the log is made of, and how it stands now; in the
//! text form that Prometheus reads.

use net::{Gate, KeeperHandle};
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use storage::Store;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use web::{Answering, Insight};
use world::World;

/// Most characters of a field that are looked at.
const FIELD_MAX: usize = 64;

/// A count: its name, and its label with a value, or none.
type Key = (&'static str, [(&'static str, &'static str); 2]);

const NONE: (&str, &str) = ("", "");

/// The counts since the start. Every key is from the tables below, so that nobody outside can make new ones.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<Key, u64>>);

impl Counts {
    fn add(&self, name: &'static str, labels: [(&'static str, &'static str); 2]) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry((name, labels)).or_default() += 1;
    }

    fn print(&self, out: &mut String) {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, help) in NAMES {
            describe(out, name, help, "counter");
            let mut empty = true;
            for ((_, labels), value) in counts.iter().filter(|((of, _), _)| of == name) {
                let labels: Vec<String> = labels
                    .iter()
                    .filter(|(label, _)| !label.is_empty())
                    .map(|(label, value)| format!("{label}=\"{value}\""))
                    .collect();
                let braces =
                    if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
                let _ = writeln!(out, "{name}{braces} {value}");
                empty = false;
            }
            if empty {
                let _ = writeln!(out, "{name} 0");
            }
        }
    }
}

const MESSAGES_IN: &str = "maddy_messages_in_total";
const REFUSED: &str = "maddy_refused_total";
const JUDGED: &str = "maddy_judged_total";
const FILED: &str = "maddy_filed_total";
const SENT: &str = "maddy_sent_total";
const ATTEMPTS: &str = "maddy_attempts_total";
const LOGINS: &str = "maddy_logins_total";
const TROUBLE: &str = "maddy_trouble_total";

/// Every counter there is.
const NAMES: &[(&str, &str)] = &[
    (MESSAGES_IN, "Messages that came to their end at a door."),
    (REFUSED, "Senders and recipients that were refused, and clients that were turned away."),
    (JUDGED, "Messages from other servers by the verdict of the checks."),
    (FILED, "Copies of messages that were put into mailboxes."),
    (SENT, "Recipients elsewhere, by what came of an attempt."),
    (ATTEMPTS, "Conversations with other servers that took place or could not."),
    (LOGINS, "Logins at submission and IMAP."),
    (TROUBLE, "Warnings and errors in the log."),
];

/// Counts what it sees.
pub(crate) struct Counting(pub(crate) Arc<Counts>);

impl<S: Subscriber> Layer<S> for Counting {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let at = event.metadata();
        match *at.level() {
            Level::ERROR => self.0.add(TROUBLE, [("level", "error"), NONE]),
            Level::WARN => self.0.add(TROUBLE, [("level", "warning"), NONE]),
            _ => {}
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let krate = at.target().split("::").next().unwrap_or_default();
        if let Some((name, labels)) = key(krate, &fields) {
            self.0.add(name, labels);
        }
    }
}

/// What an event counts for.
fn key(krate: &str, fields: &Fields) -> Option<Key> {
    let door = ("door", door(krate));
    let counted = match (krate, fields.message.as_str()) {
        ("smtp_in" | "submission", "mail in") => (MESSAGES_IN, [door, ("result", result(&fields.result))]),
        ("smtp_in" | "submission", "sender refused" | "sender refused by a filter") => {
            (REFUSED, [door, ("what", "sender")])
        }
        ("smtp_in" | "submission", "recipient refused" | "recipient refused by a filter") => {
            (REFUSED, [door, ("what", "recipient")])
        }
        ("smtp_in", "greylisted") => (REFUSED, [door, ("what", "greylisted")]),
        ("smtp_in", "it spoke before it was greeted") => (REFUSED, [door, ("what", "early talker")]),
        ("smtp_door", "turned away") => (REFUSED, [("door", "smtp"), ("what", "client")]),
        ("smtp_in", "judged") => (JUDGED, [("verdict", verdict(&fields.verdict)), NONE]),
        ("delivery", "delivered") => (FILED, [NONE, NONE]),
        ("delivery", "sent") => (SENT, [("fate", "sent"), NONE]),
        ("delivery", "deferred") => (SENT, [("fate", "deferred"), NONE]),
        ("delivery", "failed") => (SENT, [("fate", "failed"), NONE]),
        ("delivery", "given up") => (SENT, [("fate", "given up"), NONE]),
        ("delivery", "attempt") => (ATTEMPTS, [("way", "through"), NONE]),
        ("delivery", "attempt: no way through") => (ATTEMPTS, [("way", "none"), NONE]),
        ("submission", "login") | ("imap", "logged in") => (LOGINS, [door, ("result", "good")]),
        ("submission" | "imap", "login failed") => (LOGINS, [door, ("result", "failed")]),
        _ => return None,
    };
    Some(counted)
}

fn door(krate: &str) -> &'static str {
    match krate {
        "submission" => "submission",
        "imap" => "imap",
        _ => "smtp",
    }
}

/// By the word or the reply.
fn result(text: &str) -> &'static str {
    match text.chars().next() {
        Some('a') => "accepted",
        Some('4') => "put off",
        _ => "refused",
    }
}

fn verdict(text: &str) -> &'static str {
    const WORDS: &[&str] = &["accept", "mark", "quarantine", "reject", "defer"];
    WORDS.iter().find(|word| **word == text).copied().unwrap_or("other")
}

/// What of an event is looked at.
#[derive(Default)]
struct Fields {
    message: String,
    result: String,
    verdict: String,
}

impl Fields {
    fn set(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        let place = match field.name() {
            "message" => &mut self.message,
            "result" => &mut self.result,
            "verdict" => &mut self.verdict,
            _ => return,
        };
        let text = value.to_string();
        place.extend(text.chars().take(FIELD_MAX));
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, format_args!("{value}"));
    }
}

fn describe(out: &mut String, name: &str, help: &str, kind: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// What those who run the server can ask over HTTP.
pub(crate) struct View {
    pub(crate) counts: Arc<Counts>,
    pub(crate) store: Store,
    pub(crate) gate: Arc<Gate>,
    pub(crate) keeper: KeeperHandle,
    pub(crate) world: World,
    /// Seconds since 1970.
    pub(crate) since: i64,
}

impl View {
    async fn print(&self) -> String {
        let mut out = String::new();
        self.counts.print(&mut out);
        let mut gauge = |name: &str, help: &str, value: String| {
            describe(&mut out, name, help, "gauge");
            let _ = writeln!(out, "{name} {value}");
        };
        gauge("maddy_start_time_seconds", "When the server started.", self.since.to_string());
        gauge("maddy_connections", "Connections that live.", self.gate.live().to_string());
        if let Ok(length) = self.store.queue_length().await {
            gauge("maddy_queue_messages", "Messages that wait to go out.", length.to_string());
        }
        if let Ok(first) = self.store.queue(None, 1).await {
            let age = first.first().map_or(0, |job| (self.world.clock.unix() - job.arrived).max(0));
            let help = "How long the oldest message waits to go out.";
            gauge("maddy_queue_oldest_seconds", help, age.to_string());
        }
        gauge(
            "maddy_commits",
            "Transactions that were flushed to the disk.",
            self.store.commits().to_string(),
        );
        let name = "maddy_certificate_end_seconds";
        describe(&mut out, name, "When a certificate of an authority ends; 0 while there is none.", "gauge");
        for state in self.keeper.states() {
            let _ = writeln!(out, "{name}{{name=\"{}\"}} {}", state.name, state.until.unwrap_or(0));
        }
        let name = "maddy_info";
        describe(&mut out, name, "The version.", "gauge");
        let _ = writeln!(out, "{name}{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION"));
        out
    }
}

impl Insight for View {
    fn metrics(&self) -> Answering<'_, String> {
        Box::pin(self.print())
    }

    /// The database answers.
    fn health(&self) -> Answering<'_, Result<(), String>> {
        Box::pin(async move {
            match self.store.queue(None, 1).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("the database does not answer: {error}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn events_are_counted_and_nothing_else_is() {
        let counts = Arc::new(Counts::default());
        let subscriber = tracing_subscriber::registry().with(Counting(counts.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "smtp_in::visit", result = "accepted", "mail in");
            tracing::info!(target: "smtp_in::visit", result = %"550 5.7.1 no", "mail in");
            tracing::info!(target: "smtp_in", verdict = "reject", "judged");
            tracing::info!(target: "smtp_in", verdict = "\"}\nx", "judged");
            tracing::info!(target: "delivery::settle", "{}", "given up");
            tracing::warn!(target: "imap", "something");
            tracing::info!(target: "imap", "login failed");
            tracing::info!(target: "elsewhere", "mail in");
        });
        let mut text = String::new();
        counts.print(&mut text);
        for want in [
            "maddy_messages_in_total{door=\"smtp\",result=\"accepted\"} 1\n",
            "maddy_messages_in_total{door=\"smtp\",result=\"refused\"} 1\n",
            "maddy_judged_total{verdict=\"reject\"} 1\n",
            "maddy_judged_total{verdict=\"other\"} 1\n",
            "maddy_sent_total{fate=\"given up\"} 1\n",
            "maddy_trouble_total{level=\"warning\"} 1\n",
            "maddy_logins_total{door=\"imap\",result=\"failed\"} 1\n",
            "# TYPE maddy_filed_total counter\nmaddy_filed_total 0\n",
        ] {
            assert!(text.contains(want), "{want}{text}");
        }
    }
}
