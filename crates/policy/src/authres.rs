//! Authentication-Results: what we found, told to readers; and what others say in our name, taken out (RFC 8601).

use crate::decide::Disposition;
use crate::decide::Verdict;
use crate::finding::{Finding, Identity, SpfFinding};
use crate::helo::HeloResult;
use crate::results::without_comments;
use crate::sender::SenderResult;
use crate::{arc, dkim, dmarc, dnslist, iprev};
use mail::{Domain, Message, Spool, header};
use std::io;
use std::ops::Range;
use std::path::Path;

/// Name of the field that says why a message is in Junk, or is suspicious.
pub const REASON_FIELD: &str = "X-Junk-Reason";
/// Longest line that is written where there is a blank to break it at (RFC 5322 §2.1.1).
const LINE_MAX: usize = 78;
/// Longest value of a stranger's making, in characters.
const VALUE_MAX: usize = 200;

/// The field with all that was found: whole, folded, without the last line break, for [`Message::prepend`].
/// `disposition` is what became of a failure of DMARC.
///
/// Without findings it says `none`, so that readers know that nothing was checked (RFC 8601 §2.2). What has no
/// registered name begins with `x-`, and stands there only if something is wrong.
pub fn field(hostname: &Domain, findings: &[Finding], disposition: Option<&Disposition>) -> String {
    let mut results = Vec::new();
    for finding in findings {
        match finding {
            Finding::Iprev(one) => results.push(about_iprev(one)),
            // A name that leads elsewhere is nothing wrong by itself (RFC 5321 §4.1.4).
            Finding::Helo(one) if matches!(one.result, HeloResult::Pass | HeloResult::Mismatch) => {}
            Finding::Helo(one) => results.push(format!(
                "x-helo={} reason={} smtp.helo={}",
                one.result,
                quoted(&one.reason),
                value(&one.helo)
            )),
            Finding::Sender(one) if one.result == SenderResult::Pass => {}
            Finding::Sender(one) => results.push(format!(
                "x-sender={} reason={} smtp.mailfrom={}",
                one.result,
                quoted(&one.reason),
                value(&one.sender)
            )),
            Finding::Lists(one) => results.extend(one.listings.iter().map(about_listing)),
            Finding::Spf(one) => results.push(about_spf(one)),
            Finding::Dkim(all) if all.is_empty() => results.push("dkim=none".to_owned()),
            Finding::Dkim(all) => results.extend(all.iter().map(about_dkim)),
            Finding::Arc(one) => results.push(about_arc(one)),
            Finding::Dmarc(one) => results.push(about_dmarc(one, disposition)),
        }
    }
    if results.is_empty() {
        return format!("Authentication-Results: {hostname}; none");
    }
    let mut out = format!("Authentication-Results: {hostname}");
    for result in results {
        out.push_str(";\r\n\t");
        push_folded(&mut out, &result);
    }
    out
}

/// A field for people with the reasons of a verdict; `None` if the verdict has none to tell.
pub fn reason_field(verdict: &Verdict) -> Option<String> {
    let (Verdict::Mark(reasons) | Verdict::Quarantine(reasons)) = verdict else { return None };
    let text = clean(&reasons.join("; "), usize::MAX);
    let mut out = format!("{REASON_FIELD}:\r\n\t");
    push_folded(&mut out, &text);
    Some(out)
}

/// Adds words, folded between them.
fn push_folded(out: &mut String, text: &str) {
    let mut line = 8;
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 && line + 1 + word.len() > LINE_MAX {
            out.push_str("\r\n\t ");
            line = 9;
        } else if at > 0 {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += word.len();
    }
}

fn about_iprev(one: &iprev::Outcome) -> String {
    format!("iprev={} reason={} policy.iprev={}", one.result, quoted(&one.reason), value(&one.ip.to_string()))
}

fn about_spf(one: &SpfFinding) -> String {
    let property = match one.identity {
        Identity::MailFrom => "smtp.mailfrom",
        Identity::Helo | Identity::HeloForNullPath => "smtp.helo",
    };
    let outcome = &one.outcome;
    format!("spf={} reason={} {property}={}", outcome.result, quoted(&outcome.reason), value(&one.who))
}

fn about_dkim(one: &dkim::Outcome) -> String {
    let testing = if one.testing { " (the domain is testing)" } else { "" };
    let mut out = format!("dkim={}{testing} reason={}", one.result, quoted(&one.reason));
    let properties = [
        ("header.d", one.domain.as_ref().map(Domain::as_str)),
        ("header.i", one.identity.as_deref()),
        ("header.s", one.selector.as_deref()),
        ("header.a", one.algorithm),
        ("header.b", one.mark.as_deref()),
    ];
    for (name, text) in properties {
        if let Some(text) = text {
            out.push_str(&format!(" {name}={}", value(text)));
        }
    }
    out
}

