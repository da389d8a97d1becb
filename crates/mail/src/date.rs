//! Dates as mail writes them: RFC 5322 with its obsolete forms, and the internal date of IMAP.
//!
//! Time is an argument everywhere; nothing here asks what time it is.

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// 1970-01-01 was a Thursday.
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY: i64 = 86_400;
/// Longest text that is looked at for a date, in octets.
const TEXT_MAX: usize = 256;

/// A moment, and the zone it was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Minutes east of UTC.
    pub offset: i32,
}

impl Stamp {
    /// The calendar day in its own zone, as SENTON wants it (RFC 9051 §6.4.4: "disregarding time and timezone").
    pub fn day(&self) -> Day {
        day_of(self.seconds + i64::from(self.offset) * 60)
    }
}

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    pub year: i32,
    /// 1 to 12
    pub month: u8,
    /// 1 to 31
    pub day: u8,
}

/// The day in UTC of a moment.
pub fn day_of(seconds: i64) -> Day {
    // Days to civil date, with years that begin in March, so that the leap day comes last.
    let days = seconds.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Day { year: i32::try_from(year).unwrap_or(i32::MAX), month: month as u8, day: day as u8 }
}

/// Days since 1970-01-01 of a date.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Hour, minute and second of a moment in UTC.
fn clock(seconds: i64) -> (i64, i64, i64) {
    let rest = seconds.rem_euclid(DAY);
    (rest / 3600, rest / 60 % 60, rest % 60)
}

