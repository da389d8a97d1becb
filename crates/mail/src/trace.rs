//! The fields that a server puts in front of a message: Received, Return-Path, Delivered-To (RFC 5321 §4.4).

use crate::address::Address;
use crate::date;
use crate::domain::Domain;
use crate::envelope::ReversePath;
use crate::header;
use crate::timing::Priority;
use std::net::IpAddr;

/// A message with more Received fields than this goes in circles (RFC 5321 §6.3 asks for at least 100).
pub const HOPS_MAX: usize = 100;
/// Longest line that is written where there is a blank to break it at (RFC 5322 §2.1.1).
const LINE_MAX: usize = 78;
/// Longest name that a client gave itself that is written, in octets.
const NAME_MAX: usize = 255;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Helo,
    Ehlo,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    Clear,
    Tls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Stranger,
    Authenticated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    Ascii,
    /// The transaction used SMTPUTF8.
    Utf8,
}

/// How a message came: what the `with` clause says in one word (RFC 3848, RFC 6531 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct With {
    pub greeting: Greeting,
    pub security: Security,
    pub login: Login,
    pub charset: Charset,
}

impl With {
    /// The registered name: `SMTP`, `ESMTPS`, `UTF8SMTPSA` …
    pub fn name(self) -> String {
        let base = match (self.charset, self.greeting, self.security, self.login) {
            (Charset::Utf8, ..) => "UTF8SMTP",
            (_, Greeting::Helo, Security::Clear, Login::Stranger) => "SMTP",
            _ => "ESMTP",
        };
        let tls = if self.security == Security::Tls { "S" } else { "" };
        let login = if self.login == Login::Authenticated { "A" } else { "" };
        format!("{base}{tls}{login}")
    }
}

/// Where a message came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer<'a> {
    pub address: IpAddr,
    /// The name of the address, if it was looked up and leads back to it.
    pub name: Option<&'a str>,
}

/// How the connection was protected.
#[derive(Clone, Copy, Debug)]
pub struct Tls<'a> {
    /// `TLSv1.3`
    pub version: &'a str,
    pub cipher: &'a str,
}

/// What a Received field tells (RFC 5321 §4.4).
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// The name given in EHLO. Without it and without a peer there is no `from` clause: so with
    /// submission, where it is nobody's business where the author sits.
    pub hello: Option<&'a str>,
    pub peer: Option<Peer<'a>>,
    /// Our own name.
    pub by: &'a str,
    pub with: With,
    pub id: &'a str,
    pub tls: Option<Tls<'a>>,
    /// Only if the message has a single recipient: no recipient is told of another (RFC 5321 §7.2).
    pub recipient: Option<&'a Address>,
    /// Told where it is not the usual one (RFC 6710 §4.1).
    pub priority: Priority,
    /// Unix seconds.
    pub at: i64,
}

impl Received<'_> {
    /// The whole field without its last line break.
    pub fn field(&self) -> String {
        let tls = self
            .tls
            .map(|Tls { version, cipher }| format!("(using {} with {})", clean(version), clean(cipher)));
        let by = format!("by {}", clean(self.by));
        let with = format!("with {} id {}", self.with.name(), clean(self.id));
        let mut clauses = match (self.origin(), tls) {
            (Some(from), Some(tls)) => vec![from, tls, format!("{by} {with}")],
            (Some(from), None) => vec![from, format!("{by} {with}")],
            // A comment may stand before any clause but the first.
            (None, Some(tls)) => vec![by, tls, with],
            (None, None) => vec![format!("{by} {with}")],
        };
        if let Some(recipient) = self.recipient {
            clauses.push(format!("for <{recipient}>"));
        }
        // RFC 6710 §7.
        if self.priority != Priority::NORMAL {
            clauses.push(format!("PRIORITY {}", self.priority.get()));
        }
        if let Some(last) = clauses.last_mut() {
            last.push(';');
        }
        clauses.push(date::print(self.at));
        fold("Received: ", &clauses)
    }

    fn origin(&self) -> Option<String> {
        let seen = self.peer.map(|peer| {
            let literal = Domain::from_ip(peer.address.to_canonical());
            match peer.name {
                Some(name) => format!("{} {literal}", clean(name)),
                None => literal.to_string(),
            }
        });
        match (self.hello.map(clean).filter(|name| !name.is_empty()), seen) {
            (Some(hello), Some(seen)) => Some(format!("from {hello} ({seen})")),
            (Some(hello), None) => Some(format!("from {hello}")),
            (None, Some(seen)) => Some(format!("from unknown ({seen})")),
            (None, None) => None,
        }
    }
}