fn about_arc(one: &arc::Outcome) -> String {
    let mut out = format!(
        "arc={} reason={} smtp.remote-ip={}",
        one.result,
        quoted(&one.reason),
        value(&one.peer.to_string())
    );
    if let Some(oldest) = one.oldest_pass {
        out.push_str(&format!(" header.oldest-pass={oldest}"));
    }
    out
}

/// A list that speaks for the client, as RFC 8904 §2 writes it; the same for one that speaks against it, for which
/// there is no registered name.
fn about_listing(one: &dnslist::Listing) -> String {
    let word = if one.score < 0 { "dnswl=pass" } else { "x-dnsbl=fail" };
    let codes: Vec<String> = one.codes.iter().map(ToString::to_string).collect();
    let mut out = format!("{word} dns.zone={} policy.ip={}", value(&one.list), value(&codes.join(",")));
    if let Some(text) = &one.text {
        out.push_str(&format!(" policy.txt={}", quoted(text)));
    }
    out
}

/// `policy.dmarc` says what was done about a failure (RFC 7489 §11.1), and a comment why it is not what was asked for.
fn about_dmarc(one: &dmarc::Outcome, disposition: Option<&Disposition>) -> String {
    let mut out = format!("dmarc={}", one.result);
    if let Some(published) = one.published {
        out.push_str(&format!(" (p={published})"));
    }
    out.push_str(&format!(" reason={}", quoted(&one.reason)));
    if let Some(author) = &one.author {
        out.push_str(&format!(" header.from={}", value(author.as_str())));
    }
    if let Some(disposition) = disposition.filter(|_| one.result == dmarc::DmarcResult::Fail) {
        out.push_str(&format!(" policy.dmarc={}", disposition.policy));
        if let Some(change) = &disposition.changed {
            out.push_str(&format!(" ({})", comment(&change.comment)));
        }
    }
    out
}

/// Text that cannot leave a comment.
fn comment(text: &str) -> String {
    clean(text, VALUE_MAX).replace(['(', ')', '\\'], "?")
}

