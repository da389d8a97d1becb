//! Delivery status notices: a sentence for the person, fields for the program, and the message they are about
//! (RFC 3464, RFC 3461 §6, RFC 6522; RFC 6533 where addresses or headers are not ASCII).
//!
//! The caller sends them with the null reverse path and decides whether one is due at all (RFC 3461 §5).

mod action;

pub use action::Action;

use crate::address::Address;
use crate::date;
use crate::envelope::{Body, OriginalRecipient, Ret};
use crate::fold::{self, PASSED_LINE_MAX};
use crate::header;
use crate::message::Message;
use crate::mime::Overview;
use crate::mime::decode::to_quoted_printable;
use crate::reply::Reply;
use crate::status::Status;
use crate::timing::Release;
use crate::trace::Charset;
use crate::words;
use action::ACTIONS;
use std::fmt::Write as _;
use std::io::{self, Read};

/// Longest header that goes back, in octets; whole fields beyond it are left out, and those that no lawful line can hold.
pub const HEADER_MAX: usize = 64 * 1024;
/// Longest text of a reply that is quoted, in characters.
const REPLY_MAX: usize = 2000;
/// How much of the message's subject stands in that of the notice, in characters.
const SUBJECT_MAX: usize = 200;
/// How much of each header field is shown to the person, in characters.
const SHOWN_MAX: usize = 300;

/// What became of one recipient.
#[derive(Clone, Debug)]
pub struct Report {
    pub recipient: Address,
    pub original: Option<OriginalRecipient>,
    pub action: Action,
    pub status: Status,
    /// The name of the host that answered; `None` if we came to the result ourselves.
    pub remote: Option<String>,
    /// Its words, or ours.
    pub reply: Option<Reply>,
    /// Unix seconds, as is `retry_until`.
    pub last_attempt: Option<i64>,
    /// Told only with [`Action::Delayed`].
    pub retry_until: Option<i64>,
}

/// All that a notice is made of. Times are Unix seconds.
#[derive(Clone, Copy, Debug)]
pub struct Notice<'a> {
    /// Our own name.
    pub reporting_mta: &'a str,
    /// Who the notice is from: postmaster or MAILER-DAEMON here.
    pub from: &'a Address,
    /// The sender of the message.
    pub to: &'a Address,
    pub now: i64,
    /// When the message came to us.
    pub arrival: Option<i64>,
    /// By when it was to be delivered, where its sender had said so (RFC 2852 §5).
    pub deliver_by: Option<i64>,
    /// From when on its sender wanted it delivered (RFC 4865 §5.1.2).
    pub release: Option<Release>,
    /// The unique left side of the notice's own Message-ID; also its boundary, so it must not be guessable.
    pub message_id: &'a str,
    pub envid: Option<&'a str>,
    /// Our name for the message, as in the log.
    pub queue_id: Option<&'a str>,
    pub ret: Ret,
    /// Whether the message came with SMTPUTF8: what is other than ASCII in its header is UTF-8 then.
    pub charset: Charset,
    /// A longer message goes back as its header only, whatever `ret` says.
    pub full_max: u64,
    pub original: &'a Message,
    pub recipients: &'a [Report],
}

/// A notice, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Composed {
    /// Header and body, lines ending in CRLF.
    pub message: Vec<u8>,
    pub body: Body,
    /// Whether it must travel with SMTPUTF8 (RFC 6533 §3).
    pub utf8: bool,
}

