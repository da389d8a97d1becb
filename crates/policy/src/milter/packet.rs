//! Packets of the milter protocol, version 6: octets from and to values. Pure.
//!
//! The protocol has no standard; facts are those of Sendmail's libmilter (`mfdef.h`) and Postfix's MILTER_README.

use std::net::IpAddr;

/// Most octets of a packet that a filter may send: a replaced header field is the longest that we take.
pub(crate) const PACKET_MAX: usize = 512 * 1024;
/// Octets of the body in one packet; what every filter takes.
pub(crate) const CHUNK: usize = 65_535;

pub(crate) const VERSION: u32 = 6;

/// What a filter may ask us to do: `SMFIF_ADDHDRS`, `SMFIF_CHGHDRS`, `SMFIF_QUARANTINE`. The body, the sender and the
/// recipients stay as they are.
pub(crate) const ACTIONS: u32 = 0x01 | 0x10 | 0x20;

/// Steps that a filter does not want to hear of, or does not answer, and how values are written.
pub(crate) mod steps {
    pub(crate) const NO_CONNECT: u32 = 0x1;
    pub(crate) const NO_HELO: u32 = 0x2;
    pub(crate) const NO_MAIL: u32 = 0x4;
    pub(crate) const NO_RCPT: u32 = 0x8;
    pub(crate) const NO_BODY: u32 = 0x10;
    pub(crate) const NO_HEADER: u32 = 0x20;
    pub(crate) const NO_END_OF_HEADER: u32 = 0x40;
    pub(crate) const SILENT_HEADER: u32 = 0x80;
    pub(crate) const NO_UNKNOWN: u32 = 0x100;
    pub(crate) const NO_DATA: u32 = 0x200;
    pub(crate) const SKIP: u32 = 0x400;
    pub(crate) const SILENT_CONNECT: u32 = 0x1000;
    pub(crate) const SILENT_HELO: u32 = 0x2000;
    pub(crate) const SILENT_MAIL: u32 = 0x4000;
    pub(crate) const SILENT_RCPT: u32 = 0x8000;
    pub(crate) const SILENT_DATA: u32 = 0x1_0000;
    /// About commands that nobody knows, of which we say nothing; rspamd asks for it all the same.
    pub(crate) const SILENT_UNKNOWN: u32 = 0x2_0000;
    pub(crate) const SILENT_END_OF_HEADER: u32 = 0x4_0000;
    pub(crate) const SILENT_BODY: u32 = 0x8_0000;
    /// The blank behind the colon belongs to the value.
    pub(crate) const LEADING_SPACE: u32 = 0x10_0000;

    /// All that we can do without, keep silent about, or do.
    pub(crate) const KNOWN: u32 = NO_CONNECT
        | NO_HELO
        | NO_MAIL
        | NO_RCPT
        | NO_BODY
        | NO_HEADER
        | NO_END_OF_HEADER
        | SILENT_HEADER
        | NO_UNKNOWN
        | NO_DATA
        | SKIP
        | SILENT_CONNECT
        | SILENT_HELO
        | SILENT_MAIL
        | SILENT_RCPT
        | SILENT_DATA
        | SILENT_UNKNOWN
        | SILENT_END_OF_HEADER
        | SILENT_BODY
        | LEADING_SPACE;
}

/// A change of the header that a filter asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A field behind all others.
    Append { name: Vec<u8>, value: Vec<u8> },
    /// A field before the field that is number `at` (from 0) of all.
    Insert { at: u32, name: Vec<u8>, value: Vec<u8> },
    /// Another value for the `nth` (from 1) field of that name; none takes it out.
    Replace { nth: u32, name: Vec<u8>, value: Option<Vec<u8>> },
}

/// What a filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Options {
        version: u32,
        actions: u32,
        steps: u32,
    },
    Continue,
    /// The message is good; no more questions.
    Accept,
    Reject,
    Tempfail,
    Discard,
    /// A reply in the words of SMTP.
    Reply(Vec<u8>),
    /// No more of the body is wanted.
    Skip,
    /// It is at work: the wait begins anew.
    Progress,
    Shutdown,
    Change(Change),
    Quarantine(Vec<u8>),
    /// Something that we did not offer.
    Unasked(u8),
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

fn strings(data: &[u8]) -> Result<Vec<&[u8]>, Garbled> {
    let data = data.strip_suffix(&[0]).ok_or(Garbled)?;
    Ok(data.split(|octet| *octet == 0).collect())
}

fn number(data: &[u8]) -> Result<(u32, &[u8]), Garbled> {
    let (first, rest) = data.split_first_chunk::<4>().ok_or(Garbled)?;
    Ok((u32::from_be_bytes(*first), rest))
}

