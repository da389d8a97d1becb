//! Picks out of all events those that are about a message.

use mail::Address;
use serde_json::{Map, Value, json};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::TraceEvent;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};
use world::{Clock, SystemClock};

/// Longest value that is kept, in characters.
const VALUE_MAX: usize = 1000;
/// Most fields of one event.
const FIELDS_MAX: usize = 24;
/// Fields whose values find a message.
const ADDRESSES: [&str; 5] = ["from", "to", "recipient", "account", "message_id"];
/// The module that tells what the DNS answered: all that was asked for a message is one event.
const DNS: &str = "maddy::dns";
/// Most answers of one event.
const ANSWERS_MAX: usize = 40;
/// Longest answer, in characters.
const ANSWER_MAX: usize = 300;
/// Modules whose events tell of attempts, which the queue keeps by itself: those with a host are left out here.
const ATTEMPTS: [&str; 3] = ["delivery::attempt", "delivery::settle", "delivery::link"];

/// Something that was told of a message.
#[derive(Debug)]
pub(crate) struct Noted {
    mail: String,
    at: i64,
    text: String,
    names: Vec<String>,
}

impl Noted {
    pub(super) fn into_event(self) -> TraceEvent {
        TraceEvent { mail_id: self.mail, at: self.at, text: self.text, names: self.names }
    }
}

/// The layer. Clones share the way to the writer.
#[derive(Clone)]
pub(crate) struct Noting {
    sender: Sender<Noted>,
    lost: Arc<AtomicU64>,
}

impl Noting {
    pub(crate) fn new(room: usize) -> (Self, Receiver<Noted>) {
        let (sender, receiver) = mpsc::channel(room);
        (Self { sender, lost: Arc::default() }, receiver)
    }

