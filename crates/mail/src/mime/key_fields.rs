//! The header fields that searching, sorting and threading ask for, kept as they were written: what is stored beside a
//! message so that none of the three has to read it.

use crate::header::{self, unfold};

/// Names of the fields, in lower case. The place in this list is what is stored: it only ever grows at its end.
pub const KEY_FIELDS: [&str; 12] = [
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "subject",
    "date",
    "message-id",
    "in-reply-to",
    "references",
    "list-id",
];
/// Longest table that is stored, in octets. A header that needs more is asked itself.
pub const TABLE_MAX: usize = 16 * 1024;
/// First octet of a table that holds all of them.
const WHOLE: u8 = 1;
/// All of a table that does not: the header has to be asked.
const NOT_HELD: u8 = 0;

/// The key fields of one header, in their order, each as often as it is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFields {
    fields: Vec<(u8, Vec<u8>)>,
    /// The first line goes on with what may stand in front of it.
    continues: bool,
}

impl KeyFields {
    /// Whether every field of that name is among them; in any case of letters.
    pub fn hold(name: &str) -> bool {
        KEY_FIELDS.iter().any(|key| key.eq_ignore_ascii_case(name))
    }

    /// Finds them in a header.
    pub fn read(header: &[u8]) -> Self {
        let number = |field: &header::Field<'_>| KEY_FIELDS.iter().position(|name| field.is(name));
        let fields = header::fields(header)
            .filter_map(|field| Some((u8::try_from(number(&field)?).ok()?, unfold(field.value))))
            .collect();
        Self { fields, continues: matches!(header.first(), Some(b' ' | b'\t')) }
    }

    /// Name in lower case, and the value on one line as [`header::Field::unfolded`] gives it.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.fields.iter().filter_map(|(number, value)| {
            KEY_FIELDS.get(usize::from(*number)).map(|name| (*name, value.as_slice()))
        })
    }

    /// All values of the fields of that name, which is in lower case.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value)
    }

    /// The value of the first field of that name, which is in lower case.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// As it is stored: at most [`TABLE_MAX`] octets, never none.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![WHOLE];
        for (number, value) in &self.fields {
            let Ok(len) = u16::try_from(value.len()) else { return vec![NOT_HELD] };
            out.push(*number);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(value);
        }
        if self.continues || out.len() > TABLE_MAX { vec![NOT_HELD] } else { out }
    }

    /// From what was stored. `None`: it does not hold them, or is of another version; the header has to be asked.
    pub fn decode(octets: &[u8]) -> Option<Self> {
        let fields = split(octets)?.into_iter().map(|(number, value)| (number, value.to_vec())).collect();
        Some(Self { fields, continues: false })
    }

    /// The same without a copy: names in lower case and values, as [`KeyFields::iter`] gives them.
    pub fn stored(octets: &[u8]) -> Option<Vec<(&'static str, &[u8])>> {
        let named = |(number, value)| KEY_FIELDS.get(usize::from(number)).map(|name| (*name, value));
        Some(split(octets)?.into_iter().filter_map(named).collect())
    }
}

/// Numbers and values of a stored table.
fn split(octets: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut rest = octets.strip_prefix(&[WHOLE])?;
    let mut fields = Vec::with_capacity(KEY_FIELDS.len());
    while let Some((head, tail)) = rest.split_at_checked(3) {
        let (value, after) = tail.split_at_checked(usize::from(u16::from_le_bytes([head[1], head[2]])))?;
        fields.push((head[0], value));
        rest = after;
    }
    rest.is_empty().then_some(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn come_back_as_they_were() {
        for header in [
            "",
            "\r\n",
            "Received: x\r\n\r\n",
            "Subject: a\r\n b\r\nsubject : c\r\nFROM: =?utf-8?q?=C3=A9?= <a@b>\r\nX: y\r\nTo:\r\n\r\nCc: body\r\n",
            "Subject: grüße",
        ] {
            let fields = KeyFields::read(header.as_bytes());
            let stored = fields.encode();
            assert_eq!(KeyFields::decode(&stored).as_ref(), Some(&fields), "{header:?}");
            assert_eq!(KeyFields::stored(&stored), Some(fields.iter().collect()), "{header:?}");
        }
        let fields = KeyFields::read(b"Subject: a\r\n b\r\nsubject : c\r\nTo:\r\nX: y\r\n\r\n");
        let all: Vec<_> = fields.iter().collect();
        assert_eq!(all, [("subject", &b"a b"[..]), ("subject", b"c"), ("to", b"")]);
        assert_eq!(fields.first("subject"), Some(&b"a b"[..]));
        assert_eq!(fields.first("date"), None);
    }

    #[test]
    fn what_does_not_fit_is_not_held() {
        let long = format!("Subject: {}\r\n\r\n", "x".repeat(TABLE_MAX));
        for header in [long.as_str(), &long.repeat(5), " continues: x\r\nTo: a@b\r\n\r\n"] {
            let stored = KeyFields::read(header.as_bytes()).encode();
            assert_eq!(stored, [NOT_HELD]);
            assert_eq!(KeyFields::decode(&stored), None);
        }
    }

    #[test]
    fn rubbish_is_no_table() {
        let good = KeyFields::read(b"Subject: abc\r\nTo: d\r\n\r\n").encode();
        for end in 0..good.len() {
            // Between two fields it may end; it is never read beyond its end.
            let _ = KeyFields::decode(&good[..end]);
        }
        for octets in [&b""[..], b"\x02", b"\x01\x06", b"\x01\x06\xff\xff", b"\x01\x06\x05\x00abc"] {
            assert_eq!(KeyFields::decode(octets), None, "{octets:?}");
        }
        // A field that a later version knows is passed over.
        assert_eq!(KeyFields::decode(b"\x01\xfe\x01\x00x").map(|fields| fields.iter().count()), Some(0));
    }
}