/// `Fri, 20 Nov 2026 07:30:00 +0000` (RFC 5322 §3.3).
pub fn print(seconds: i64) -> String {
    let Day { year, month, day } = day_of(seconds);
    let (hour, minute, second) = clock(seconds);
    let weekday = WEEKDAYS[seconds.div_euclid(DAY).rem_euclid(7) as usize];
    let month = MONTHS[usize::from(month) - 1];
    format!("{weekday}, {day} {month} {year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `20-Nov-2026 07:30:00 +0000`, the day two characters wide (RFC 9051 §9, date-time), without the quotes.
pub fn print_internal(seconds: i64) -> String {
    let Day { year, month, day } = day_of(seconds);
    let (hour, minute, second) = clock(seconds);
    let month = MONTHS[usize::from(month) - 1];
    format!("{day:2}-{month}-{year:04} {hour:02}:{minute:02}:{second:02} +0000")
}

/// `2026-11-20T07:30:00Z` (RFC 3339).
pub fn print_iso(seconds: i64) -> String {
    let Day { year, month, day } = day_of(seconds);
    let (hour, minute, second) = clock(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Reads the internal date of APPEND: `20-Nov-2026 07:30:00 +0000`, without the quotes.
pub fn parse_internal(text: &str) -> Option<Stamp> {
    let mut words = text.split_ascii_whitespace();
    let mut date = words.next()?.split('-');
    let (day, month, year) = (date.next()?, date.next()?, date.next()?);
    let (time, zone) = (words.next()?, words.next()?);
    if date.next().is_some() || words.next().is_some() || year.len() != 4 {
        return None;
    }
    stamp(number(year)?, month_number(month)?, number(day)?, time_of_day(time)?, offset(zone)?)
}

/// Reads `2026-11-20T07:30:00Z`, also with `+01:00`, with a blank for the `T`, and without seconds (RFC 3339 §5.6).
/// Without a zone it is UTC; without a time, midnight.
pub fn parse_iso(text: &str) -> Option<Stamp> {
    let (date, rest) = text.trim().split_once(['T', 't', ' ']).unwrap_or((text.trim(), "00:00Z"));
    let mut date = date.split('-');
    let (year, month, day) = (date.next()?, date.next()?, date.next()?);
    if date.next().is_some() || year.len() != 4 {
        return None;
    }
    let at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(at);
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => offset(&zone.replacen(':', "", 1))?,
    };
    let month = number(month).filter(|month| (1..=12).contains(month))?;
    stamp(number(year)?, month, number(day)?, time_of_day(time)?, offset)
}

/// Reads a date field (RFC 5322 §3.3) with its obsolete forms (RFC 5322 §4.3): comments, years of two or three digits,
/// zones by name. A missing or unknown zone is UTC; a missing time is midnight.
pub fn parse(text: &[u8]) -> Option<Stamp> {
    let text = without_comments(&text[..text.len().min(TEXT_MAX)]);
    // A comma parts the weekday, and some write dashes in the date.
    let text = text.replace(',', " ");
    let mut words: Vec<&str> = text.split_ascii_whitespace().collect();
    if words.first().is_some_and(|word| !word.starts_with(|c: char| c.is_ascii_digit())) {
        words.remove(0);
    }
    let dashed: Vec<&str> = words.first()?.split('-').collect();
    if dashed.len() == 3 {
        words.splice(0..1, dashed);
    }
    let mut words = words.into_iter();
    let (day, month, year) = (number(words.next()?)?, month_number(words.next()?)?, words.next()?);
    let time = words.next().map_or(Some((0, 0, 0)), time_of_day)?;
    let offset = words.next().map_or(0, zone);
    stamp(full_year(year)?, month, day, time, offset)
}

fn without_comments(text: &[u8]) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    for octet in text {
        match octet {
            b'(' => depth += 1,
            b')' => {
                depth = depth.saturating_sub(1);
                out.push(' ');
            }
            _ if depth == 0 => out.push(char::from(*octet)),
            _ => {}
        }
    }
    out
}

fn stamp(year: i64, month: i64, day: i64, time: (i64, i64, i64), offset: i32) -> Option<Stamp> {
    let days = days_from_civil(year, month, day);
    let same = day_of(days * DAY);
    if i64::from(same.day) != day || i64::from(same.month) != month {
        return None; // 31 February
    }
    let (hour, minute, second) = time;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second - i64::from(offset) * 60;
    Some(Stamp { seconds, offset })
}

/// One to four digits.
fn number(text: &str) -> Option<i64> {
    let fits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if fits { text.parse().ok() } else { None }
}

/// Two digits up to 49 are of this century, others and three digits count from 1900 (RFC 5322 §4.3).
fn full_year(text: &str) -> Option<i64> {
    let year = number(text)?;
    match text.len() {
        2 if year < 50 => Some(2000 + year),
        2 | 3 => Some(1900 + year),
        4 => Some(year),
        _ => None,
    }
}

fn month_number(text: &str) -> Option<i64> {
    let short = text.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(short))?;
    i64::try_from(at).ok().map(|at| at + 1)
}

/// `7:30` or `07:30:00`; a leap second is taken.
fn time_of_day(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split([':', '.']);
    let hour = number(parts.next()?)?;
    let minute = number(parts.next()?)?;
    let second = parts.next().map_or(Some(0), number)?;
    (hour < 24 && minute < 60 && second <= 60).then_some((hour, minute, second))
}

/// `+hhmm` in minutes.
fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    if digits.len() != 4 {
        return None;
    }
    let value = i32::try_from(number(digits)?).ok()?;
    (value % 100 < 60).then_some(sign * (value / 100 * 60 + value % 100))
}

