//! Picks up events and spans. Costs nothing worth telling while nobody wants them.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record as Recorded};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use world::{Clock, Random, SystemClock, SystemRandom};

/// Longest value, in characters.
const VALUE_MAX: usize = 1000;
/// Most fields of one record.
const FIELDS_MAX: usize = 24;

/// Which trace, and which span of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
}

/// Names and values.
pub(super) type Fields = Vec<(&'static str, String)>;

/// Something to be sent.
#[derive(Debug)]
pub(crate) enum Record {
    Log {
        /// Nanoseconds since 1970.
        at: u64,
        level: Level,
        text: String,
        target: &'static str,
        fields: Fields,
        place: Option<Place>,
    },
    Span {
        name: &'static str,
        begun: u64,
        ended: u64,
        fields: Fields,
        place: Place,
        parent: Option<[u8; 8]>,
    },
}

/// The layer. Clones share the way to the sender.
#[derive(Clone)]
pub(crate) struct Exporting {
    sender: Sender<Record>,
    on: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

/// What is kept of a span while it lives.
struct Open {
    begun: u64,
    place: Place,
    parent: Option<[u8; 8]>,
    said: Said,
}

#[derive(Default)]
struct Said {
    text: String,
    fields: Fields,
}

impl Said {
    fn put(&mut self, field: &Field, value: String) {
        let value: String = value.chars().take(VALUE_MAX).collect();
        match field.name() {
            "message" => self.text = value,
            name if self.fields.len() < FIELDS_MAX => self.fields.push((name, value)),
            _ => {}
        }
    }
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

impl Exporting {
    /// Off until it is switched on.
    pub(crate) fn new(room: usize) -> (Self, Receiver<Record>) {
        let (sender, receiver) = mpsc::channel(room);
        (Self { sender, on: Arc::default(), lost: Arc::default() }, receiver)
    }

    pub(super) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, many: u64) {
        self.lost.fetch_add(many, Ordering::Relaxed);
    }

    /// Records that were left out since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }

    fn offer(&self, record: Record) {
        if self.sender.try_send(record).is_err() {
            self.lose(1);
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Exporting {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let outer = span.parent().and_then(|parent| place_of(&parent));
        let mut place = Place { trace: [0; 16], span: [0; 8] };
        SystemRandom.fill(&mut place.span);
        match outer {
            Some(outer) => place.trace = outer.trace,
            None => SystemRandom.fill(&mut place.trace),
        }
        let mut said = Said::default();
        attributes.record(&mut said);
        let open = Open { begun: now(), place, parent: outer.map(|outer| outer.span), said };
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &Recorded<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            values.record(&mut open.said);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if !self.on.load(Ordering::Relaxed) {
            return;
        }
        let mut said = Said::default();
        event.record(&mut said);
        let at = event.metadata();
        self.offer(Record::Log {
            at: now(),
            level: *at.level(),
            text: said.text,
            target: at.target(),
            fields: said.fields,
            place: context.event_span(event).and_then(|span| place_of(&span)),
        });
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let Some(open) = span.extensions_mut().remove::<Open>() else { return };
        let Open { begun, place, parent, said } = open;
        let name = span.metadata().name();
        self.offer(Record::Span { name, begun, ended: now(), fields: said.fields, place, parent });
    }
}

fn place_of<'a, R: LookupSpan<'a>>(span: &tracing_subscriber::registry::SpanRef<'a, R>) -> Option<Place> {
    span.extensions().get::<Open>().map(|open| open.place)
}

fn now() -> u64 {
    let since = SystemClock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn events_know_their_spans_and_what_has_no_room_is_counted() {
        let (exporting, mut records) = Exporting::new(3);
        let subscriber = tracing_subscriber::registry().with(exporting.clone());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("nobody wants this");
            exporting.switch(true);
            let outer = tracing::info_span!("conn", id = "c1").entered();
            {
                let _inner = tracing::info_span!("checks", mail = "m1").entered();
                tracing::warn!(long = "x".repeat(5000), "inside");
            }
            drop(outer);
            tracing::info!("no room");
        });
        let Ok(Record::Log { level, text, fields, place: Some(place), .. }) = records.try_recv() else {
            panic!("a log record within a span");
        };
        assert_eq!((level, text.as_str(), fields[0].1.len()), (Level::WARN, "inside", VALUE_MAX));
        let Ok(Record::Span { name, place: inner, parent, begun, ended, .. }) = records.try_recv() else {
            panic!("the inner span ends first");
        };
        assert_eq!((name, inner, begun <= ended), ("checks", place, true));
        let Ok(Record::Span { name, place: outer, parent: None, fields, .. }) = records.try_recv() else {
            panic!("the outer span has no parent");
        };
        assert_eq!((name, Some(outer.span), outer.trace), ("conn", parent, inner.trace));
        assert_eq!(fields, [("id", "c1".to_owned())]);
        assert!(records.try_recv().is_err());
        assert_eq!((exporting.take_lost(), exporting.take_lost()), (1, 0));
    }
}
