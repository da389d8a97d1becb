//! Records as OTLP has them in JSON: numbers of 64 bits as text, ids in hexadecimal.

use super::layer::{Fields, Place, Record};
use serde_json::{Map, Value, json};
use tracing::Level;

/// The bodies for `/v1/logs` and `/v1/traces`, where there is something to send.
pub(super) fn requests(hostname: &str, batch: &[Record]) -> (Option<Value>, Option<Value>) {
    let (mut logs, mut spans) = (Vec::new(), Vec::new());
    for record in batch {
        match record {
            Record::Log { at, level, text, target, fields, place } => {
                let (number, word) = severity(*level);
                let mut log = json!({
                    "timeUnixNano": at.to_string(),
                    "severityNumber": number,
                    "severityText": word,
                    "body": { "stringValue": text },
                    "attributes": attributes(fields, &[("target", target)]),
                });
                add_place(&mut log, place.as_ref());
                logs.push(log);
            }
            Record::Span { name, begun, ended, fields, place, parent } => {
                let mut span = json!({
                    "name": name,
                    // Internal; a connection that came in is one of a server.
                    "kind": if *name == "conn" { 2 } else { 1 },
                    "startTimeUnixNano": begun.to_string(),
                    "endTimeUnixNano": ended.to_string(),
                    "attributes": attributes(fields, &[]),
                });
                add_place(&mut span, Some(place));
                if let Some(parent) = parent {
                    span["parentSpanId"] = hexadecimal(parent).into();
                }
                spans.push(span);
            }
        }
    }
    let resource = json!({ "attributes": attributes(
        &vec![("host.name", hostname.to_owned()), ("service.version", env!("CARGO_PKG_VERSION").to_owned())],
        &[("service.name", "maddy")],
    ) });
    let whole = |outer: &str, inner: &str, list: &str, records: Vec<Value>| {
        let mut scope = Map::new();
        scope.insert("scope".to_owned(), json!({ "name": "maddy" }));
        scope.insert(list.to_owned(), records.into());
        let mut body = Map::new();
        body.insert(outer.to_owned(), json!([{ "resource": resource, inner: [scope] }]));
        Value::Object(body)
    };
    let logs = (!logs.is_empty()).then(|| whole("resourceLogs", "scopeLogs", "logRecords", logs));
    let spans = (!spans.is_empty()).then(|| whole("resourceSpans", "scopeSpans", "spans", spans));
    (logs, spans)
}

fn add_place(record: &mut Value, place: Option<&Place>) {
    if let Some(place) = place {
        record["traceId"] = hexadecimal(&place.trace).into();
        record["spanId"] = hexadecimal(&place.span).into();
    }
}

fn attributes(fields: &Fields, more: &[(&str, &str)]) -> Value {
    let one = |name: &str, value: &str| json!({ "key": name, "value": { "stringValue": value } });
    let fields = fields.iter().map(|(name, value)| one(name, value));
    fields.chain(more.iter().map(|(name, value)| one(name, value))).collect()
}

fn severity(level: Level) -> (u8, &'static str) {
    match level {
        Level::ERROR => (17, "ERROR"),
        Level::WARN => (13, "WARN"),
        Level::INFO => (9, "INFO"),
        Level::DEBUG => (5, "DEBUG"),
        Level::TRACE => (1, "TRACE"),
    }
}

fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_as_collectors_want_them() {
        let place = Place { trace: [0xab; 16], span: [1; 8] };
        let log = Record::Log {
            at: 1_700_000_000_000_000_001,
            level: Level::WARN,
            text: "mail in".to_owned(),
            target: "smtp_in",
            fields: vec![("mail", "m1".to_owned())],
            place: Some(place),
        };
        let (begun, ended) = (5, 6);
        let fields = Vec::new();
        let span = Record::Span { name: "conn", begun, ended, fields, place, parent: Some([2; 8]) };
        let (logs, spans) = requests("mx.example.org", &[log, span]);
        let log = &logs.as_ref().unwrap()["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        assert_eq!(log["timeUnixNano"], "1700000000000000001");
        assert_eq!((&log["severityNumber"], &log["body"]["stringValue"]), (&13.into(), &"mail in".into()));
        assert_eq!(log["traceId"], "ab".repeat(16));
        assert_eq!(log["attributes"][0], json!({ "key": "mail", "value": { "stringValue": "m1" } }));
        let span = &spans.as_ref().unwrap()["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(
            (&span["spanId"], &span["parentSpanId"]),
            (&"01".repeat(8).into(), &"02".repeat(8).into())
        );
        assert_eq!((&span["startTimeUnixNano"], &span["kind"]), (&"5".into(), &2.into()));
        let name = &spans.unwrap()["resourceSpans"][0]["resource"]["attributes"];
        assert!(name.to_string().contains("\"maddy\"") && name.to_string().contains("mx.example.org"));
        assert_eq!(requests("x", &[]), (None, None));
    }
}
