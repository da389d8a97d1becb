//! DNS records written as text, and the answers they give: what fake resolvers and test servers serve.
//!
//! One record a line, names as they are (no origin, a dot at the end is dropped), `#` and `;` begin comments:
//!
//! ```text
//! example.org            MX    10 mx.example.org
//! nomail.example         MX    0 .
//! mx.example.org         A     127.0.0.1
//! mx.example.org         AAAA  ::1
//! example.org            TXT   "v=spf1 " "-all"
//! www.example.org        CNAME example.org
//! 1.0.0.127.in-addr.arpa PTR   mx.example.org
//! slow.example           TIMEOUT
//! broken.example         MX SERVFAIL
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Types of records that a zone can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    A,
    Aaaa,
    Mx,
    Txt,
    Cname,
    Ptr,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
            Self::Ptr => "PTR",
        })
    }
}

/// What a record says. Names are lower case, without the dot at the end; the root is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    A(Ipv4Addr),
    Aaaa(Ipv6Addr),
    Mx { preference: u16, exchange: String },
    Txt(Vec<String>),
    Cname(String),
    Ptr(String),
}

/// A failure in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server says that it failed.
    ServFail,
    /// The server says nothing.
    Timeout,
}

/// What a zone answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Owner and data of each record, CNAMEs on the way included.
    Records(Vec<(String, Data)>),
    NoName,
    NoRecord,
    Fails(Failure),
}

/// Most CNAMEs that are followed.
const CNAME_MAX: usize = 8;

#[derive(Clone, Debug, Default)]
struct Node {
    records: Vec<(Kind, Data)>,
    failures: Vec<(Option<Kind>, Failure)>,
}

/// Records by name.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    nodes: BTreeMap<String, Node>,
}

impl Zone {
    /// Reads a zone; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut zone = Self::default();
        for (at, line) in text.lines().enumerate() {
            zone.read_line(line).map_err(|error| format!("line {}: {error}: {line}", at + 1))?;
        }
        Ok(zone)
    }

    fn read_line(&mut self, line: &str) -> Result<(), String> {
        let words = words(line)?;
        let [name, kind, data @ ..] = words.as_slice() else {
            return if words.is_empty() { Ok(()) } else { Err("not a record".to_owned()) };
        };
        let node = self.nodes.entry(plain(name)).or_default();
        if let Some(failure) = read_failure(kind) {
            node.failures.push((None, failure));
            return Ok(());
        }
        let kind = read_kind(kind)?;
        match data {
            [word] if read_failure(word).is_some() => {
                node.failures.extend(read_failure(word).map(|failure| (Some(kind), failure)));
            }
            data => node.records.push((kind, read_data(kind, data)?)),
        }
        Ok(())
    }

    /// What a recursive name server would answer.
    pub fn ask(&self, name: &str, kind: Kind) -> Answer {
        let mut name = plain(name);
        let mut found = Vec::new();
        for _ in 0..CNAME_MAX {
            let Some(node) = self.nodes.get(&name) else { return self.missing(&name) };
            let failure = node.failures.iter().find(|(of, _)| of.is_none_or(|of| of == kind));
            if let Some((_, failure)) = failure {
                return Answer::Fails(*failure);
            }
            let before = found.len();
            let of_kind = node.records.iter().filter(|(k, _)| *k == kind);
            found.extend(of_kind.map(|(_, data)| (name.clone(), data.clone())));
            if found.len() > before {
                return Answer::Records(found);
            }
            let alias = node.records.iter().find_map(|(_, data)| match data {
                Data::Cname(to) => Some(to.clone()),
                _ => None,
            });
            let Some(alias) = alias else { return Answer::NoRecord };
            found.push((name, Data::Cname(alias.clone())));
            name = alias;
        }
        Answer::Fails(Failure::ServFail)
    }

    /// A name without records exists when there is something beneath it (RFC 8020 §2).
    fn missing(&self, name: &str) -> Answer {
        let beneath = format!(".{name}");
        if self.nodes.keys().any(|other| other.ends_with(&beneath)) {
            Answer::NoRecord
        } else {
            Answer::NoName
        }
    }
}

fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn read_kind(word: &str) -> Result<Kind, String> {
    match word.to_ascii_uppercase().as_str() {
        "A" => Ok(Kind::A),
        "AAAA" => Ok(Kind::Aaaa),
        "MX" => Ok(Kind::Mx),
        "TXT" => Ok(Kind::Txt),
        "CNAME" => Ok(Kind::Cname),
        "PTR" => Ok(Kind::Ptr),
        _ => Err(format!("unknown type {word}")),
    }
}

fn read_failure(word: &str) -> Option<Failure> {
    match word {
        "SERVFAIL" => Some(Failure::ServFail),
        "TIMEOUT" => Some(Failure::Timeout),
        _ => None,
    }
}

fn read_data(kind: Kind, words: &[String]) -> Result<Data, String> {
    let bad = |_| "not an address".to_owned();
    match (kind, words) {
        (Kind::A, [ip]) => ip.parse().map(Data::A).map_err(bad),
        (Kind::Aaaa, [ip]) => ip.parse().map(Data::Aaaa).map_err(bad),
        (Kind::Mx, [preference, exchange]) => {
            let preference = preference.parse().map_err(|_| "not a preference".to_owned())?;
            Ok(Data::Mx { preference, exchange: plain(exchange) })
        }
        (Kind::Txt, [_, ..]) => Ok(Data::Txt(words.to_vec())),
        (Kind::Cname, [to]) => Ok(Data::Cname(plain(to))),
        (Kind::Ptr, [to]) => Ok(Data::Ptr(plain(to))),
        _ => Err(format!("{kind} with {} words", words.len())),
    }
}

/// Words of a line; quotes keep blanks and comment signs.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        if matches!(first, '#' | ';') {
            break;
        }
        let (word, after) = if first == '"' {
            rest[1..].split_once('"').ok_or("a quote without an end")?
        } else {
            rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(zone: &str, name: &str, kind: Kind) -> String {
        match Zone::parse(zone).unwrap().ask(name, kind) {
            Answer::Records(records) => {
                records.iter().map(|(name, data)| format!("{name} {data:?}")).collect::<Vec<_>>().join(", ")
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_zone_answers_as_a_name_server_does() {
        let zone = "a.example A 192.0.2.1 # one\nA.example. A 192.0.2.2\nb.example CNAME a.example\n\
                    b2.example CNAME b.example\nloop.example CNAME loop.example\ndangling.example CNAME gone.example\n\
                    t.example TXT \"v=spf1 ; \" \"-all\"\nt.example MX 10 A.Example.\nn.example MX 0 .\n\
                    x.y.example AAAA ::1\nslow.example TIMEOUT\nbad.example MX SERVFAIL\nbad.example A 192.0.2.3\n";
        for (name, kind, want) in [
            ("a.example", Kind::A, "a.example A(192.0.2.1), a.example A(192.0.2.2)"),
            ("A.EXAMPLE.", Kind::Aaaa, "NoRecord"),
            (
                "b2.example",
                Kind::A,
                "b2.example Cname(\"b.example\"), b.example Cname(\"a.example\"), \
                 a.example A(192.0.2.1), a.example A(192.0.2.2)",
            ),
            ("b.example", Kind::Cname, "b.example Cname(\"a.example\")"),
            ("loop.example", Kind::A, "Fails(ServFail)"),
            ("dangling.example", Kind::A, "NoName"),
            ("t.example", Kind::Txt, "t.example Txt([\"v=spf1 ; \", \"-all\"])"),
            ("t.example", Kind::Mx, "t.example Mx { preference: 10, exchange: \"a.example\" }"),
            ("n.example", Kind::Mx, "n.example Mx { preference: 0, exchange: \"\" }"),
            ("y.example", Kind::A, "NoRecord"),
            ("z.example", Kind::A, "NoName"),
            ("slow.example", Kind::Txt, "Fails(Timeout)"),
            ("bad.example", Kind::Mx, "Fails(ServFail)"),
            ("bad.example", Kind::A, "bad.example A(192.0.2.3)"),
        ] {
            assert_eq!(ask(zone, name, kind), want, "{name} {kind}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, want) in [
            ("\na.example A nonsense", "line 2: not an address"),
            ("a.example", "line 1: not a record"),
            ("a.example NS b.example", "line 1: unknown type NS"),
            ("a.example TXT \"open", "line 1: a quote without an end"),
            ("a.example MX mx.example", "line 1: MX with 1 words"),
        ] {
            let error = Zone::parse(text).unwrap_err();
            assert!(error.starts_with(want), "{error}");
        }
    }
}