/// Text without control characters, of bounded length.
fn clean(text: &str, most: usize) -> String {
    text.chars().take(most).map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in clean(text, VALUE_MAX).chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A value as RFC 8601 §2.2 writes it: a token, or an address of harmless letters, bare; anything else quoted.
fn value(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`{|}~@".contains(c);
    let is_short = (1..=VALUE_MAX).contains(&text.len());
    if is_short && text.chars().all(is_plain) && text.matches('@').count() <= 1 && !text.ends_with('@') {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Where the fields of a header stand that carry one of our names: Authentication-Results and Received-SPF of that
/// name, and [`REASON_FIELD`], which nobody but us writes (RFC 8601 §5).
pub fn forged(header: &[u8], ours: &[Domain]) -> Vec<Range<usize>> {
    let is_ours = |name: &str| Domain::parse(name).is_ok_and(|name| ours.contains(&name));
    header::fields(header)
        .filter(|field| {
            if field.is("Authentication-Results") {
                server_of(field.value).is_none_or(|name| is_ours(&name))
            } else if field.is("Received-SPF") {
                receivers_of(field.value).iter().any(|name| is_ours(name))
            } else {
                field.is(REASON_FIELD)
            }
        })
        .map(|field| field.start..field.end)
        .collect()
}

/// The message without what others say in our name; `None` if there is nothing to take out, which is the rule.
///
/// Blocks on the disk where the message is in a file. `dir` takes the new one.
pub fn without_forged(message: &Message, ours: &[Domain], dir: &Path) -> io::Result<Option<Message>> {
    let header = header::read_blob(&message.received)?;
    let forged = forged(&header, ours);
    if forged.is_empty() {
        return Ok(None);
    }
    let mut spool = Spool::new(dir);
    let mut at = 0;
    for range in forged {
        spool.push(&header[at..range.start])?;
        at = range.end;
    }
    spool.push(&header[at..])?;
    let mut from = header.len() as u64;
    while from < message.received.len() {
        let piece = message.received.read_at(from, PIECE)?;
        from += piece.len() as u64;
        spool.push(&piece)?;
    }
    Ok(Some(Message { added: message.added.clone(), received: spool.finish() }))
}

/// How much of a body is copied at a time.
const PIECE: usize = 64 * 1024;

/// The authserv-id of a field, without comments and quotes; `None` if there is none that can be read.
fn server_of(value: &[u8]) -> Option<String> {
    let plain = without_comments(value);
    let first = plain.split(';').next()?.trim();
    let name = match first.strip_prefix('"') {
        Some(rest) => rest.split('"').next()?.replace('\\', ""),
        None => first.split_ascii_whitespace().next()?.to_owned(),
    };
    Some(name)
}

/// The hosts that a Received-SPF says it is of: `receiver=`, and the word in front of the comment's colon.
fn receivers_of(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value).into_owned();
    let lower = text.to_ascii_lowercase();
    let mut out = Vec::new();
    for (at, mark) in lower.match_indices("receiver") {
        let rest = lower[at + mark.len()..].trim_start();
        let Some(rest) = rest.strip_prefix('=') else { continue };
        let is_end = |c: char| c.is_whitespace() || matches!(c, ';' | '"' | '(' | ')');
        out.extend(
            rest.trim_start_matches([' ', '\t', '\r', '\n', '"']).split(is_end).next().map(str::to_owned),
        );
    }
    if let Some((_, comment)) = lower.split_once('(') {
        out.extend(comment.split([':', ')']).next().map(|name| name.trim().to_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Blob;

    fn ours() -> Vec<Domain> {
        ["mx.example.org", "example.org"].map(|name| Domain::parse(name).unwrap()).to_vec()
    }

    #[test]
    fn what_carries_our_name_is_found() {
        for (field, want) in [
            ("Authentication-Results: mx.example.org; dkim=pass", true),
            ("authentication-results: MX.Example.ORG 1; none", true),
            ("Authentication-Results: (a (nested; comment)) mx.example.org (x)\r\n\t; spf=pass", true),
            ("Authentication-Results: \"mx.example.org\"; dkim=pass", true),
            ("Authentication-Results:\r\n\tmx.example.org; dkim=pass", true),
            ("Authentication-Results: mx.example.org", true),
            ("Authentication-Results: example.org; x=y", true),
            ("Authentication-Results: mx.example.org.; x=y", true),
            ("Authentication-Results: ; x=y", true),
            ("Authentication-Results: mx.example.net; dkim=pass (mx.example.org)", false),
            ("Authentication-Results: xmx.example.org; dkim=pass", false),
            ("ARC-Authentication-Results: i=1; mx.example.org; dkim=pass", false),
            ("Received-SPF: pass (mx.example.org: domain of x designates y)", true),
            ("Received-SPF: pass receiver=mx.example.org; client-ip=192.0.2.1;", true),
            ("Received-SPF: pass (other: x) receiver = \"mx.example.org\"", true),
            ("Received-SPF: pass (other.example: mx.example.org) receiver=other", false),
            ("X-Junk-Reason: because", true),
            ("Subject: mx.example.org; dkim=pass", false),
        ] {
            let header = format!("A: b\r\n{field}\r\nC: d\r\n\r\n");
            let found = forged(header.as_bytes(), &ours());
            assert_eq!(!found.is_empty(), want, "{field}");
            if want {
                assert_eq!(header[found[0].clone()], format!("{field}\r\n"));
            }
        }
    }

    #[test]
    fn what_carries_our_name_is_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        let body = "x".repeat(1_000_000);
        let forged = "Authentication-Results: mx.example.org;\r\n dkim=pass\r\n";
        let text = format!("{forged}A: b\r\n{forged}C: d\r\n\r\n{forged}{body}");
        let mut message = Message::new(Blob::from_bytes(text.into_bytes()));
        message.prepend("Received: by us");
        let clean = without_forged(&message, &ours(), dir.path()).unwrap().unwrap();
        let want = format!("Received: by us\r\nA: b\r\nC: d\r\n\r\n{forged}{body}");
        assert_eq!(clean.to_vec().unwrap(), want.as_bytes());
        assert!(without_forged(&clean, &ours(), dir.path()).unwrap().is_none());
    }

    #[test]
    fn values_cannot_leave_their_place() {
        for (text, want) in [
            ("a.example", "a.example"),
            ("x+y@a.example", "x+y@a.example"),
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "\"2001:db8::1\""),
            ("a;b", "\"a;b\""),
            ("a\r\nX: y", "\"a??X: y\""),
            ("\"a b\"@c", "\"\\\"a b\\\"@c\""),
            ("", "\"\""),
            ("a@b@c", "\"a@b@c\""),
        ] {
            assert_eq!(value(text), want);
        }
    }
}
