//! The control interface described for other programs (OpenAPI 3.1), made of the types that carry it: an operation that is
//! there is described, and as it is.

use crate::admin::{self, Effect};
use crate::operations;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

/// Where the schemas of types lie in the document.
const SCHEMAS: &str = "#/components/schemas/";
/// What an operation that was not done answers with: status, kind, meaning.
const FAILURES: [(&str, &str); 6] = [
    ("400", "The request itself makes no sense."),
    ("404", "What it names is not there, or there is no such operation."),
    ("409", "It is there already."),
    ("422", "It is understood and not allowed."),
    ("500", "A mistake in the program."),
    ("503", "Trouble that may pass."),
];

/// One operation.
pub(crate) struct Route {
    name: &'static str,
    effect: Effect,
    /// What it does, in its own words.
    summary: String,
    arguments: Value,
    answer: Value,
}

impl Route {
    /// Of an operation with arguments `A` that answers `R`.
    pub(crate) fn of<A: JsonSchema, R: JsonSchema>(
        schemas: &mut SchemaGenerator,
        name: &'static str,
        effect: Effect,
    ) -> Self {
        let arguments = schemas.subschema_for::<A>().to_value();
        let answer = schemas.subschema_for::<R>().to_value();
        let summary = described(schemas, &arguments);
        Self { name, effect, summary, arguments, answer }
    }

    /// The same in other words.
    #[must_use]
    pub(crate) fn called(mut self, summary: &str) -> Self {
        summary.clone_into(&mut self.summary);
        self
    }

    /// The same with an answer that is described here.
    #[must_use]
    pub(crate) fn answering(mut self, answer: Value) -> Self {
        self.answer = answer;
        self
    }

    fn path(&self) -> (String, Value) {
        let json = |schema: &Value| json!({ "application/json": { "schema": schema } });
        let mut responses = Map::new();
        responses.insert("200".to_owned(), json!({ "description": "Done.", "content": json(&self.answer) }));
        let failure = json!({ "$ref": format!("{SCHEMAS}Failure") });
        for (status, meaning) in FAILURES {
            responses.insert(status.to_owned(), json!({ "description": meaning, "content": json(&failure) }));
        }
        for (status, name) in [("401", "Unauthorized"), ("429", "TooManyGuesses")] {
            responses.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
        }
        let effect = match self.effect {
            Effect::Reads => "It changes nothing.",
            Effect::Changes => "It changes the server.",
        };
        let summary =
            if self.summary.is_empty() { self.name.replace('-', " ") } else { self.summary.clone() };
        let post = json!({
            "operationId": self.name,
            "summary": summary,
            "description": effect,
            "requestBody": { "required": true, "content": json(&self.arguments) },
            "responses": responses,
        });
        (format!("/v1/{}", self.name), json!({ "post": post }))
    }
}

/// The words that stand at a type, of which there is a schema by now.
fn described(schemas: &SchemaGenerator, schema: &Value) -> String {
    let name = schema["$ref"].as_str().and_then(|path| path.strip_prefix(SCHEMAS));
    let whole = name.and_then(|name| schemas.definitions().get(name)).unwrap_or(schema);
    whole["description"].as_str().unwrap_or_default().to_owned()
}

/// The whole document.
pub(crate) fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut routes = admin::routes(&mut schemas);
    routes.extend(operations::routes(&mut schemas));
    let paths: Map<String, Value> = routes.iter().map(Route::path).collect();
    let mut definitions = schemas.take_definitions(true);
    definitions.insert("Failure".to_owned(), failure());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "maddy",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What can be done to a mail server from outside: everything that its command line does. \
                See docs/control.md.",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [
            { "url": "http://localhost", "description": "The Unix socket control.sock in runtime-dir" },
            { "url": "http://127.0.0.1:9981", "description": "A listener of the node `control`" },
        ],
        "security": [{}, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "responses": {
                "Unauthorized": answer("Over TCP: there is no token, or it is not the right one."),
                "TooManyGuesses": answer("Over TCP: too many wrong tokens came from there; see Retry-After."),
            },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Over TCP only. On the Unix socket the system says who calls.",
                },
            },
        },
    })
}

fn answer(description: &str) -> Value {
    let schema = json!({ "$ref": format!("{SCHEMAS}Failure") });
    json!({ "description": description, "content": { "application/json": { "schema": schema } } })
}

fn failure() -> Value {
    json!({
        "type": "object",
        "description": "Why an operation was not done.",
        "required": ["kind", "message"],
        "properties": {
            "kind": {
                "type": "string",
                "enum": ["bad-request", "not-found", "exists", "refused", "unavailable", "broken"],
            },
            "message": { "type": "string", "description": "A sentence for the person who asked for it." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(list) => list.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_operation_has_words() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        assert!(found.len() > 40);
        for reference in found {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
        let paths = document["paths"].as_object().unwrap();
        assert!(paths.len() > 60, "{}", paths.len());
        for (path, item) in paths {
            assert!(!item["post"]["summary"].as_str().unwrap().is_empty(), "{path}");
        }
    }

    #[test]
    fn failures_are_described_as_they_are() {
        use web::{Failure, Kind};
        let kinds =
            [Kind::BadRequest, Kind::NotFound, Kind::Exists, Kind::Refused, Kind::Unavailable, Kind::Broken];
        let schema = failure();
        let listed = schema["properties"]["kind"]["enum"].as_array().unwrap();
        assert_eq!(listed.len(), kinds.len());
        for kind in kinds {
            let sent = serde_json::to_value(Failure::new(kind, "x")).unwrap();
            assert!(listed.contains(&sent["kind"]), "{sent}");
        }
    }

    /// The report of the self-check is made elsewhere, and described by hand.
    #[test]
    fn the_report_of_the_self_check_is_described_as_it_is() {
        let sent = serde_json::to_value(delivery::selfcheck::Report::default()).unwrap();
        let described = operations::report_schema();
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        assert_eq!(names(&sent), names(&described["properties"]));
    }
}
