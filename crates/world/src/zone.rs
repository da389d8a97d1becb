//! DNS records written as text, and the answers they give: what fake resolvers and test servers serve.
//!
//! A subset of master files (RFC 1035 §5), read by [`crate::master`]. Names are full names unless `$ORIGIN` is given,
//! and class and TTL may be left out. Beside records there are words for what can go wrong, for a name or for one type of
//! it, and words for what DNSSEC says of a name and all below:
//!
//! ```text
//! example.org            MX    10 mx.example.org
//! nomail.example         MX    0 .
//! mx.example.org         A     127.0.0.1
//! example.org            TXT   "v=spf1 " "-all"   ; strings of one record
//! a\032b.example.org     A     127.0.0.2          # labels may hold any octets
//! *.wild.example         TXT   "for all that is not there"
//! slow.example           TIMEOUT
//! broken.example         MX SERVFAIL
//! noise.example          GARBAGE
//! example.org            SECURE
//! forged.example.org     BOGUS
//! ```

use crate::master;
use crate::name::DnsName;
use crate::record::{Data, Kind};
use crate::resolver::Security;
use std::collections::BTreeMap;

/// A failure in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server says that it failed.
    ServFail,
    /// The server says that it does not answer such questions.
    Refused,
    /// The server says nothing.
    Timeout,
    /// The server says something that is no answer.
    Garbage,
}

impl Failure {
    /// Every failure, with its word in a zone.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::ServFail, "SERVFAIL"),
        (Self::Refused, "REFUSED"),
        (Self::Timeout, "TIMEOUT"),
        (Self::Garbage, "GARBAGE"),
    ];
}

/// What a zone answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Owner and data of each record, CNAMEs on the way included.
    Records(Vec<(DnsName, Data)>),
    NoName,
    NoRecord,
    Fails(Failure),
}

/// Most CNAMEs that are followed.
const CNAME_MAX: usize = 8;

/// What one line of a zone says of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Record(Data),
    Fails(Option<Kind>, Failure),
    Is(Security),
}

#[derive(Clone, Debug, Default)]
struct Node {
    records: Vec<Data>,
    failures: Vec<(Option<Kind>, Failure)>,
}

/// Records by name.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    nodes: BTreeMap<DnsName, Node>,
    security: BTreeMap<DnsName, Security>,
}

