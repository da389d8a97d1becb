//! Takes gzip (RFC 1952 §2.2) and zip off a file, with an eye on bombs.

use super::ReportError;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use std::borrow::Cow;
use std::io::Read;

/// Largest file that is looked at, in octets.
pub const PACKED_MAX: usize = 10 * 1024 * 1024;
/// Most octets that come out of it.
pub const UNPACKED_MAX: usize = 32 * 1024 * 1024;
/// Octets that come out of a small file at least before their number counts against it.
const UNPACKED_ALWAYS: usize = 1024 * 1024;
/// How many times as large a file may become beyond that. XML of reports shrinks to a twentieth or so.
const RATIO_MAX: usize = 200;
/// Files of a zip archive that are looked at.
const ENTRIES_MAX: usize = 16;
/// Fixed lengths of the records of a zip archive.
const END_LENGTH: usize = 22;
const CENTRAL_LENGTH: usize = 46;
const LOCAL_LENGTH: usize = 30;
/// Longest comment of a zip archive.
const COMMENT_MAX: usize = 65_535;

/// The octets of the report.
pub(super) fn unpack(file: &[u8]) -> Result<Cow<'_, [u8]>, ReportError> {
    if file.len() > PACKED_MAX {
        return Err(ReportError::TooLarge);
    }
    if file.starts_with(&[0x1f, 0x8b]) {
        return inflate(MultiGzDecoder::new(file), file.len()).map(Cow::Owned);
    }
    if file.starts_with(b"PK\x03\x04") {
        return unzip(file).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(file))
}

/// Reads a decoder to its end, or until it has given too much.
fn inflate(decoder: impl Read, packed: usize) -> Result<Vec<u8>, ReportError> {
    let most = packed.saturating_mul(RATIO_MAX).clamp(UNPACKED_ALWAYS, UNPACKED_MAX);
    let mut octets = Vec::new();
    let mut bounded = decoder.take(most as u64 + 1);
    bounded.read_to_end(&mut octets).map_err(|_| ReportError::Packing("the data is damaged"))?;
    if octets.len() > most { Err(ReportError::Bomb) } else { Ok(octets) }
}

/// The first file of an archive that may be a report. What its directory says is believed over what stands before the
/// files, as other programs do.
fn unzip(file: &[u8]) -> Result<Vec<u8>, ReportError> {
    const DAMAGED: ReportError = ReportError::Packing("the archive is damaged");
    let from = file.len().saturating_sub(END_LENGTH + COMMENT_MAX);
    let tail = file.get(from..).unwrap_or_default();
    let end = tail.windows(4).rposition(|octets| octets == b"PK\x05\x06").ok_or(DAMAGED)? + from;
    let entries = usize::from(u16_at(file, end + 10).ok_or(DAMAGED)?).min(ENTRIES_MAX);
    let mut at = u32_at(file, end + 16).ok_or(DAMAGED)?;
    for _ in 0..entries {
        if file.get(at..at.saturating_add(4)) != Some(b"PK\x01\x02") {
            return Err(DAMAGED);
        }
        let length = |offset| u16_at(file, at + offset).map(usize::from).ok_or(DAMAGED);
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let name_at = at + CENTRAL_LENGTH;
        let shown = file.get(name_at..name_at + name).ok_or(DAMAGED)?.to_ascii_lowercase();
        if shown.ends_with(b".xml") || shown.ends_with(b".json") || entries == 1 {
            return extract(file, at);
        }
        at = name_at + name + extra + comment;
    }
    Err(ReportError::Packing("the archive holds no report"))
}

/// One file, by its entry in the directory.
fn extract(file: &[u8], entry: usize) -> Result<Vec<u8>, ReportError> {
    const DAMAGED: ReportError = ReportError::Packing("the archive is damaged");
    let flags = u16_at(file, entry + 8).ok_or(DAMAGED)?;
    if flags & 1 != 0 {
        return Err(ReportError::Packing("the archive is encrypted"));
    }
    let method = u16_at(file, entry + 10).ok_or(DAMAGED)?;
    let packed = u32_at(file, entry + 20).ok_or(DAMAGED)?;
    let local = u32_at(file, entry + 42).ok_or(DAMAGED)?;
    if file.get(local..local.saturating_add(4)) != Some(b"PK\x03\x04") {
        return Err(DAMAGED);
    }
    let name = u16_at(file, local + 26).map(usize::from).ok_or(DAMAGED)?;
    let extra = u16_at(file, local + 28).map(usize::from).ok_or(DAMAGED)?;
    let begin = local + LOCAL_LENGTH + name + extra;
    let data = file.get(begin..begin.saturating_add(packed)).ok_or(DAMAGED)?;
    match method {
        0 => Ok(data.to_vec()),
        8 => inflate(DeflateDecoder::new(data), data.len()),
        _ => Err(ReportError::Packing("the archive is packed in an unusual way")),
    }
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    let two = octets.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(two.try_into().ok()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<usize> {
    let four = octets.get(at..at.checked_add(4)?)?;
    usize::try_from(u32::from_le_bytes(four.try_into().ok()?)).ok()
}
