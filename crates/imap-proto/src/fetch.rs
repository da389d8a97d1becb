//! One `* n FETCH (…)`, item by item, so that large bodies can be streamed between (RFC 9051 §7.5.2).

use crate::command::{Partial, Section, SectionText};
use crate::response::string;

/// A FETCH response under way. The octets behind [`FetchLine::literal`] are the caller's to add.
pub struct FetchLine {
    first: bool,
}

/// What a literal may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiteralKind {
    Plain,
    /// `~{n}`: may hold NUL (RFC 9051 §4.3.1).
    Binary,
}

impl FetchLine {
    pub fn begin(number: u32, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"* ");
        decimal(out, u64::from(number));
        out.extend_from_slice(b" FETCH (");
        Self { first: true }
    }

    /// UIDFETCH (RFC 9586 §3.3).
    pub fn begin_by_uid(uid: u32, out: &mut Vec<u8>) -> Self {
        out.extend_from_slice(b"* ");
        decimal(out, u64::from(uid));
        out.extend_from_slice(b" UIDFETCH (");
        Self { first: true }
    }

    /// An item with its value ready to send.
    pub fn item(&mut self, out: &mut Vec<u8>, name: &str, value: &[u8]) {
        self.name(out, name);
        out.extend_from_slice(value);
    }

    fn name(&mut self, out: &mut Vec<u8>, name: &str) {
        if !std::mem::replace(&mut self.first, false) {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
        out.push(b' ');
    }

    pub fn number(&mut self, out: &mut Vec<u8>, name: &str, value: u64) {
        self.name(out, name);
        decimal(out, value);
    }

    /// RFC 7162 §3.1.4.2.
    pub fn modseq(&mut self, out: &mut Vec<u8>, modseq: u64) {
        self.name(out, "MODSEQ");
        out.push(b'(');
        decimal(out, modseq);
        out.push(b')');
    }

    /// RFC 8474 §5.3.
    pub fn object_id(&mut self, out: &mut Vec<u8>, name: &str, id: &str) {
        self.name(out, name);
        out.push(b'(');
        out.extend_from_slice(id.as_bytes());
        out.push(b')');
    }

    pub fn flags(&mut self, out: &mut Vec<u8>, flags: impl IntoIterator<Item = impl AsRef<str>>) {
        self.name(out, "FLAGS");
        out.push(b'(');
        for (at, flag) in flags.into_iter().enumerate() {
            if at > 0 {
                out.push(b' ');
            }
            out.extend_from_slice(flag.as_ref().as_bytes());
        }
        out.push(b')');
    }

    /// `value` as a string.
    pub fn string(&mut self, out: &mut Vec<u8>, name: &str, value: &[u8]) {
        self.name(out, name);
        string(value, out);
    }

    /// The head of a literal of `len` octets, which the caller sends next. Nothing at all is `""`: a literal of
    /// no octets stops the parser of Apple Mail.
    pub fn literal(&mut self, out: &mut Vec<u8>, name: &str, len: u64, kind: LiteralKind) {
        if len == 0 {
            return self.item(out, name, b"\"\"");
        }
        self.name(out, name);
        if kind == LiteralKind::Binary {
            out.push(b'~');
        }
        out.push(b'{');
        decimal(out, len);
        out.extend_from_slice(b"}\r\n");
    }

    pub fn end(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b")\r\n");
    }
}

/// A number in decimal. Listings have several in each line, and `format!` is most of the cost of such a line.
fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] += (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// `BODY[…]<origin>` as it is echoed: the asked names in their order, and the origin without the length.
pub fn section_name(section: &Section, partial: Option<Partial>) -> String {
    let mut name = format!("BODY[{}", part_number(&section.part));
    let dot = if section.part.is_empty() { "" } else { "." };
    match &section.what {
        SectionText::Whole => {}
        SectionText::Header => name.push_str(&format!("{dot}HEADER")),
        SectionText::Text => name.push_str(&format!("{dot}TEXT")),
        SectionText::Mime => name.push_str(&format!("{dot}MIME")),
        SectionText::HeaderFields(names) => {
            name.push_str(&format!("{dot}HEADER.FIELDS ({})", field_names(names)))
        }
        SectionText::HeaderFieldsNot(names) => {
            name.push_str(&format!("{dot}HEADER.FIELDS.NOT ({})", field_names(names)));
        }
    }
    name.push(']');
    push_origin(&mut name, partial);
    name
}

/// `BINARY[…]<origin>`.
pub fn binary_name(part: &[u32], partial: Option<Partial>) -> String {
    let mut name = format!("BINARY[{}]", part_number(part));
    push_origin(&mut name, partial);
    name
}

/// `BINARY.SIZE[…]`.
pub fn binary_size_name(part: &[u32]) -> String {
    format!("BINARY.SIZE[{}]", part_number(part))
}

fn push_origin(name: &mut String, partial: Option<Partial>) {
    if let Some(partial) = partial {
        name.push_str(&format!("<{}>", partial.origin));
    }
}

fn part_number(part: &[u32]) -> String {
    let numbers: Vec<String> = part.iter().map(u32::to_string).collect();
    numbers.join(".")
}

fn field_names(names: &[String]) -> String {
    let mut out = Vec::new();
    for (at, name) in names.iter().enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        if name.bytes().all(crate::lex::is_astring) {
            out.extend_from_slice(name.as_bytes());
        } else {
            string(name.as_bytes(), &mut out);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_decimal() {
        for value in [0, 1, 9, 10, 99, 100, 4_294_967_295, u64::MAX - 1, u64::MAX] {
            let mut out = b"x".to_vec();
            decimal(&mut out, value);
            assert_eq!(out, format!("x{value}").as_bytes());
        }
    }
}
