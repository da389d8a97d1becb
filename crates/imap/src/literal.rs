//! Bodies on their way out: in pieces, as they are or with their transfer encoding taken off (RFC 3516 §4.3).

use crate::body::{Body, PIECE};
use crate::client::{Client, Gone};
use imap_proto::command::Partial;
use imap_proto::fetch::{FetchLine, LiteralKind};
use mail::mime::{Encoding, Part, decode};
use std::io;
use std::ops::Range;
use tracing::error;

/// What a client hears instead of NUL, which no plain literal may hold (RFC 9051 §9, `CHAR8`).
pub(crate) const INSTEAD_OF_NUL: u8 = 0x80;

/// The part of `range` that a partial asks for (RFC 9051 §6.4.5).
pub(crate) fn cut(range: &Range<u64>, partial: Option<Partial>) -> Range<u64> {
    let Some(partial) = partial else { return range.clone() };
    let start = range.start.saturating_add(partial.origin).min(range.end);
    start..start.saturating_add(partial.length).min(range.end)
}

/// Sends octets that are in memory.
pub(crate) async fn send(
    client: &mut Client,
    line: &mut FetchLine,
    name: &str,
    octets: &[u8],
) -> Result<(), Gone> {
    let out = client.session.output();
    line.literal(out, name, octets.len() as u64, LiteralKind::Plain);
    push_plain(out, octets);
    client.relieve().await
}

/// Sends a range of a message.
pub(crate) async fn send_range(
    client: &mut Client,
    line: &mut FetchLine,
    name: &str,
    body: &Body,
    range: &Range<u64>,
) -> Result<(), Gone> {
    line.literal(client.session.output(), name, range.end - range.start, LiteralKind::Plain);
    let mut at = range.start;
    while at < range.end {
        let most = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(PIECE);
        let sent = match body.at_hand(at, most) {
            Some(piece) => {
                push_plain(client.session.output(), piece);
                piece.len()
            }
            None => match body.read(at, most).await {
                Ok(piece) => {
                    push_plain(client.session.output(), &piece);
                    piece.len()
                }
                Err(error) => return Err(broken(client, Some(error))),
            },
        };
        if sent == 0 {
            return Err(broken(client, None));
        }
        client.relieve().await?;
        at += sent as u64;
    }
    Ok(())
}

/// The length was announced and the octets cannot be had: only the end of the connection is left.
fn broken(client: &mut Client, why: Option<io::Error>) -> Gone {
    error!(error = ?why, "a message could not be read while it was sent");
    client.session.abort();
    Gone
}

fn push_plain(out: &mut Vec<u8>, octets: &[u8]) {
    let start = out.len();
    out.extend_from_slice(octets);
    for octet in &mut out[start..] {
        if *octet == 0 {
            *octet = INSTEAD_OF_NUL;
        }
    }
}

/// What taking off the transfer encoding will give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) len: u64,
    pub(crate) kind: LiteralKind,
}

/// Measures a part without its transfer encoding. `None`: the encoding is not known.
pub(crate) async fn measure(body: &Body, part: &Part) -> io::Result<Option<Decoded>> {
    let Some(mut pieces) = Pieces::new(body, part) else { return Ok(None) };
    let mut decoded = Decoded { len: 0, kind: LiteralKind::Plain };
    while let Some(piece) = pieces.next().await? {
        decoded.len += piece.len() as u64;
        if piece.contains(&0) {
            decoded.kind = LiteralKind::Binary;
        }
    }
    Ok(Some(decoded))
}

/// Sends a part without its transfer encoding; `decoded` is what [`measure`] said of it.
pub(crate) async fn send_decoded(
    client: &mut Client,
    line: &mut FetchLine,
    name: &str,
    (body, part): (&Body, &Part),
    (decoded, partial): (Decoded, Option<Partial>),
) -> Result<(), Gone> {
    let wanted = cut(&(0..decoded.len), partial);
    line.literal(client.session.output(), name, wanted.end - wanted.start, decoded.kind);
    let Some(mut pieces) = Pieces::new(body, part) else { return Ok(()) };
    let mut at = 0;
    while at < wanted.end {
        let piece = match pieces.next().await {
            Ok(Some(piece)) => piece,
            other => return Err(broken(client, other.err())),
        };
        let end = at + piece.len() as u64;
        let from = wanted.start.clamp(at, end) - at;
        let to = wanted.end.clamp(at, end) - at;
        let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        client.session.output().extend_from_slice(&piece[index(from)..index(to)]);
        client.relieve().await?;
        at = end;
    }
    Ok(())
}

