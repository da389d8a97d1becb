//! The fields of a line for people: a value stands bare or in quotes, so that no text of a stranger can look like
//! another field.

use std::fmt::{self, Debug, Write};
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// Writes `message name=value name="a value"`.
pub(super) struct Fields;

impl<'w> FormatFields<'w> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut line = Line { writer, begun: false, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'w> {
    writer: Writer<'w>,
    begun: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn put(&mut self, name: &str, value: &dyn fmt::Display) {
        let gap = if self.begun { " " } else { "" };
        self.begun = true;
        if self.result.is_ok() {
            self.result = write!(self.writer, "{gap}{name}{value}");
        }
    }
}

impl Visit for Line<'_> {
    /// Text is always quoted.
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return self.record_debug(field, &format_args!("{value}"));
        }
        self.put(&format!("{}=", field.name()), &format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        match field.name() {
            "message" => self.put("", &one_line(&format!("{value:?}"))),
            // Of libraries that log in another way: where in their source.
            name if name.starts_with("log.") => {}
            name => {
                let name = name.strip_prefix("r#").unwrap_or(name);
                self.put(&format!("{name}="), &quoted(format!("{value:?}")));
            }
        }
    }
}

/// A value as it is if it can be nothing else than one value, otherwise in quotes.
fn quoted(value: String) -> String {
    let bare = !value.is_empty()
        && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"=\"{}\\".contains(c));
    if bare { value } else { format!("{value:?}") }
}

/// Words with what would move the cursor or end the line made visible.
fn one_line(words: &str) -> String {
    let mut text = String::new();
    for c in words.chars() {
        if c.is_control() {
            // Writing into a text cannot fail.
            let _ = write!(text, "{}", c.escape_debug());
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing::{error_span, info};

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Paper {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_value_can_look_like_another_field() {
        let paper = Paper::default();
        let out = paper.clone();
        let lines = tracing_subscriber::fmt()
            .fmt_fields(Fields)
            .with_writer(move || out.clone())
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(lines, || {
            let _span = error_span!("conn", id = "abc", from = %"a} b=c").entered();
            info!(mail = "x y", from = %"\"a b mail=forged\\\" x\"@x.test", "refused");
            info!(reply = %"550 5.6.0 No", empty = %"", port = 25, to = %"a@x.test", "an\nINFO forged");
            info!(name = ?Some("x y"), address = %"[::1]:25", "debug");
        });
        let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
        let want = [
            r#"refused mail="x y" from="\"a b mail=forged\\\" x\"@x.test""#,
            r#"an\nINFO forged reply="550 5.6.0 No" empty="" port=25 to=a@x.test"#,
            r#"debug name="Some(\"x y\")" address=[::1]:25"#,
        ]
        .map(|line| format!(" INFO conn{{id=\"abc\" from=\"a}} b=c\"}}: {line}\n"));
        assert_eq!(text, want.concat());
    }
}