/// What others said must not end a comment or a field.
fn clean(text: &str) -> String {
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '(' | ')' | '\\' | ';');
    let text: String = text.chars().map(|c| if fits(c) { c } else { '?' }).collect();
    let mut end = text.len().min(NAME_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// Puts each clause on a line of its own, and breaks lines that are too long at their blanks.
fn fold(name: &str, clauses: &[String]) -> String {
    let mut out = name.to_owned();
    let mut line = name.len();
    for (nth, clause) in clauses.iter().enumerate() {
        for (at, word) in clause.split(' ').enumerate() {
            let begins = nth > 0 && at == 0;
            if begins || (at > 0 && line + 1 + word.len() > LINE_MAX) {
                out.push_str("\r\n\t");
                line = 1;
            } else if at > 0 {
                out.push(' ');
                line += 1;
            }
            out.push_str(word);
            line += word.len();
        }
    }
    out
}

/// The Received field of a message that a program of this machine handed over: by its user's number, which says nothing to
/// strangers and all to the operator. Without its last line break; `at` in seconds since 1970.
pub fn by_program(by: &str, uid: u32, id: &str, at: i64) -> String {
    let clauses =
        [format!("by {} (from userid {uid})", clean(by)), format!("id {};", clean(id)), date::print(at)];
    fold("Received: ", &clauses)
}

/// `Return-Path: <a@b>`, of the envelope sender at final delivery.
pub fn return_path(path: &ReversePath) -> String {
    format!("Return-Path: <{path}>")
}

/// `Delivered-To: a@b`, of the recipient for whom this copy is.
pub fn delivered_to(address: &Address) -> String {
    format!("Delivered-To: {address}")
}

/// How many servers say that they had this message (RFC 5321 §6.3).
pub fn hops(header: &[u8]) -> usize {
    header::count(header, "received")
}

/// Whether the message was already delivered to that address; then forwarding it there again is a circle.
pub fn was_delivered_to(header: &[u8], address: &Address) -> bool {
    header::fields(header).filter(|field| field.is("delivered-to")).any(|field| {
        let known = String::from_utf8(field.unfolded()).ok().and_then(|text| Address::parse(&text).ok());
        known.is_some_and(|known| known.key() == address.key())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: With = With {
        greeting: Greeting::Ehlo,
        security: Security::Clear,
        login: Login::Stranger,
        charset: Charset::Ascii,
    };

    #[test]
    fn names_of_ways() {
        for (with, want) in [
            (With { greeting: Greeting::Helo, ..PLAIN }, "SMTP"),
            (PLAIN, "ESMTP"),
            (With { security: Security::Tls, ..PLAIN }, "ESMTPS"),
            (With { greeting: Greeting::Helo, security: Security::Tls, ..PLAIN }, "ESMTPS"),
            (With { login: Login::Authenticated, ..PLAIN }, "ESMTPA"),
            (With { security: Security::Tls, login: Login::Authenticated, ..PLAIN }, "ESMTPSA"),
            (With { charset: Charset::Utf8, security: Security::Tls, ..PLAIN }, "UTF8SMTPS"),
        ] {
            assert_eq!(with.name(), want);
        }
    }

    #[test]
    fn received_fields() {
        let recipient = Address::parse("bob@example.org").unwrap();
        let mut received = Received {
            hello: Some("mail.example.com"),
            peer: Some(Peer { address: "192.0.2.1".parse().unwrap(), name: Some("mx.example.com") }),
            by: "mx.example.org",
            with: With { security: Security::Tls, ..PLAIN },
            id: "abcdefghijkl",
            tls: Some(Tls { version: "TLSv1.3", cipher: "TLS_AES_256_GCM_SHA384" }),
            recipient: Some(&recipient),
            priority: Priority::NORMAL,
            at: 1_795_159_800,
        };
        assert_eq!(
            received.field(),
            "Received: from mail.example.com (mx.example.com [192.0.2.1])\r\n\
             \t(using TLSv1.3 with TLS_AES_256_GCM_SHA384)\r\n\
             \tby mx.example.org with ESMTPS id abcdefghijkl\r\n\
             \tfor <bob@example.org>;\r\n\tFri, 20 Nov 2026 07:30:00 +0000"
        );
        received.hello = Some("evil)\r\nX: (y");
        received.peer = Some(Peer { address: "::ffff:192.0.2.1".parse().unwrap(), name: None });
        received.tls = None;
        received.priority = Priority::new(-4).unwrap();
        assert!(received.field().contains(">\r\n\tPRIORITY -4;\r\n\tFri"), "{}", received.field());
        received.recipient = None;
        received.priority = Priority::NORMAL;
        assert_eq!(
            received.field(),
            "Received: from evil???X:??y ([192.0.2.1])\r\n\
             \tby mx.example.org with ESMTPS id abcdefghijkl;\r\n\tFri, 20 Nov 2026 07:30:00 +0000"
        );
        received.hello = None;
        received.peer = None;
        assert!(received.field().starts_with("Received: by mx.example.org with"));
        received.tls = Some(Tls { version: "TLSv1.3", cipher: "X" });
        let start = "Received: by mx.example.org\r\n\t(using TLSv1.3 with X)\r\n\twith ESMTPS id";
        assert!(received.field().starts_with(start));
        let long = "x".repeat(60) + ".example";
        received.hello = Some(&long);
        received.peer = Some(Peer { address: "2001:db8::1".parse().unwrap(), name: Some(&long) });
        assert!(received.field().contains("[IPv6:2001:db8::1])"));
        assert!(received.field().split("\r\n").all(|line| line.len() <= LINE_MAX));
    }

    #[test]
    fn circles_are_seen() {
        let address = Address::parse("bob@example.org").unwrap();
        let header =
            format!("{}\r\nReceived: x\r\nreceived: y\r\n\r\nReceived: z\r\n", delivered_to(&address));
        assert_eq!(hops(header.as_bytes()), 2);
        assert!(was_delivered_to(header.as_bytes(), &Address::parse("Bob@EXAMPLE.org").unwrap()));
        assert!(!was_delivered_to(header.as_bytes(), &Address::parse("b@example.org").unwrap()));
        assert_eq!(return_path(&ReversePath::Null), "Return-Path: <>");
    }
}
