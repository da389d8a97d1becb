//! BODYSTRUCTURE as it is sent (RFC 9051 §7.5.2), and BODY made from it.

use super::entity::Entity;
use super::envelope::{put_nstring, put_string};
use super::fields::Param;
use super::parts::{Kind, Parts};

/// Writes the structure of a message.
pub(super) fn bodystructure(entities: &[Entity], parts: &Parts) -> Vec<u8> {
    let mut children = vec![Vec::new(); entities.len()];
    for (at, entity) in entities.iter().enumerate() {
        if let Some(parent) = entity.parent {
            children[parent].push(at);
        }
    }
    let mut printer = Printer { entities, parts, children, out: Vec::new() };
    printer.body(0);
    printer.out
}

struct Printer<'a> {
    entities: &'a [Entity],
    parts: &'a Parts,
    children: Vec<Vec<usize>>,
    out: Vec<u8>,
}

impl Printer<'_> {
    /// The depth of recursion is bounded by that of the table.
    fn body(&mut self, at: usize) {
        let entity = &self.entities[at];
        self.out.push(b'(');
        if entity.kind == Kind::Multipart {
            for child in self.children[at].clone() {
                self.body(child);
            }
            self.out.push(b' ');
            let sub = entity.fields.media.as_ref().map_or("MIXED", |(_, sub)| sub);
            put_string(&mut self.out, sub.as_bytes());
            self.blank();
            self.params(&entity.fields.params);
        } else {
            self.single(at);
            self.blank();
            put_nstring(&mut self.out, entity.fields.md5.as_deref());
        }
        self.disposition(at);
        self.out.push(b')');
    }

    /// The fields of a part that is no multipart, up to its MD5.
    fn single(&mut self, at: usize) {
        let (entity, part) = (&self.entities[at], &self.parts.0[at]);
        let fields = &entity.fields;
        let (main, sub) = fields.media.as_ref().map_or(("TEXT", "PLAIN"), |(main, sub)| (main, sub));
        put_string(&mut self.out, main.as_bytes());
        self.blank();
        put_string(&mut self.out, sub.as_bytes());
        self.blank();
        self.params(&fields.params);
        self.blank();
        put_nstring(&mut self.out, fields.id.as_deref());
        self.blank();
        put_nstring(&mut self.out, fields.description.as_deref());
        self.blank();
        put_string(&mut self.out, fields.encoding.as_deref().unwrap_or("7BIT").as_bytes());
        self.number(part.body.end - part.body.start);
        match entity.kind {
            Kind::Message => {
                self.blank();
                if let Some(&inner) = self.children[at].first() {
                    let envelope = self.entities[inner].envelope.as_deref().unwrap_or_default();
                    self.out.extend_from_slice(envelope);
                    self.blank();
                    self.body(inner);
                }
                self.number(part.lines);
            }
            Kind::Plain | Kind::Html | Kind::Text => self.number(part.lines),
            Kind::Multipart | Kind::Other => {}
        }
    }

    /// Disposition, language and location, which end both forms.
    fn disposition(&mut self, at: usize) {
        let fields = &self.entities[at].fields;
        self.blank();
        match &fields.disposition {
            Some((token, params)) => {
                self.out.push(b'(');
                put_string(&mut self.out, token.as_bytes());
                self.blank();
                self.params(params);
                self.out.push(b')');
            }
            None => self.out.extend_from_slice(b"NIL"),
        }
        self.blank();
        match fields.language.as_slice() {
            [] => self.out.extend_from_slice(b"NIL"),
            [one] => put_string(&mut self.out, one),
            many => {
                for (n, tag) in many.iter().enumerate() {
                    self.out.push(if n == 0 { b'(' } else { b' ' });
                    put_string(&mut self.out, tag);
                }
                self.out.push(b')');
            }
        }
        self.blank();
        put_nstring(&mut self.out, fields.location.as_deref());
    }

    fn params(&mut self, params: &[Param]) {
        if params.is_empty() {
            self.out.extend_from_slice(b"NIL");
            return;
        }
        for (n, (name, value)) in params.iter().enumerate() {
            self.out.push(if n == 0 { b'(' } else { b' ' });
            put_string(&mut self.out, name.as_bytes());
            self.blank();
            put_string(&mut self.out, value);
        }
        self.out.push(b')');
    }

    fn blank(&mut self) {
        self.out.push(b' ');
    }

    fn number(&mut self, value: u64) {
        self.out.extend_from_slice(format!(" {value}").as_bytes());
    }
}

/// BODY from a BODYSTRUCTURE that [`bodystructure`] wrote: the same without extension data (RFC 9051 §6.4.5).
pub fn body(bodystructure: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bodystructure.len());
    short(&mut Items { octets: bodystructure, at: 0 }, &mut out);
    out
}

/// Goes over the items of a list: strings, numbers, NIL, and lists as wholes.
struct Items<'a> {
    octets: &'a [u8],
    at: usize,
}

impl<'a> Items<'a> {
    /// The next item within the list whose `(` was passed; `None` at its `)`.
    fn next(&mut self) -> Option<&'a [u8]> {
        while self.octets.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        let start = self.at;
        let mut depth = 0;
        loop {
            match *self.octets.get(self.at)? {
                b'(' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' if depth == 0 => return None,
                b')' => {
                    depth -= 1;
                    self.at += 1;
                }
                b' ' => self.at += 1,
                _ => self.skip_atom(),
            }
            if depth == 0 {
                return Some(&self.octets[start..self.at.min(self.octets.len())]);
            }
        }
    }

    fn skip_atom(&mut self) {
        let rest = &self.octets[self.at..];
        self.at += match rest[0] {
            b'"' => quoted_len(rest),
            b'{' => literal_len(rest),
            _ => rest.iter().position(|b| matches!(b, b' ' | b'(' | b')')).unwrap_or(rest.len()),
        };
    }
}

fn quoted_len(octets: &[u8]) -> usize {
    let mut at = 1;
    while at < octets.len() && octets[at] != b'"' {
        at += if octets[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn literal_len(octets: &[u8]) -> usize {
    let digits = octets[1..].iter().take_while(|b| b.is_ascii_digit()).count();
    let value: usize =
        std::str::from_utf8(&octets[1..=digits]).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    (1 + digits + 3).saturating_add(value)
}

fn short(items: &mut Items<'_>, out: &mut Vec<u8>) {
    items.at += 1;
    out.push(b'(');
    let mut nth = 0;
    let mut last = 0;
    let mut multipart = false;
    let mut message = false;
    while let Some(item) = items.next() {
        let list = item.starts_with(b"(");
        if nth == 0 {
            multipart = list;
            message = item.eq_ignore_ascii_case(b"\"message\"");
            last = 7;
        }
        if multipart && !list {
            // The subtype, after the parts without a blank between them.
            out.push(b' ');
            out.extend_from_slice(item);
            break;
        }
        match nth {
            0 if item.eq_ignore_ascii_case(b"\"text\"") => last = 8,
            1 if message && is_message(item) => last = 10,
            _ => {}
        }
        if nth > 0 && !multipart {
            out.push(b' ');
        }
        if multipart || (last == 10 && nth == 8) {
            short(&mut Items { octets: item, at: 0 }, out);
        } else {
            out.extend_from_slice(item);
        }
        nth += 1;
        if !multipart && nth == last {
            break;
        }
    }
    out.push(b')');
}

fn is_message(subtype: &[u8]) -> bool {
    [&b"\"rfc822\""[..], b"\"global\""].iter().any(|name| subtype.eq_ignore_ascii_case(name))
}
