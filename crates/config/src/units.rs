//! Durations ("1h30m") and sizes ("50MiB"): reading and printing.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 6] = [
    ("w", 7 * 24 * 3600 * 1000),
    ("d", 24 * 3600 * 1000),
    ("h", 3600 * 1000),
    ("m", 60 * 1000),
    ("s", 1000),
    ("ms", 1),
];

const SIZE_UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const DURATION_FORM: &str = "a duration is numbers with units, like \"90s\", \"5m\", \"1h30m\" or \"500ms\"";
const SIZE_FORM: &str = "a size is a number with a unit, like \"50MiB\", \"25MB\" or \"512KiB\"";

/// Reads a duration: numbers, each with one of `w d h m s ms`, in falling order.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || DURATION_FORM.to_owned();
    let mut rest = text;
    let mut total = 0u64;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(wrong)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let unit = unit_of(&DURATION_UNITS, &after[..end], str::eq).ok_or_else(wrong)?;
        if unit >= smallest {
            return Err(wrong());
        }
        smallest = unit;
        total = number
            .checked_mul(unit)
            .and_then(|more| total.checked_add(more))
            .ok_or("the duration is too long")?;
        rest = &after[end..];
    }
    if smallest == u64::MAX { Err(wrong()) } else { Ok(Duration::from_millis(total)) }
}

/// Reads a size in octets: a number and one of `B KB MB GB TB` (powers of 1000) or `KiB MiB GiB TiB` (of 1024).
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split_number(text).ok_or(SIZE_FORM)?;
    let unit = unit_of(&SIZE_UNITS, unit.trim_start(), str::eq_ignore_ascii_case).ok_or(SIZE_FORM)?;
    number.checked_mul(unit).ok_or_else(|| "the size is too large".to_owned())
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

fn unit_of(units: &[(&str, u64)], name: &str, same: fn(&str, &str) -> bool) -> Option<u64> {
    units.iter().find(|(unit, _)| same(unit, name)).map(|(_, factor)| *factor)
}

/// The shortest text that [`parse_duration`] reads back; below a millisecond it is cut.
pub fn print_duration(duration: &Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if left == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS {
        if left >= factor {
            text.push_str(&format!("{}{unit}", left / factor));
            left %= factor;
        }
    }
    text
}

/// The text with the largest unit that divides the size, for [`parse_size`].
pub fn print_size(octets: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| octets != 0 && octets.is_multiple_of(*factor);
    match SIZE_UNITS.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", octets / factor),
        None => format!("{octets}B"),
    }
}