/// Reads a part and takes off its transfer encoding, piece by piece.
struct Pieces<'a> {
    body: &'a Body,
    rest: Range<u64>,
    encoding: Encoding,
    carry: Vec<u8>,
}

impl<'a> Pieces<'a> {
    fn new(body: &'a Body, part: &Part) -> Option<Self> {
        (part.encoding != Encoding::Unknown).then(|| Self {
            body,
            rest: part.body.clone(),
            encoding: part.encoding,
            carry: Vec::new(),
        })
    }

    async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if self.rest.is_empty() && self.carry.is_empty() {
                return Ok(None);
            }
            if !self.rest.is_empty() {
                let most = usize::try_from(self.rest.end - self.rest.start).unwrap_or(usize::MAX).min(PIECE);
                let piece = self.body.read(self.rest.start, most).await?;
                if piece.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                self.rest.start += piece.len() as u64;
                self.carry.extend_from_slice(&piece);
            }
            let end = if self.rest.is_empty() { self.carry.len() } else { seam(self.encoding, &self.carry) };
            let ready: Vec<u8> = self.carry.drain(..end).collect();
            let octets = decode(self.encoding, &ready).unwrap_or_default();
            if !octets.is_empty() {
                return Ok(Some(octets));
            }
            if self.rest.is_empty() {
                return Ok(None);
            }
        }
    }
}

/// Where encoded text may be cut, so that both halves decode to what the whole would.
fn seam(encoding: Encoding, text: &[u8]) -> usize {
    match encoding {
        Encoding::Base64 => {
            let (mut letters, mut end) = (0_usize, 0);
            for (at, octet) in text.iter().enumerate() {
                match octet {
                    b'=' => letters = 0,
                    b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => letters += 1,
                    _ => continue,
                }
                if letters % 4 == 0 {
                    end = at + 1;
                }
            }
            end
        }
        Encoding::QuotedPrintable => match text.iter().rposition(|b| *b == b'\n') {
            Some(at) => at + 1,
            // A line longer than a piece: anywhere, but not in an escape.
            None => {
                let tail = text.len().saturating_sub(3);
                text[tail..].iter().position(|b| *b == b'=').map_or(text.len(), |at| tail + at)
            }
        },
        Encoding::Identity | Encoding::Unknown => text.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cut_at_a_seam_decodes_to_the_same() {
        let base64 = b"Zm9v\r\nYmFy\r\nYg==Zm9vYmE=\r\nZm9vYmFy";
        let quoted = b"a=3Db =\r\nc  \r\nlong=20line=C3=BC\r\nend";
        for (encoding, text) in [(Encoding::Base64, &base64[..]), (Encoding::QuotedPrintable, &quoted[..])] {
            let whole = decode(encoding, text).unwrap();
            for end in 0..=text.len() {
                let at = seam(encoding, &text[..end]);
                assert!(at <= end);
                let halves =
                    [decode(encoding, &text[..at]).unwrap(), decode(encoding, &text[at..]).unwrap()].concat();
                assert_eq!(halves, whole, "{encoding:?} cut at {at}");
            }
        }
    }

    #[test]
    fn partials() {
        let partial = |origin, length| Some(Partial { origin, length });
        for (range, partial, want) in [
            (10..20, None, 10..20),
            (10..20, partial(0, 5), 10..15),
            (10..20, partial(5, 100), 15..20),
            (10..20, partial(10, 1), 20..20),
            (10..20, partial(100, 1), 20..20),
            (10..20, partial(u64::MAX, u64::MAX), 20..20),
        ] {
            assert_eq!(cut(&range, partial), want);
        }
    }
}