impl Zone {
    /// Reads a zone; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut zone = Self::default();
        for (name, entry) in master::read(text)? {
            zone.put(name, entry);
        }
        Ok(zone)
    }

    fn put(&mut self, name: DnsName, entry: Entry) {
        match entry {
            Entry::Record(data) => self.nodes.entry(name).or_default().records.push(data),
            Entry::Fails(kind, failure) => self.nodes.entry(name).or_default().failures.push((kind, failure)),
            Entry::Is(security) => {
                self.security.insert(name, security);
            }
        }
    }

    /// What a recursive name server would answer.
    pub fn ask(&self, name: &DnsName, kind: Kind) -> Answer {
        let mut name = name.clone();
        let mut found = Vec::new();
        for _ in 0..CNAME_MAX {
            let Some(node) = self.node(&name) else { return self.missing(&name) };
            let failure = node.failures.iter().find(|(of, _)| of.is_none_or(|of| of == kind));
            if let Some((_, failure)) = failure {
                return Answer::Fails(*failure);
            }
            let before = found.len();
            let of_kind = node.records.iter().filter(|data| data.kind() == kind);
            found.extend(of_kind.map(|data| (name.clone(), data.clone())));
            if found.len() > before {
                return Answer::Records(found);
            }
            let alias = node.records.iter().find_map(|data| match data {
                Data::Cname(to) => Some(to.clone()),
                _ => None,
            });
            let Some(alias) = alias else { return Answer::NoRecord };
            found.push((name, Data::Cname(alias.clone())));
            name = alias;
        }
        Answer::Fails(Failure::ServFail)
    }

    /// What DNSSEC says of a name: the word of the nearest name above it; insecure without one.
    pub fn security(&self, name: &DnsName) -> Security {
        let mut here = Some(name.clone());
        while let Some(name) = here {
            if let Some(security) = self.security.get(&name) {
                return *security;
            }
            here = name.parent();
        }
        Security::Insecure
    }

    /// The node of a name, or the wildcard that stands for it (RFC 4592 §3.3.1).
    fn node(&self, name: &DnsName) -> Option<&Node> {
        if let Some(node) = self.nodes.get(name) {
            return Some(node);
        }
        let mut encloser = name.clone();
        // The nearest name that exists, by itself or by what is below it.
        while !self.exists(&encloser) {
            encloser = encloser.parent()?;
        }
        if encloser == *name {
            return None;
        }
        self.nodes.get(&encloser.below("*").ok()?)
    }

    fn exists(&self, name: &DnsName) -> bool {
        self.nodes.keys().any(|other| other.is_within(name))
    }

    /// A name without records exists when there is something beneath it (RFC 8020 §2).
    fn missing(&self, name: &DnsName) -> Answer {
        if self.exists(name) { Answer::NoRecord } else { Answer::NoName }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(zone: &str, name: &str, kind: Kind) -> String {
        match Zone::parse(zone).unwrap().ask(&DnsName::parse(name).unwrap(), kind) {
            Answer::Records(records) => {
                let shown = |(name, data): &(DnsName, Data)| format!("{name} {} {data}", data.kind());
                records.iter().map(shown).collect::<Vec<_>>().join(", ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_zone_answers_as_a_name_server_does() {
        let zone = "a.example A 192.0.2.1 # one\nA.example. A 192.0.2.2\nb.example CNAME a.example\n\
                    b2.example CNAME b.example\nloop.example CNAME loop.example\ndangling.example CNAME gone.example\n\
                    t.example TXT \"v=spf1 ; \" \"-all\"\nt.example MX 10 A.Example.\nn.example MX 0 .\n\
                    x.y.example AAAA ::1\nslow.example TIMEOUT\nbad.example MX SERVFAIL\nbad.example A 192.0.2.3\n\
                    *.wild.example A 192.0.2.4\nthere.wild.example TXT x\nsp\\ ace.example A 192.0.2.5\n\
                    noise.example GARBAGE\nno.example REFUSED\n_25._tcp.a.example TLSA 3 1 1 00ff (\n 10 )\n\
                    _imaps._tcp.a.example SRV 0 1 993 a.example\n";
        for (name, kind, want) in [
            ("a.example", Kind::A, "a.example A 192.0.2.1, a.example A 192.0.2.2"),
            ("A.EXAMPLE.", Kind::Aaaa, "NoRecord"),
            (
                "b2.example",
                Kind::A,
                "b2.example CNAME b.example, b.example CNAME a.example, a.example A 192.0.2.1, a.example A 192.0.2.2",
            ),
            ("b.example", Kind::Cname, "b.example CNAME a.example"),
            ("loop.example", Kind::A, "Fails(ServFail)"),
            ("dangling.example", Kind::A, "NoName"),
            ("t.example", Kind::Txt, "t.example TXT \"v=spf1 ; -all\""),
            ("t.example", Kind::Mx, "t.example MX 10 a.example"),
            ("n.example", Kind::Mx, "n.example MX 0 ."),
            ("y.example", Kind::A, "NoRecord"),
            ("z.example", Kind::A, "NoName"),
            ("slow.example", Kind::Txt, "Fails(Timeout)"),
            ("bad.example", Kind::Mx, "Fails(ServFail)"),
            ("bad.example", Kind::A, "bad.example A 192.0.2.3"),
            ("any.wild.example", Kind::A, "any.wild.example A 192.0.2.4"),
            ("deep.any.wild.example", Kind::A, "deep.any.wild.example A 192.0.2.4"),
            ("there.wild.example", Kind::A, "NoRecord"),
            ("deep.there.wild.example", Kind::A, "NoName"),
            ("wild.example", Kind::A, "NoRecord"),
            ("sp\\032ace.example", Kind::A, "sp\\032ace.example A 192.0.2.5"),
            ("noise.example", Kind::A, "Fails(Garbage)"),
            ("no.example", Kind::A, "Fails(Refused)"),
            ("_25._tcp.a.example", Kind::Tlsa, "_25._tcp.a.example TLSA 3 1 1 00ff10"),
            ("_imaps._tcp.a.example", Kind::Srv, "_imaps._tcp.a.example SRV 0 1 993 a.example"),
        ] {
            assert_eq!(ask(zone, name, kind), want, "{name} {kind}");
        }
    }

    #[test]
    fn words_of_security_hold_for_all_below() {
        let zone = Zone::parse("example SECURE\nbad.example BOGUS\nopen.example INSECURE\n").unwrap();
        for (name, want) in [
            ("a.example", Security::Secure),
            ("bad.example", Security::Bogus),
            ("x.bad.example", Security::Bogus),
            ("x.open.example", Security::Insecure),
            ("elsewhere", Security::Insecure),
        ] {
            assert_eq!(zone.security(&DnsName::parse(name).unwrap()), want, "{name}");
        }
    }
}
