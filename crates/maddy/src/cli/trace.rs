//! `trace`: the whole life of a message.

use crate::admin::{TraceFind, TraceLine, TracedMail};
use crate::cli::args::Global;
use crate::cli::{Connection, Trouble, output};
use mail::date;

pub(crate) async fn run(what: &str, global: &Global) -> Result<(), Trouble> {
    Connection::with(global, async |server| {
        let found = server.call(TraceFind { what: what.to_owned() }).await?;
        if found.is_empty() && !global.json {
            return Err(Trouble::new(format!(
                "nothing is known of {}: it is kept for the time that `trace` in the configuration says",
                output::printable(what)
            )));
        }
        if global.json {
            return output::json(&found);
        }
        output::octets(found.iter().map(describe).collect::<String>().as_bytes())
    })
    .await
}

fn describe(mail: &TracedMail) -> String {
    let lines: String = mail.events.iter().map(line).collect();
    format!("mail {}\n{lines}\n", output::printable(&mail.mail))
}

fn line(event: &TraceLine) -> String {
    let mut text = format!("  {}  {}", date::print_iso(event.at), output::printable(&event.what));
    // The connection is named where it says something: in what came first.
    for (name, value) in event.fields.iter().filter(|(name, _)| !["id", "level"].contains(&name.as_str())) {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values.iter().filter_map(serde_json::Value::as_str) {
            text.push_str(&format!("\n      {name}: {}", output::printable(value)));
        }
    }
    text.push('\n');
    text
}
