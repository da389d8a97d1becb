//! Makes a submitted message fit to travel (RFC 6409 §8): what is missing is added, what is nobody's business
//! taken out, what is broken refused.

use mail::blob::Spool;
use mail::header::{self, Field, HEADER_MAX};
use mail::{Blob, Domain, Reply, Status, address_list, date};
use std::io;
use std::path::Path;
use world::Random;

/// Fields that are taken out: who gets a blind copy, and what only the last server writes (RFC 5321 §4.4).
const REMOVED: [&str; 3] = ["Bcc", "Resent-Bcc", "Return-Path"];
/// Fields that may stand only once (RFC 5322 §3.6), of those that say who speaks and what about.
const SINGLE: [&str; 6] = ["From", "Sender", "Reply-To", "Date", "Message-ID", "Subject"];
/// Letters of the left side of a Message-ID of ours.
const MESSAGE_ID_LETTERS: usize = 24;
/// Octets of the message that are copied at once.
const PIECE: usize = 128 * 1024;

/// What is needed to complete a message.
pub struct Means<'a> {
    /// Unix seconds.
    pub now: i64,
    pub random: &'a dyn Random,
    /// The right side of a Message-ID where From has none.
    pub hostname: &'a Domain,
    /// Where a large message may be written anew.
    pub spool_dir: &'a Path,
}

