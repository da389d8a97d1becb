//! Reads zones: a subset of master files (RFC 1035 §5.1), with words for what can go wrong.

use crate::name::{DnsName, unescape};
use crate::record::{Caa, Data, Kind, Tlsa};
use crate::resolver::Security;
use crate::zone::{Entry, Failure};

/// What the text says, name by name; the error names the line.
pub(crate) fn read(text: &str) -> Result<Vec<(DnsName, Entry)>, String> {
    let mut reader = Reader { origin: None, owner: None, entries: Vec::new() };
    let mut entry = Line::default();
    for (at, line) in text.lines().enumerate() {
        let tell = |error: String| format!("line {}: {error}: {line}", at + 1);
        entry.add(line).map_err(tell)?;
        if entry.is_whole() {
            reader.take(&std::mem::take(&mut entry)).map_err(tell)?;
        }
    }
    if entry.is_whole() { Ok(reader.entries) } else { Err("parentheses are open at the end".to_owned()) }
}

/// A word: its octets as they will be, and as they were written, for names have escapes of their own.
#[derive(Debug)]
struct Word {
    octets: Vec<u8>,
    written: String,
}

/// One entry, which parentheses spread over lines.
#[derive(Debug, Default)]
struct Line {
    words: Vec<Word>,
    open: usize,
    /// The entry began with a blank, so it belongs to the name before.
    indented: bool,
}

impl Line {
    fn is_whole(&self) -> bool {
        self.open == 0
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        if self.words.is_empty() && self.open == 0 {
            self.indented = line.starts_with([' ', '\t']);
        }
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            rest = match first {
                '#' | ';' => return Ok(()),
                '(' => {
                    self.open += 1;
                    &rest[1..]
                }
                ')' => {
                    self.open = self.open.checked_sub(1).ok_or("a parenthesis without a beginning")?;
                    &rest[1..]
                }
                '"' => self.quoted(&rest[1..])?,
                _ => self.plain(rest)?,
            };
            rest = rest.trim_start();
        }
        Ok(())
    }

    fn quoted<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        let end = end_of(rest, |octet| octet == b'"');
        let (word, after) = rest.split_at_checked(end).ok_or("a quote without an end")?;
        let after = after.strip_prefix('"').ok_or("a quote without an end")?;
        self.push(word)?;
        Ok(after)
    }

    fn plain<'a>(&mut self, rest: &'a str) -> Result<&'a str, String> {
        let end = end_of(rest, |octet| matches!(octet, b' ' | b'\t' | b'(' | b')' | b';' | b'"'));
        let (word, after) = rest.split_at_checked(end).ok_or("an escape of half a character")?;
        self.push(word)?;
        Ok(after)
    }

    fn push(&mut self, written: &str) -> Result<(), String> {
        let mut octets = Vec::new();
        let mut rest = written.as_bytes();
        while let [octet, after @ ..] = rest {
            rest = after;
            if *octet == b'\\' {
                let (escaped, after) = unescape(rest).ok_or("a backslash before nothing")?;
                octets.push(escaped);
                rest = after;
            } else {
                octets.push(*octet);
            }
        }
        self.words.push(Word { octets, written: written.to_owned() });
        Ok(())
    }
}

/// Where the first octet stands that ends a word; what a backslash protects ends none.
fn end_of(text: &str, ends: impl Fn(u8) -> bool) -> usize {
    let mut at = 0;
    let octets = text.as_bytes();
    while let Some(octet) = octets.get(at) {
        match octet {
            b'\\' => at += 2,
            octet if ends(*octet) => return at,
            _ => at += 1,
        }
    }
    octets.len()
}

struct Reader {
    origin: Option<DnsName>,
    owner: Option<DnsName>,
    entries: Vec<(DnsName, Entry)>,
}

impl Reader {
    fn take(&mut self, line: &Line) -> Result<(), String> {
        let mut words = line.words.as_slice();
        let Some(first) = words.first() else { return Ok(()) };
        match (first.written.as_str(), words) {
            ("$ORIGIN", [_, origin]) => {
                self.origin = Some(self.name(&origin.written)?);
                return Ok(());
            }
            // How long answers live is not the zone's business here.
            ("$TTL", [_, _]) => return Ok(()),
            _ => {}
        }
        // A word of the zone may stand alone only behind a name, so a blank in front means the name before.
        let owner = match &self.owner {
            Some(owner) if line.indented && is_kind(first) => owner.clone(),
            _ => {
                words = &words[1..];
                self.name(&first.written)?
            }
        };
        self.owner = Some(owner.clone());
        while let [word, rest @ ..] = words {
            let skipped = word.written.eq_ignore_ascii_case("IN") || is_ttl(&word.written);
            if !skipped {
                break;
            }
            words = rest;
        }
        let [kind, data @ ..] = words else { return Err("not a record".to_owned()) };
        let entry = self.entry(kind, data)?;
        self.entries.push((owner, entry));
        Ok(())
    }

    fn entry(&self, kind: &Word, data: &[Word]) -> Result<Entry, String> {
        if let (Some(failure), []) = (failure(&kind.written), data) {
            return Ok(Entry::Fails(None, failure));
        }
        if let (Some(security), []) = (security(&kind.written), data) {
            return Ok(Entry::Is(security));
        }
        let kind = kind_of(&kind.written).ok_or_else(|| format!("unknown type {}", kind.written))?;
        match data {
            [word] if failure(&word.written).is_some() => failure(&word.written)
                .map(|failure| Entry::Fails(Some(kind), failure))
                .ok_or_else(String::new),
            data => self.data(kind, data).map(Entry::Record),
        }
    }