fn pair(data: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Garbled> {
    match strings(data)?.as_slice() {
        [name, value] => Ok((name.to_vec(), value.to_vec())),
        _ => Err(Garbled),
    }
}

impl Said {
    /// Reads what stands behind the length of a packet.
    pub(crate) fn read(packet: &[u8]) -> Result<Self, Garbled> {
        let (letter, data) = packet.split_first().ok_or(Garbled)?;
        Ok(match letter {
            b'O' => {
                let (version, rest) = number(data)?;
                let (actions, rest) = number(rest)?;
                // Lists of macros may follow; we send all that we have anyway.
                let (steps, _) = number(rest)?;
                Self::Options { version, actions, steps }
            }
            b'c' => Self::Continue,
            b'a' => Self::Accept,
            b'r' => Self::Reject,
            b't' => Self::Tempfail,
            b'd' => Self::Discard,
            b's' => Self::Skip,
            b'p' => Self::Progress,
            b'4' | b'f' => Self::Shutdown,
            b'y' => Self::Reply(data.split(|octet| *octet == 0).next().unwrap_or_default().to_vec()),
            b'q' => Self::Quarantine(data.split(|octet| *octet == 0).next().unwrap_or_default().to_vec()),
            b'h' => {
                let (name, value) = pair(data)?;
                Self::Change(Change::Append { name, value })
            }
            b'i' => {
                let (at, rest) = number(data)?;
                let (name, value) = pair(rest)?;
                Self::Change(Change::Insert { at, name, value })
            }
            b'm' => {
                let (nth, rest) = number(data)?;
                let (name, value) = pair(rest)?;
                let value = (!value.is_empty()).then_some(value);
                Self::Change(Change::Replace { nth, name, value })
            }
            other => Self::Unasked(*other),
        })
    }
}

/// One packet.
pub(crate) fn packet(letter: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(data.len() + 5);
    out.extend_from_slice(&length.to_be_bytes());
    out.push(letter);
    out.extend_from_slice(data);
    out
}

/// Texts, each with a NUL behind it; NULs within are left out, for they would begin another.
pub(crate) fn texts<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for text in all {
        out.extend(text.iter().filter(|octet| **octet != 0));
        out.push(0);
    }
    out
}

/// What we can do, for the filter to choose from.
pub(crate) fn offer() -> Vec<u8> {
    let words = [VERSION, ACTIONS, steps::KNOWN];
    packet(b'O', &words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>())
}

/// Who connected.
pub(crate) fn connect(name: &str, ip: IpAddr, port: u16) -> Vec<u8> {
    let mut data = texts([name.as_bytes()]);
    let (family, text) = match ip {
        IpAddr::V4(ip) => (b'4', ip.to_string()),
        // Sendmail writes the kind in front, and filters count on it.
        IpAddr::V6(ip) => (b'6', format!("IPv6:{ip}")),
    };
    data.push(family);
    data.extend_from_slice(&port.to_be_bytes());
    data.extend(texts([text.as_bytes()]));
    packet(b'C', &data)
}

/// Macros for the step whose letter is given: names with braces where they are longer than a letter.
pub(crate) fn macros(step: u8, values: &[(&str, String)]) -> Vec<u8> {
    let mut data = vec![step];
    data.extend(texts(values.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()])));
    packet(b'D', &data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_filters_say() {
        let name = || b"X-A".to_vec();
        for (octets, want) in [
            (
                &b"O\0\0\0\x06\0\0\0\x31\0\0\0\x0a"[..],
                Ok(Said::Options { version: 6, actions: 0x31, steps: 10 }),
            ),
            (
                b"O\0\0\0\x02\0\0\0\x01\0\0\0\0\0\0\0\x01j\0",
                Ok(Said::Options { version: 2, actions: 1, steps: 0 }),
            ),
            (b"c", Ok(Said::Continue)),
            (b"y550 5.7.1 No\0", Ok(Said::Reply(b"550 5.7.1 No".to_vec()))),
            (b"hX-A\0 b\0", Ok(Said::Change(Change::Append { name: name(), value: b" b".to_vec() }))),
            (
                b"i\0\0\0\x01X-A\0b\0",
                Ok(Said::Change(Change::Insert { at: 1, name: name(), value: b"b".to_vec() })),
            ),
            (b"m\0\0\0\x02X-A\0\0", Ok(Said::Change(Change::Replace { nth: 2, name: name(), value: None }))),
            (b"qspam\0", Ok(Said::Quarantine(b"spam".to_vec()))),
            (b"+<a@b>\0", Ok(Said::Unasked(b'+'))),
            (b"", Err(Garbled)),
            (b"O\0\0", Err(Garbled)),
            (b"hX-A\0", Err(Garbled)),
            (b"hX-A\0b", Err(Garbled)),
            (b"hX-A\0b\0c\0", Err(Garbled)),
            (b"i\0\0", Err(Garbled)),
        ] {
            assert_eq!(Said::read(octets), want, "{:?}", String::from_utf8_lossy(octets));
        }
    }

    #[test]
    fn what_we_say() {
        assert_eq!(packet(b'B', b"ab"), b"\0\0\0\x03Bab");
        assert_eq!(
            connect("[192.0.2.1]", [192, 0, 2, 1].into(), 258),
            b"\0\0\0\x1aC[192.0.2.1]\x004\x01\x02192.0.2.1\0"
        );
        let six = connect("x", "2001:db8::1".parse().unwrap(), 1);
        assert!(six.ends_with(b"x\x006\0\x01IPv6:2001:db8::1\0"));
        assert_eq!(
            macros(b'C', &[("j", "mx".to_owned()), ("{daemon_name}", "a\0b".to_owned())]),
            b"\0\0\0\x18DCj\0mx\0{daemon_name}\0ab\0"
        );
    }
}