/// Why a message is not completed.
#[derive(Debug)]
pub enum Trouble {
    /// The message is at fault; said as it stands.
    Refused(Reply),
    /// It cannot be read or written anew.
    Disk(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

/// The header of a message, checked (RFC 5322 §3.6): it has From, its fields are fields, none that must be
/// alone has company. Blocks on the disk.
pub fn read_header(received: &Blob) -> Result<Vec<u8>, Trouble> {
    let header = header::read(&mut received.reader())?;
    if header.len() >= HEADER_MAX && header::length(&header).is_none() {
        return Err(refused(&format!("the header is longer than {HEADER_MAX} octets")));
    }
    check(&header).map_err(|why| refused(&why))?;
    Ok(header)
}

fn refused(why: &str) -> Trouble {
    Trouble::Refused(Reply::new(
        550,
        Status::permanent(6, 0),
        format!("The message is not well-formed: {why}"),
    ))
}

fn check(header: &[u8]) -> Result<(), String> {
    if let Some(at) = stray(header) {
        return Err(format!(
            "line {} of the header has a NUL, or a CR or LF that stands alone",
            line_of(header, at)
        ));
    }
    for field in header::fields(header) {
        if field.name.is_empty() || !field.name.iter().all(|b| (b'!'..=b'~').contains(b)) {
            let line = line_of(header, field.start);
            return Err(format!("line {line} of the header is no field; an empty line ends the header"));
        }
    }
    for name in SINGLE {
        if header::count(header, name) > 1 {
            return Err(format!("it has the field {name} more than once"));
        }
    }
    if header::count(header, "From") == 0 {
        return Err("it has no field From".to_owned());
    }
    Ok(())
}

/// The message with Date and Message-ID, and without the fields that are not for the recipients. `header` is
/// its header. The same blob if nothing is to be done. Blocks on the disk.
pub fn complete(received: &Blob, header: &[u8], means: &Means<'_>) -> Result<Blob, Trouble> {
    let added = missing(header, means);
    let is_to_be_cut = header::fields(header).any(|field| is_removed(&field));
    if added.is_empty() && !is_to_be_cut {
        return Ok(received.clone());
    }
    let mut spool = Spool::new(means.spool_dir);
    spool.push(added.as_bytes())?;
    spool.push(&header::without(header, &REMOVED))?;
    let mut at = header.len() as u64;
    while at < received.len() {
        let piece = received.read_at(at, PIECE)?;
        at += piece.len() as u64;
        spool.push(&piece)?;
    }
    Ok(spool.finish())
}

/// What [`complete`] changes, for people.
pub fn changes(header: &[u8]) -> Vec<String> {
    let added = ["Date", "Message-ID"].iter().filter(|name| header::find(header, name).is_none());
    let removed = REMOVED.iter().filter(|name| header::find(header, name).is_some());
    added.map(|name| format!("{name} added")).chain(removed.map(|name| format!("{name} removed"))).collect()
}

fn is_removed(field: &Field<'_>) -> bool {
    REMOVED.iter().any(|name| field.is(name))
}

/// The fields that every message has (RFC 6409 §8.1, §8.2), where they are missing.
fn missing(header: &[u8], means: &Means<'_>) -> String {
    let mut added = String::new();
    if header::find(header, "Date").is_none() {
        added.push_str(&format!("Date: {}\r\n", date::print(means.now)));
    }
    if header::find(header, "Message-ID").is_none() {
        let right = author_domain(header).unwrap_or_else(|| means.hostname.clone());
        let left = means.random.word(MESSAGE_ID_LETTERS);
        added.push_str(&format!("Message-ID: <{left}@{right}>\r\n"));
    }
    added
}

fn author_domain(header: &[u8]) -> Option<Domain> {
    let from = header::find(header, "From")?;
    let address = address_list::mailboxes(from.value).first()?.address()?;
    Some(address.domain().clone())
}

/// Where octets stand that make one reader see other fields than another. Chunks may bring them this far.
fn stray(header: &[u8]) -> Option<usize> {
    header.iter().enumerate().position(|(at, octet)| match octet {
        0 => true,
        b'\r' => header.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || header[at - 1] != b'\r',
        _ => false,
    })
}

fn line_of(header: &[u8], at: usize) -> usize {
    header[..at].iter().filter(|b| **b == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use world::fake::{BEGINNING, FakeRandom};

    fn prepared(message: &str) -> Result<String, Trouble> {
        let blob = Blob::from_bytes(message.as_bytes());
        let header = read_header(&blob)?;
        let random = FakeRandom::seeded(7);
        let hostname = Domain::parse("mx.example.org").unwrap();
        let dir = std::env::temp_dir();
        let now = i64::try_from(BEGINNING).unwrap();
        let means = Means { now, random: &random, hostname: &hostname, spool_dir: &dir };
        let blob = complete(&blob, &header, &means)?;
        Ok(String::from_utf8(blob.to_vec().unwrap()).unwrap())
    }

    #[test]
    fn what_is_missing_is_added() {
        let out = prepared("From: a@b.example\r\n\r\nhi\r\n").unwrap();
        let mut lines = out.split("\r\n");
        assert_eq!(lines.next(), Some("Date: Thu, 1 Jan 2026 00:00:00 +0000"));
        let id = lines.next().unwrap();
        assert!(id.starts_with("Message-ID: <") && id.ends_with("@b.example>"), "{id}");
        assert_eq!(lines.collect::<Vec<_>>().join("\r\n"), "From: a@b.example\r\n\r\nhi\r\n");
    }

    #[test]
    fn a_complete_message_stays_as_it_is() {
        let message = "from: a@b.example\r\nDATE: x\r\nmessage-id: <1@b.example>\r\n\r\nBcc: not a field\r\n";
        assert_eq!(prepared(message).unwrap(), message);
    }

    #[test]
    fn blind_copies_stay_blind() {
        let head = "Date: x\r\nMessage-ID: <1@b.example>\r\n";
        let out = prepared(&format!(
            "{head}Bcc: c@d.example,\r\n e@f.example\r\nFrom: a@b.example\r\nbcc:\r\n\r\nhi"
        ));
        assert_eq!(out.unwrap(), format!("{head}From: a@b.example\r\n\r\nhi"));
        // A header alone, without its empty line.
        let out = prepared(&format!("{head}From: a@b.example\r\nBcc: c@d.example\r\n"));
        assert!(!out.unwrap().contains("c@d.example"));
    }

    #[test]
    fn broken_messages_are_refused() {
        for (message, word) in [
            ("", "From"),
            ("Subject: x\r\n\r\nhi\r\n", "From"),
            ("From: a@b.example\r\nFrom: c@d.example\r\n\r\n", "From"),
            ("From: a@b.example\r\nDate: x\r\ndate: y\r\n\r\n", "Date"),
            ("From: a@b.example\r\nno field\r\n\r\n", "line 2"),
            ("From a@b.example Thu Jan 1\r\nFrom: a@b.example\r\n\r\n", "line 1"),
            ("From: a@b.example\r\nX: y\nFrom: c@d.example\r\n\r\n", "line 2"),
            ("From: a@b.example\r\nX: y\rFrom: c@d.example\r\n\r\n", "line 2"),
            ("From: a@b.example\r\nX: y\n\nFrom: c@d.example\r\n\r\n", "line 2"),
            ("From: a@b.example\0\r\n\r\n", "line 1"),
            ("From: a@b.example\r\nSub\u{e9}ct: x\r\n\r\n", "line 2"),
        ] {
            match prepared(message) {
                Err(Trouble::Refused(reply)) => {
                    assert_eq!(reply.code, 550);
                    assert!(reply.text.contains(word), "{message}: {reply}");
                }
                other => panic!("{message}: {other:?}"),
            }
        }
        let long = format!("From: a@b.example\r\nX: {}", "x".repeat(HEADER_MAX));
        assert!(matches!(prepared(&long), Err(Trouble::Refused(_))));
    }

    #[test]
    fn a_large_message_is_written_anew_whole() {
        let body = "0123456789\r\n".repeat(100_000);
        let out = prepared(&format!("From: a@b.example\r\n\r\n{body}")).unwrap();
        assert!(out.ends_with(&format!("\r\n\r\n{body}")));
    }
}