/// A zone by number or by name; what is not known is UTC (RFC 5322 §4.3).
fn zone(text: &str) -> i32 {
    if let Some(minutes) = offset(text) {
        return minutes;
    }
    let hours = match text.to_ascii_uppercase().as_str() {
        "EDT" => -4,
        "EST" | "CDT" => -5,
        "CST" | "MDT" => -6,
        "MST" | "PDT" => -7,
        "PST" => -8,
        _ => 0,
    };
    hours * 60
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints() {
        for (seconds, text, internal, iso) in [
            (0, "Thu, 1 Jan 1970 00:00:00 +0000", " 1-Jan-1970 00:00:00 +0000", "1970-01-01T00:00:00Z"),
            (
                1_795_159_800,
                "Fri, 20 Nov 2026 07:30:00 +0000",
                "20-Nov-2026 07:30:00 +0000",
                "2026-11-20T07:30:00Z",
            ),
            (
                951_782_399,
                "Mon, 28 Feb 2000 23:59:59 +0000",
                "28-Feb-2000 23:59:59 +0000",
                "2000-02-28T23:59:59Z",
            ),
            (-1, "Wed, 31 Dec 1969 23:59:59 +0000", "31-Dec-1969 23:59:59 +0000", "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(print(seconds), text);
            assert_eq!(print_internal(seconds), internal);
            assert_eq!(print_iso(seconds), iso);
            assert_eq!(parse(text.as_bytes()), Some(Stamp { seconds, offset: 0 }));
            assert_eq!(parse_internal(internal), Some(Stamp { seconds, offset: 0 }));
            assert_eq!(parse_iso(iso), Some(Stamp { seconds, offset: 0 }));
        }
    }

    #[test]
    fn reads_iso() {
        let base = 1_795_159_800;
        for (text, want) in [
            ("2026-11-20T08:30:00+01:00", Some((base, 60))),
            ("2026-11-20 02:00-0530", Some((base, -330))),
            ("2026-11-20 07:30:00", Some((base, 0))),
            ("2026-11-20", Some((base - 27_000, 0))),
            ("2026-13-20", None),
            ("2026-02-31", None),
            ("2026-11-20T25:00Z", None),
            ("2026-11-20T07:30:00 CET", None),
            ("20 Nov 2026", None),
            ("", None),
        ] {
            assert_eq!(parse_iso(text).map(|stamp| (stamp.seconds, stamp.offset)), want, "{text}");
        }
    }

    #[test]
    fn every_day_of_eight_centuries_is_its_own() {
        for day in -100_000..200_000 {
            let Day { year, month, day: of_month } = day_of(day * DAY);
            assert_eq!(days_from_civil(year.into(), month.into(), of_month.into()), day);
        }
    }

    #[test]
    fn reads_what_is_written() {
        let base = 1_795_159_800;
        for (text, offset) in [
            ("Fri, 20 Nov 2026 08:30:00 +0100", 60),
            ("20 Nov 2026 08:30 +0100 (CET)", 60),
            ("Fri,20 Nov 2026 02:30:00 EST", -300),
            ("Friday, 20 November 26 07:30:00 GMT", 0),
            ("Fri, 20 Nov 126 07:30:00 UT", 0),
            ("20-Nov-2026 07:30:00 +0000", 0),
            (" Fri (day),\r\n 20 (x) Nov 2026 07:30:00 -0000", 0),
            ("Fri, 20 Nov 2026 13:00:00 +0530", 330),
            ("Fri, 20 Nov 2026 07.30.00 Z", 0),
            ("Fri, 20 Nov 2026 07:30:00", 0),
        ] {
            assert_eq!(parse(text.as_bytes()), Some(Stamp { seconds: base, offset }), "{text}");
        }
        for text in
            ["", "x", "31 Feb 2026 00:00 +0000", "20 Nov", "20 Foo 2026 00:00", "20 Nov 2026 25:00", "1 é 2"]
        {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        for text in
            ["20-Nov-2026", "20-Nov-2026 07:30:00", "20-Nov-26 07:30:00 +0000", "x-Nov-2026 07:30:00 +0000"]
        {
            assert_eq!(parse_internal(text), None, "{text}");
        }
    }

    #[test]
    fn the_day_is_that_of_its_zone() {
        let late = parse(b"Fri, 20 Nov 2026 23:30:00 -0800").unwrap();
        assert_eq!(late.day(), Day { year: 2026, month: 11, day: 20 });
        assert_eq!(day_of(late.seconds), Day { year: 2026, month: 11, day: 21 });
    }
}