/// Writes the notice. Fails only if the original message cannot be read.
pub fn compose(notice: &Notice<'_>) -> io::Result<Composed> {
    let header = header::read(&mut notice.original.reader())?;
    // Not because there is more to tell than ASCII can: who writes with SMTPUTF8 may have a return path without it, and a
    // notice that cannot pass is lost. RFC 6533 §3 and §4.5 have a 7-bit form of everything.
    let utf8 = notice.to.needs_utf8() || notice.from.needs_utf8();
    let boundary = format!("=_{}", notice.message_id);
    let text = human_part(notice, &header);
    let status = status_part(notice, utf8);
    let returned = returned_part(notice, &header, utf8)?;
    let mut out = own_header(notice, &header, &boundary).into_bytes();
    for part in [text.into_bytes(), status_with_type(&status, utf8), returned] {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        out.extend_from_slice(&part);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let body = if out.is_ascii() { Body::SevenBit } else { Body::EightBitMime };
    Ok(Composed { message: out, body, utf8 })
}

fn has(notice: &Notice<'_>, action: Action) -> bool {
    notice.recipients.iter().any(|report| report.action == action)
}

fn own_header(notice: &Notice<'_>, original: &[u8], boundary: &str) -> String {
    let worst = ACTIONS.into_iter().find(|action| has(notice, *action)).unwrap_or(Action::Failed);
    let about = header::find(original, "subject").map(|field| field.text()).unwrap_or_default();
    let about: String = about.chars().take(SUBJECT_MAX).collect();
    let subject = if about.is_empty() { "your message" } else { &about };
    let mut out = format!(
        "From: Mail Delivery System <{}>\r\nTo: <{}>\r\nSubject: {}\r\nDate: {}\r\nMessage-ID: <{}@{}>\r\n",
        notice.from,
        notice.to,
        words::encode(&format!("{}: {subject}", worst.subject())),
        date::print(notice.now),
        notice.message_id,
        notice.from.domain(),
    );
    if let Some(id) = Overview::read(original).message_id {
        let _ = write!(out, "In-Reply-To: {id}\r\nReferences: {id}\r\n");
    }
    // RFC 3834 §5: no program shall answer this.
    out.push_str("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
    let _ = write!(
        out,
        "Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"{boundary}\"\r\n\r\n"
    );
    out
}

/// The part for people (RFC 6522 §3, first part).
fn human_part(notice: &Notice<'_>, original: &[u8]) -> String {
    let mut text = format!("This is the mail system at {}.\n", notice.reporting_mta);
    for action in ACTIONS.into_iter().filter(|action| has(notice, *action)) {
        text.push('\n');
        fold::paragraph(&mut text, "", action.sentence());
        for report in notice.recipients.iter().filter(|report| report.action == action) {
            text.push('\n');
            about_recipient(&mut text, report);
        }
    }
    text.push_str("\nThe message was:\n\n");
    for name in ["From", "To", "Subject", "Date", "Message-ID"] {
        if let Some(field) = header::find(original, name) {
            let value: String = field.text().chars().take(SHOWN_MAX).collect();
            fold::paragraph(&mut text, "    ", &format!("{name}: {value}"));
        }
    }
    if let Some(id) = notice.queue_id {
        fold::paragraph(&mut text, "    ", &format!("It was accepted here as {id}."));
    }
    let (encoding, body) = if text.is_ascii() {
        ("7bit", text.replace('\n', "\r\n"))
    } else {
        ("quoted-printable", to_quoted_printable(&text))
    };
    format!(
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: Notification\r\n\r\n{body}"
    )
}

fn about_recipient(text: &mut String, report: &Report) {
    fold::paragraph(text, "    ", &report.recipient.to_string());
    if let Some(original) = &report.original
        && !original.address.eq_ignore_ascii_case(&report.recipient.to_string())
    {
        fold::paragraph(text, "        ", &format!("(you wrote to {})", one_line(&original.address)));
    }
    if let Some(reply) = &report.reply {
        let words = one_line(&reply.to_string());
        match &report.remote {
            Some(host) => fold::paragraph(text, "        ", &format!("{} answered: {words}", one_line(host))),
            None => fold::paragraph(text, "        ", &one_line(&reply.text)),
        }
    }
    if report.action == Action::Delayed
        && let Some(until) = report.retry_until
    {
        fold::paragraph(text, "        ", &format!("Attempts go on until {}.", date::print(until)));
    }
}

/// The part for programs (RFC 3464 §2).
fn status_part(notice: &Notice<'_>, utf8: bool) -> String {
    let mut out = String::new();
    if let Some(envid) = notice.envid {
        exact_field(&mut out, "Original-Envelope-Id", envid);
    }
    field(&mut out, "Reporting-MTA", &format!("dns; {}", notice.reporting_mta));
    let dates = [("Arrival-Date", notice.arrival), ("Deliver-By-Date", notice.deliver_by)];
    for (name, at) in dates.into_iter().filter_map(|(name, at)| Some((name, at?))) {
        field(&mut out, name, &date::print(at));
    }
    if let Some(release) = notice.release {
        field(&mut out, "Future-Release-Request", &release.to_string());
    }
    for report in notice.recipients {
        out.push_str("\r\n");
        if let Some(original) = &report.original {
            exact_field(&mut out, "Original-Recipient", &typed(&original.kind, &original.address, utf8));
        }
        let kind = if report.recipient.needs_utf8() { "utf-8" } else { "rfc822" };
        exact_field(&mut out, "Final-Recipient", &typed(kind, &report.recipient.to_string(), utf8));
        field(&mut out, "Action", report.action.name());
        field(&mut out, "Status", &report.status.to_string());
        if let Some(host) = &report.remote {
            field(&mut out, "Remote-MTA", &format!("dns; {host}"));
        }
        if let Some(reply) = &report.reply {
            // Only what a server said to us is an SMTP diagnostic (RFC 3464 §2.3.6).
            let kind = if report.remote.is_some() { "smtp" } else { "x-maddy" };
            field(&mut out, "Diagnostic-Code", &format!("{kind}; {reply}"));
        }
        if let Some(at) = report.last_attempt {
            field(&mut out, "Last-Attempt-Date", &date::print(at));
        }
        if report.action == Action::Delayed
            && let Some(until) = report.retry_until
        {
            field(&mut out, "Will-Retry-Until", &date::print(until));
        }
    }
    out
}

/// An address with its type; where UTF-8 cannot stand, in the form that is 7-bit safe (RFC 6533 §3, utf-8-addr-xtext).
fn typed(kind: &str, address: &str, utf8: bool) -> String {
    if utf8 || !kind.eq_ignore_ascii_case("utf-8") {
        return format!("{kind}; {address}");
    }
    let mut out = format!("{kind}; ");
    for c in address.chars() {
        match c {
            '!'..='*' | ','..='<' | '>'..='[' | ']'..='~' => out.push(c),
            _ => {
                let _ = write!(out, "\\x{{{:02X}}}", u32::from(c));
            }
        }
    }
    out
}

fn status_with_type(status: &str, utf8: bool) -> Vec<u8> {
    // Outside RFC 6533 the fields are ASCII.
    let (kind, encoding, status) = if utf8 {
        ("message/global-delivery-status; charset=utf-8", "8bit", status.to_owned())
    } else {
        let ascii = status.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
        ("message/delivery-status", "7bit", ascii)
    };
    format!(
        "Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: Delivery report\r\n\r\n{status}"
    )
    .into_bytes()
}

/// The message itself, or its header (RFC 3461 §4.3: only the header if nothing failed).
fn returned_part(notice: &Notice<'_>, header: &[u8], utf8: bool) -> io::Result<Vec<u8>> {
    let wanted = notice.ret == Ret::Full && has(notice, Action::Failed);
    if wanted && notice.original.len() <= notice.full_max {
        let mut whole = Vec::new();
        notice.original.reader().take(notice.full_max).read_to_end(&mut whole)?;
        if can_be_quoted(&whole) {
            let is_encoded = notice.charset == Charset::Utf8 && !header.is_ascii() && !utf8;
            if let Some(text) = std::str::from_utf8(&whole).ok().filter(|_| is_encoded) {
                let encoded = to_quoted_printable(&text.replace("\r\n", "\n")).into_bytes();
                return Ok(with_type("message/global", "quoted-printable", "Undelivered message", &encoded));
            }
            let kind = if utf8 { "message/global" } else { "message/rfc822" };
            let encoding = if whole.is_ascii() { "7bit" } else { "8bit" };
            return Ok(with_type(kind, encoding, "Undelivered message", &whole));
        }
    }
    let mut kept = Vec::new();
    for field in header::fields(header).take_while(|field| field.end <= HEADER_MAX) {
        let field = &header[field.start..field.end];
        if can_be_quoted(field) {
            kept.extend_from_slice(field);
        }
    }
    let (kind, encoding, content) = match std::str::from_utf8(&kept) {
        Ok(_) if kept.is_ascii() => ("text/rfc822-headers", "7bit", kept),
        Ok(_) if utf8 => ("message/global-headers", "8bit", kept),
        // RFC 6533 §4.3 lets it be encoded, so that it passes where SMTPUTF8 does not.
        Ok(text) => {
            let lines = text.replace("\r\n", "\n");
            ("message/global-headers", "quoted-printable", to_quoted_printable(&lines).into_bytes())
        }
        Err(_) => {
            let ascii = kept.iter().map(|b| if b.is_ascii() { *b } else { b'?' }).collect();
            ("text/rfc822-headers", "7bit", ascii)
        }
    };
    Ok(with_type(kind, encoding, "Header of the message", &content))
}

/// Whether a message can stand within another as it is: lines of lawful length, ended by CRLF, and no NUL.
fn can_be_quoted(message: &[u8]) -> bool {
    message.split_inclusive(|b| *b == b'\n').all(|line| {
        let text = line.strip_suffix(b"\r\n").unwrap_or(line);
        text.len() <= PASSED_LINE_MAX && !text.iter().any(|b| matches!(b, b'\r' | b'\n' | 0))
    })
}

fn with_type(kind: &str, encoding: &str, description: &str, content: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\
         Content-Description: {description}\r\n\r\n"
    )
    .into_bytes();
    out.extend_from_slice(content);
    out
}

/// Text on one line, without control characters, of bounded length.
fn one_line(text: &str) -> String {
    text.chars().take(REPLY_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// One field with its value as it was given, for programs that compare it (RFC 3464 §2.2.1, §2.3.2): each blank counts, so it
/// is folded only if no line can hold it.
fn exact_field(out: &mut String, name: &str, value: &str) {
    let line = format!("{name}: {}", one_line(value));
    if line.len() > PASSED_LINE_MAX {
        return field(out, name, value);
    }
    out.push_str(&line);
    out.push_str("\r\n");
}

/// One field, folded.
fn field(out: &mut String, name: &str, value: &str) {
    let _ = write!(out, "{name}: {}\r\n", fold::value(&one_line(value)));
}

#[cfg(test)]
#[path = "dsn_tests.rs"]
mod tests;
