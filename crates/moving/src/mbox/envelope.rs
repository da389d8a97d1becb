//! The line with which a message of an mbox begins: `From alice@example.org Thu Nov 20 07:30:00 2026`.

/// Longest such line that is looked at, in octets.
pub(super) const LINE_MAX: usize = 1000;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Whether a line looks as if a message began: with `From `.
pub(super) fn is_one(line: &[u8]) -> bool {
    line.starts_with(b"From ")
}

/// When the message came, in seconds since 1970. Without a zone it is taken for UTC.
pub(super) fn time(line: &[u8]) -> Option<i64> {
    let line = String::from_utf8_lossy(&line[..line.len().min(LINE_MAX)]);
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    // The address before it may be anything, so the last weekday that a month follows counts.
    let at = words.windows(2).rposition(|pair| WEEKDAYS.contains(&pair[0]) && MONTHS.contains(&pair[1]))?;
    let [month, day, time, rest @ ..] = &words[at + 1..] else { return None };
    let (mut year, mut zone) = (None, "+0000");
    for word in rest.iter().take(3) {
        if word.len() == 4 && word.bytes().all(|octet| octet.is_ascii_digit()) {
            year = year.or(Some(*word));
        } else if year.is_none() || word.starts_with(['+', '-']) {
            zone = word;
        }
    }
    let year = year?;
    mail::date::parse(format!("{day} {month} {year} {time} {zone}").as_bytes()).map(|stamp| stamp.seconds)
}

/// The line for a message that came then, without an address: who sent it stands in the message.
pub(super) fn print(seconds: i64) -> String {
    let internal = mail::date::print(seconds);
    // "Thu, 20 Nov 2026 07:30:00 +0000"
    let words: Vec<&str> = internal.split_ascii_whitespace().collect();
    match words.as_slice() {
        [weekday, day, month, year, time, ..] => {
            format!("From MAILER-DAEMON {} {month} {day:>2} {time} {year}\n", weekday.trim_end_matches(','))
        }
        _ => "From MAILER-DAEMON Thu Jan  1 00:00:00 1970\n".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_programs_write_them() {
        let noon = Some(1_767_268_800);
        for (line, want) in [
            ("From a@b.example Thu Jan  1 12:00:00 2026\n", noon),
            ("From a@b.example Thu Jan 01 12:00:00 2026\r\n", noon),
            ("From a@b.example  Thu Jan  1 13:00:00 2026 +0100", noon),
            ("From a@b.example Thu Jan  1 13:00:00 +0100 2026", noon),
            ("From a@b.example Thu Jan  1 07:00:00 EST 2026", noon),
            ("From - Thu Jan 01 12:00:00 2026", noon),
            ("From \"Thu Jan fan\"@b.example Thu Jan  1 12:00 2026", noon),
            ("From here on it is text.\n", None),
            ("From Thu on, Jan is free 2026", None),
            ("From ", None),
        ] {
            assert_eq!(time(line.as_bytes()), want, "{line}");
        }
        for seconds in [0, 1_767_268_800, 86_400 * 9, 4_000_000_000] {
            assert_eq!(time(print(seconds).as_bytes()), Some(seconds));
        }
    }
}