    fn data(&self, kind: Kind, words: &[Word]) -> Result<Data, String> {
        let bad = |_| "not an address".to_owned();
        match (kind, words) {
            (Kind::A, [ip]) => ip.written.parse().map(Data::A).map_err(bad),
            (Kind::Aaaa, [ip]) => ip.written.parse().map(Data::Aaaa).map_err(bad),
            (Kind::Mx, [preference, exchange]) => {
                let preference = preference.written.parse().map_err(|_| "not a preference".to_owned())?;
                Ok(Data::Mx { preference, exchange: self.name(&exchange.written)? })
            }
            (Kind::Txt, [_, ..]) => Ok(Data::Txt(words.iter().map(|word| word.octets.clone()).collect())),
            (Kind::Cname, [to]) => self.name(&to.written).map(Data::Cname),
            (Kind::Ptr, [to]) => self.name(&to.written).map(Data::Ptr),
            (Kind::Ns, [to]) => self.name(&to.written).map(Data::Ns),
            (Kind::Srv, [priority, weight, port, target]) => {
                let number = |word: &Word| word.written.parse().map_err(|_| "not a number".to_owned());
                Ok(Data::Srv {
                    priority: number(priority)?,
                    weight: number(weight)?,
                    port: number(port)?,
                    target: self.name(&target.written)?,
                })
            }
            (Kind::Tlsa, [usage, selector, matching, hex @ ..]) if !hex.is_empty() => {
                let number = |word: &Word| word.written.parse().map_err(|_| "not a number".to_owned());
                let digits: String = hex.iter().map(|word| word.written.as_str()).collect();
                Ok(Data::Tlsa(Tlsa {
                    usage: number(usage)?,
                    selector: number(selector)?,
                    matching: number(matching)?,
                    data: octets(&digits).ok_or("not hexadecimal")?,
                }))
            }
            (Kind::Caa, [flags, tag, value]) => Ok(Data::Caa(Caa {
                flags: flags.written.parse().map_err(|_| "not a number".to_owned())?,
                tag: tag.written.clone(),
                value: value.octets.clone(),
            })),
            _ => Err(format!("{kind} with {} words", words.len())),
        }
    }

    /// A full name; below the origin, if there is one and no dot at the end.
    fn name(&self, written: &str) -> Result<DnsName, String> {
        let origin = self.origin.as_ref().filter(|_| !written.ends_with('.'));
        let name = match (written, origin) {
            ("@", Some(origin)) => Ok(origin.clone()),
            (written, origin) => DnsName::parse(written).and_then(|name| match origin {
                Some(origin) => DnsName::from_labels(name.labels().chain(origin.labels())),
                None => Ok(name),
            }),
        };
        name.map_err(|error| error.to_string())
    }
}

fn is_kind(word: &Word) -> bool {
    let word = word.written.as_str();
    kind_of(word).is_some() || word.eq_ignore_ascii_case("IN") || is_ttl(word)
}

fn is_ttl(word: &str) -> bool {
    let digits = word.strip_suffix(['s', 'm', 'h', 'd', 'w']).unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
}

fn kind_of(word: &str) -> Option<Kind> {
    Kind::ALL.iter().find(|(_, known)| known.eq_ignore_ascii_case(word)).map(|(kind, _)| *kind)
}

fn failure(word: &str) -> Option<Failure> {
    Failure::ALL.iter().find(|(_, known)| *known == word).map(|(failure, _)| *failure)
}

fn security(word: &str) -> Option<Security> {
    match word {
        "SECURE" => Some(Security::Secure),
        "INSECURE" => Some(Security::Insecure),
        "BOGUS" => Some(Security::Bogus),
        _ => None,
    }
}

fn octets(hex: &str) -> Option<Vec<u8>> {
    if !hex.len().is_multiple_of(2) || !hex.is_ascii() {
        return None;
    }
    let pairs = (0..hex.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn master_files_are_read() {
        let text = "$ORIGIN example.org.\n$TTL 1h\n@ 3600 IN MX ( 10 ; best\n  mx )\n  IN 300 TXT \"a;b\" c\\\"d \"\\255\"\n\
                    mx IN A 192.0.2.1\n\tAAAA ::1\nwww.other.example. CNAME mx\n@ SECURE\nmx A TIMEOUT\n";
        let shown: Vec<String> = read(text)
            .unwrap()
            .into_iter()
            .map(|(name, entry)| match entry {
                Entry::Record(Data::Txt(strings)) => format!("{name} {strings:?}"),
                Entry::Record(data) => format!("{name} {} {data}", data.kind()),
                other => format!("{name} {other:?}"),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "example.org MX 10 mx.example.org",
                "example.org [[97, 59, 98], [99, 34, 100], [255]]",
                "mx.example.org A 192.0.2.1",
                "mx.example.org AAAA ::1",
                "www.other.example CNAME mx.example.org",
                "example.org Is(Secure)",
                "mx.example.org Fails(Some(A), Timeout)",
            ]
        );
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        for (text, want) in [
            ("\na.example A nonsense", "line 2: not an address"),
            ("a.example", "line 1: not a record"),
            ("a.example WKS b.example", "line 1: unknown type WKS"),
            ("a.example TXT \"open", "line 1: a quote without an end"),
            ("a.example MX mx.example", "line 1: MX with 1 words"),
            ("a..example A 192.0.2.1", "line 1: a label is empty"),
            ("a.example TLSA 3 1 1 0", "line 1: not hexadecimal"),
            ("a.example TXT ( a", "parentheses are open at the end"),
            ("a.example TXT a )", "line 1: a parenthesis without a beginning"),
            ("a.example TXT \"\\é\"", ""),
        ] {
            match read(text) {
                Err(error) => assert!(error.starts_with(want), "{error}"),
                Ok(_) => assert_eq!(want, "", "{text}"),
            }
        }
    }
}
