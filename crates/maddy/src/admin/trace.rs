//! The life of a message: what was told of it, and what the queue keeps of its attempts.

use crate::admin::{Context, Effect, Operation, failure};
use crate::trace;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use storage::{AttemptResult, KeptAttempt};
use web::Failure;

/// Most messages of one answer.
const MAILS_MAX: usize = 20;

/// Something that happened.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TraceLine {
    /// Seconds since 1970.
    pub(crate) at: i64,
    pub(crate) what: String,
    pub(crate) fields: Map<String, Value>,
}

/// One message.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TracedMail {
    pub(crate) mail: String,
    /// In the order in which it happened.
    pub(crate) events: Vec<TraceLine>,
}

/// Messages by an id of ours, a Message-ID, an address, or the number of a job.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TraceFind {
    pub(crate) what: String,
}

impl Operation for TraceFind {
    const NAME: &'static str = "trace";
    const EFFECT: Effect = Effect::Reads;
    /// The oldest first.
    type Answer = Vec<TracedMail>;

    async fn run(self, context: &Context) -> Result<Self::Answer, Failure> {
        let what = self.what.trim();
        let number = what.trim_start_matches('#');
        let mut names = vec![trace::name(what)];
        if !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_digit()) {
            names.push(format!("#{number}"));
        }
        let mut mails = vec![what.to_owned()];
        for name in names {
            for mail in context.store.traced_mails(&name).await.map_err(failure)? {
                if !mails.contains(&mail) {
                    mails.push(mail);
                }
            }
        }
        let mut found = Vec::new();
        for mail in mails {
            let events = events(&mail, context).await?;
            if !events.is_empty() && found.len() < MAILS_MAX {
                found.push(TracedMail { mail, events });
            }
        }
        found.sort_by_key(|one| one.events.first().map(|event| event.at));
        Ok(found)
    }
}

async fn events(mail: &str, context: &Context) -> Result<Vec<TraceLine>, Failure> {
    let told = context.store.trace(mail).await.map_err(failure)?;
    let attempts = context.store.attempts_of_mail(mail).await.map_err(failure)?;
    let mut events: Vec<TraceLine> = told.into_iter().map(|(at, text)| line(at, &text)).collect();
    events.extend(attempts.into_iter().map(attempt));
    // What happened in the same second stays in its order.
    events.sort_by_key(|event| event.at);
    Ok(events)
}

fn line(at: i64, text: &str) -> TraceLine {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let what = value["what"].as_str().unwrap_or(text).to_owned();
    TraceLine { at, what, fields: value["fields"].as_object().cloned().unwrap_or_default() }
}

fn attempt(kept: KeptAttempt) -> TraceLine {
    let attempt = kept.attempt;
    let result = match attempt.result {
        AttemptResult::NoWay => "no way to the host",
        AttemptResult::Delivered => "delivered",
        AttemptResult::Deferred => "put off",
        AttemptResult::Failed => "refused",
    };
    let mut fields = Map::new();
    for (name, value) in [
        ("recipients", attempt.recipients),
        ("host", attempt.host),
        ("address", attempt.address),
        ("tls", attempt.tls),
        ("reply", attempt.reply.to_string()),
        ("job", kept.job.get().to_string()),
    ] {
        if !value.is_empty() {
            fields.insert(name.to_owned(), Value::String(value));
        }
    }
    TraceLine { at: attempt.at, what: format!("attempt: {result}"), fields }
}