    fn send(&self, mail: String, text: String, names: Vec<String>) {
        let noted = Noted { mail, at: SystemClock.unix(), text, names };
        if self.sender.try_send(noted).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events that found no room since the last call.
    pub(super) fn take_lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

/// What a span or an event says.
#[derive(Default)]
struct Said {
    mail: Option<String>,
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Said {
    fn put(&mut self, field: &Field, value: String) {
        let value = match value.char_indices().nth(VALUE_MAX) {
            Some((end, _)) => value[..end].to_owned(),
            None => value,
        };
        match field.name() {
            "mail" => self.mail = Some(value),
            "message" => self.message = value,
            name if self.fields.len() < FIELDS_MAX => self.fields.push((name, value)),
            _ => {}
        }
    }
}

/// What the DNS answered within a span.
#[derive(Default)]
struct Answers(Vec<String>);

impl Answers {
    fn take(&mut self, said: Said) {
        let answer = said.fields.into_iter().find(|(name, _)| *name == "answer");
        let Some((_, answer)) = answer else { return };
        let answer: String = answer.chars().take(ANSWER_MAX).collect();
        if self.0.len() < ANSWERS_MAX && !self.0.contains(&answer) {
            self.0.push(answer);
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

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Noting {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut said = Said::default();
        attributes.record(&mut said);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(said);
        }
    }

    /// What was asked for a message is told when the work on it ends.
    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let mut extensions = span.extensions_mut();
        let Some(Answers(answers)) = extensions.remove::<Answers>() else { return };
        let Some(mail) = extensions.get_mut::<Said>().and_then(|said| said.mail.clone()) else { return };
        let text = json!({ "what": "the DNS says", "level": "debug", "fields": { "answers": answers } });
        self.send(mail, text.to_string(), Vec::new());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() == DNS {
            return note_answer(event, &context);
        }
        let mut said = Said::default();
        event.record(&mut said);
        let is_attempt = said.fields.iter().any(|(name, _)| *name == "host");
        if is_attempt && ATTEMPTS.contains(&event.metadata().target()) {
            return;
        }
        // Who it is about may stand in the span around it, and so may the client and the job.
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(outer) = span.extensions().get::<Said>() {
                said.mail = said.mail.take().or_else(|| outer.mail.clone());
                let missing: Vec<_> = outer
                    .fields
                    .iter()
                    .filter(|(name, _)| said.fields.iter().all(|(known, _)| known != name))
                    .cloned()
                    .collect();
                said.fields.extend(missing);
            }
        }
        let Some(mail) = said.mail.take() else { return };
        let names = names(&said);
        let fields: Map<String, Value> =
            said.fields.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let text = json!({ "what": said.message, "level": level, "fields": fields }).to_string();
        self.send(mail, text, names);
    }
}

/// Keeps what the DNS says with the span of the message that it was asked for.
fn note_answer<S: Subscriber + for<'a> LookupSpan<'a>>(event: &Event<'_>, context: &Context<'_, S>) {
    let is_of_mail =
        |span: &SpanRef<'_, S>| span.extensions().get::<Said>().is_some_and(|said| said.mail.is_some());
    let Some(span) = context.event_scope(event).into_iter().flatten().find(is_of_mail) else { return };
    let mut said = Said::default();
    event.record(&mut said);
    let mut extensions = span.extensions_mut();
    if extensions.get_mut::<Answers>().is_none() {
        extensions.insert(Answers::default());
    }
    if let Some(answers) = extensions.get_mut::<Answers>() {
        answers.take(said);
    }
}

fn names(said: &Said) -> Vec<String> {
    let mut names = Vec::new();
    for (field, value) in &said.fields {
        if ADDRESSES.contains(field) {
            names.push(name(value));
        }
        // All of them, divided by blanks; elsewhere their number.
        if *field == "recipients" && value.contains('@') {
            names.extend(value.split(' ').map(name));
        }
        if *field == "job" {
            names.push(format!("#{value}"));
        }
    }
    names
}

/// By what a person looks for it: an address in small letters, a Message-ID, without angle brackets.
pub(crate) fn name(text: &str) -> String {
    let text = text.trim().trim_start_matches('<').trim_end_matches('>');
    Address::parse(text).map_or_else(|_| text.to_lowercase(), |address| address.key())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{debug, info, info_span};
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn what_the_dns_says_for_a_message_is_told_in_one() {
        let (noting, mut noted) = Noting::new(9);
        let subscriber = tracing_subscriber::registry().with(noting);
        tracing::subscriber::with_default(subscriber, || {
            let _conn = info_span!("conn", id = "c1").entered();
            debug!(target: "maddy::dns", answer = "before.example A: 192.0.2.1", "the DNS says");
            let checks = info_span!("checks", mail = "m1").entered();
            for answer in ["a.example TXT: \"x\"", "b.example MX: 10 c.example", "a.example TXT: \"x\""] {
                debug!(target: "maddy::dns", answer, "the DNS says");
            }
            info!("between");
            drop(checks);
            let _other = info_span!("checks", mail = "m2").entered();
        });
        let told: Vec<Noted> = std::iter::from_fn(|| noted.try_recv().ok()).collect();
        assert_eq!(told.iter().map(|one| one.mail.as_str()).collect::<Vec<_>>(), ["m1", "m1"]);
        let text: Value = serde_json::from_str(&told[1].text).unwrap();
        let answers = json!(["a.example TXT: \"x\"", "b.example MX: 10 c.example"]);
        assert_eq!((&text["what"], &text["fields"]["answers"]), (&"the DNS says".into(), &answers));
    }

    #[test]
    fn what_is_about_a_message_is_picked_out_with_all_its_names() {
        let (noting, mut noted) = Noting::new(3);
        let subscriber = tracing_subscriber::registry().with(noting.clone());
        tracing::subscriber::with_default(subscriber, || {
            info!("nothing to do with mail");
            let _conn = info_span!("conn", id = "c1", peer = "192.0.2.1").entered();
            let _checks = info_span!("checks", mail = "m1").entered();
            info!(finding = %"spf=pass", "checked");
            info!(mail = "m2", from = %"A@B.example", message_id = "<X@y>", job = 7, "mail in");
            info!(mail = "m3", long = "x".repeat(5000), "long");
            info!(mail = "m4", "no room");
        });
        let one = noted.try_recv().unwrap();
        assert_eq!((one.mail.as_str(), one.names.len()), ("m1", 0));
        let text: Value = serde_json::from_str(&one.text).unwrap();
        assert_eq!((&text["what"], &text["fields"]["finding"]), (&"checked".into(), &"spf=pass".into()));
        assert_eq!(text["fields"]["peer"], "192.0.2.1");
        let two = noted.try_recv().unwrap();
        assert_eq!((two.mail.as_str(), two.names.join(" ").as_str()), ("m2", "a@b.example x@y #7"));
        assert!(noted.try_recv().unwrap().text.len() < 1300);
        assert!(noted.try_recv().is_err());
        assert_eq!((noting.take_lost(), noting.take_lost()), (1, 0));
    }
}
