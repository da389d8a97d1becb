//! A message of the queue in the words of people.

use crate::admin::{AttemptInfo, JobInfo, RecipientInfo};
use crate::cli::output;

/// Widest column of addresses in listings.
const COLUMN_MAX: usize = 60;

/// A line of the list.
pub(crate) fn row(job: &JobInfo) -> Vec<String> {
    let waiting = || job.recipients.iter().filter(|recipient| recipient.state == "waiting");
    let mut to: Vec<&str> = job.recipients.iter().map(|recipient| recipient.address.as_str()).collect();
    if job.damage.is_some() {
        to.insert(0, "(damaged)");
    }
    let next = match job.held {
        Some(_) => "held".to_owned(),
        None => waiting().map(|recipient| recipient.due).min().map_or("now".to_owned(), output::time),
    };
    vec![
        job.id.to_string(),
        job.mail_id.clone(),
        output::time(job.arrived),
        output::size(job.size),
        next,
        sender(job).to_owned(),
        output::shorten(&to.join(" "), COLUMN_MAX),
    ]
}

fn sender(job: &JobInfo) -> &str {
    if job.from.is_empty() { "<>" } else { &job.from }
}

/// The whole message.
pub(crate) fn describe(job: &JobInfo) -> String {
    let mut text = format!(
        "message   {} (mail {})\nfrom      {}\narrived   {}\nsize      {}\n",
        job.id,
        job.mail_id,
        output::printable(sender(job)),
        output::time(job.arrived),
        output::size(job.size)
    );
    if job.priority != 0 {
        text.push_str(&format!("priority  {}\n", job.priority));
    }
    if let Some(release) = job.release_at {
        text.push_str(&format!("not before {}\n", output::time(release)));
    }
    if let Some(held) = job.held {
        text.push_str(&format!("held      since {}\n", output::time(held)));
    }
    if let Some(damage) = &job.damage {
        text.push_str(&format!("damaged   {}\n", output::printable(damage)));
    }
    for recipient in &job.recipients {
        text.push_str(&describe_recipient(recipient));
    }
    if !job.attempts.is_empty() {
        text.push_str("\nattempts\n");
    }
    for attempt in &job.attempts {
        text.push_str(&describe_attempt(attempt));
    }
    text
}

fn describe_recipient(recipient: &RecipientInfo) -> String {
    let next = if recipient.state == "waiting" {
        format!(", next try {}", output::time(recipient.due))
    } else {
        String::new()
    };
    let address = output::printable(&recipient.address);
    let tries =
        if recipient.attempts == 1 { "1 try".to_owned() } else { format!("{} tries", recipient.attempts) };
    let mut text = format!("\n{address}\n  {}, {tries}{next}\n", recipient.state);
    if let Some(last) = &recipient.last {
        let reply = output::printable(&last.reply);
        text.push_str(&format!("  {} {}: {reply}\n", output::time(last.at), output::printable(&last.host)));
    }
    text
}

/// `2026-11-20 07:30  mx.example.net [192.0.2.1:25] TLS …: 451 later (a@example.net)`.
fn describe_attempt(attempt: &AttemptInfo) -> String {
    let place = match (attempt.host.as_str(), attempt.address.as_str()) {
        ("", _) => output::printable(&attempt.domain),
        (host, address) => format!("{} [{address}]", output::printable(host)),
    };
    let tls = match attempt.tls.as_str() {
        "" => String::new(),
        tls => format!(", TLS {}", output::printable(tls)),
    };
    let named = attempt.recipients.split(' ').filter(|one| !one.is_empty()).count() as u64;
    let more = match attempt.recipient_count.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "  {}  {place}{tls}: {} ({}{more})\n",
        output::time(attempt.at),
        output::printable(&attempt.reply),
        output::shorten(&output::printable(&attempt.recipients), COLUMN_MAX)
    )
}
