//! A page for those who run the server: how it stands, at a glance.

use crate::metrics::View;
use crate::setup;
use mail::date;
use std::fmt::Write as _;
use web::Insight;

/// The page. Nothing in it comes from strangers but names that we serve.
pub(crate) async fn page(view: &View) -> String {
    let now = view.world.clock.unix();
    let health = view.health().await;
    let mut rows = vec![
        ("works".to_owned(), health.map_or_else(|why| format!("no: {why}"), |()| "yes".to_owned())),
        ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("runs since".to_owned(), format!("{} ({})", date::print_iso(view.since), span(now - view.since))),
        ("connections".to_owned(), view.gate.live().to_string()),
    ];
    if let Ok(length) = view.store.queue_length().await {
        let oldest =
            view.store.queue(None, 1).await.ok().and_then(|first| first.first().map(|job| job.arrived));
        let age = oldest.map_or(String::new(), |arrived| format!(", the oldest for {}", span(now - arrived)));
        rows.push(("messages that wait to go out".to_owned(), format!("{length}{age}")));
    }
    for state in view.keeper.states() {
        let until = state.until.map_or("none yet".to_owned(), |until| {
            format!("good until {} ({})", date::print_iso(until), span(until - now))
        });
        let trouble = state.error.map_or(String::new(), |error| format!("; {error}"));
        rows.push((format!("certificate of {}", state.name), format!("{until}{trouble}")));
    }
    let dir = view.state_dir.clone();
    if let Ok(Some((at, found))) = tokio::task::spawn_blocking(move || setup::last_look(&dir)).await {
        let count = if found.is_empty() { "nothing".to_owned() } else { found.len().to_string() };
        rows.push((format!("found by the doctor on {}", date::print_iso(at)), count));
        rows.extend(found.into_iter().map(|line| (String::new(), line)));
    }
    let mut body = String::new();
    for (name, value) in rows {
        let _ = writeln!(body, "<tr><th>{}</th><td>{}</td></tr>", escape(&name), escape(&value));
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>maddy</title>\n<h1>maddy</h1>\n<table>\n{body}</table>\n\
         <p>For programs: <a href=\"/metrics\">/metrics</a>, <a href=\"/health\">/health</a>. What is wrong, here and in the DNS, is told by \
         <code>maddy doctor</code>.</p>\n</html>\n"
    )
}

/// A time in the two units that matter.
fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes} min"),
        (0, hours) => format!("{hours} h {minutes} min"),
        (days, hours) => format!("{days} d {hours} h"),
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short_and_text_is_text() {
        for (seconds, want) in [(-5, "0 min"), (59, "0 min"), (3660, "1 h 1 min"), (90_000, "1 d 1 h")] {
            assert_eq!(span(seconds), want);
        }
        assert_eq!(escape("<b>&\n"), "&lt;b&gt;&amp; ");
    }
}
