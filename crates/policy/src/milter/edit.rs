//! Changes of a header that a filter asks for, done. Pure: octets in, octets out.

use super::packet::Change;
use mail::header;

/// Most octets by which a filter may make a header longer.
pub(crate) const GROWTH_MAX: usize = 256 * 1024;
/// Most changes that are done for one message.
pub(crate) const CHANGES_MAX: usize = 500;

/// One line of a header; a continuation belongs to the line before it.
fn fields(octets: &[u8]) -> Vec<Vec<u8>> {
    header::fields(octets).map(|field| octets[field.start..field.end].to_vec()).collect()
}

/// Makes the changes in turn. `octets` is a header without the blank line behind it; lines end with CR LF.
///
/// Names that are none, and values that would end the header, are put right or left out: a filter cannot begin the body.
pub(crate) fn apply(octets: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut all = fields(octets);
    let mut growth = 0;
    for change in changes.iter().take(CHANGES_MAX) {
        let (name, value) = match change {
            Change::Append { name, value } | Change::Insert { name, value, .. } => (name, Some(value)),
            Change::Replace { name, value, .. } => (name, value.as_ref()),
        };
        if !is_name(name) {
            continue;
        }
        let line = value.map(|value| line(name, value));
        growth += line.as_ref().map_or(0, Vec::len);
        if growth > GROWTH_MAX {
            break;
        }
        match (change, line) {
            (Change::Append { .. }, Some(line)) => all.push(line),
            (Change::Insert { at, .. }, Some(line)) => {
                let at = usize::try_from(*at).unwrap_or(usize::MAX).min(all.len());
                all.insert(at, line);
            }
            (Change::Replace { nth, .. }, line) => replace(&mut all, name, *nth, line),
            _ => {}
        }
    }
    all.concat()
}

/// The nth field of a name gets another line, or none. One that is not there is added, as Sendmail and Postfix do.
fn replace(all: &mut Vec<Vec<u8>>, name: &[u8], nth: u32, line: Option<Vec<u8>>) {
    let nth = usize::try_from(nth).unwrap_or(usize::MAX).max(1);
    let place =
        all.iter().enumerate().filter(|(_, field)| is_named(field, name)).nth(nth - 1).map(|(at, _)| at);
    match (place, line) {
        (Some(at), Some(line)) => all[at] = line,
        (Some(at), None) => drop(all.remove(at)),
        (None, Some(line)) => all.push(line),
        (None, None) => {}
    }
}

fn is_named(field: &[u8], name: &[u8]) -> bool {
    let Some(colon) = field.iter().position(|octet| *octet == b':') else { return false };
    field[..colon].trim_ascii_end().eq_ignore_ascii_case(name)
}

fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= 200
        && name.iter().all(|octet| matches!(octet, 33..=126) && *octet != b':')
}

/// `Name: value`, with lines that end as they must and continue as they must.
fn line(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = name.to_vec();
    out.push(b':');
    if !value.starts_with(b" ") && !value.starts_with(b"\t") {
        out.push(b' ');
    }
    let text: Vec<u8> = value.iter().copied().filter(|octet| !matches!(octet, b'\r' | 0)).collect();
    for (number, part) in text.split(|octet| *octet == b'\n').enumerate() {
        // A line of blanks would look like the end of the header to some.
        if number > 0 && part.trim_ascii().is_empty() {
            continue;
        }
        if number > 0 {
            out.extend_from_slice(b"\r\n");
            if !matches!(part.first(), Some(b' ' | b'\t')) {
                out.push(b'\t');
            }
        }
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "A: 1\r\nB: 2\r\n\tmore\r\na: 3\r\n";

    fn edited(changes: &[Change]) -> String {
        String::from_utf8(apply(HEADER.as_bytes(), changes)).unwrap()
    }

    fn replace_with(nth: u32, name: &str, value: &str) -> Change {
        Change::Replace { nth, name: name.into(), value: (!value.is_empty()).then(|| value.into()) }
    }

    #[test]
    fn each_change() {
        for (change, want) in [
            (
                Change::Append { name: "C".into(), value: "4".into() },
                "A: 1\r\nB: 2\r\n\tmore\r\na: 3\r\nC: 4\r\n",
            ),
            (
                Change::Insert { at: 0, name: "C".into(), value: " 4".into() },
                "C: 4\r\nA: 1\r\nB: 2\r\n\tmore\r\na: 3\r\n",
            ),
            (
                Change::Insert { at: 2, name: "C".into(), value: "4".into() },
                "A: 1\r\nB: 2\r\n\tmore\r\nC: 4\r\na: 3\r\n",
            ),
            (
                Change::Insert { at: 99, name: "C".into(), value: "4".into() },
                "A: 1\r\nB: 2\r\n\tmore\r\na: 3\r\nC: 4\r\n",
            ),
            (replace_with(1, "b", "x"), "A: 1\r\nb: x\r\na: 3\r\n"),
            (replace_with(2, "A", ""), "A: 1\r\nB: 2\r\n\tmore\r\n"),
            (replace_with(3, "A", ""), HEADER),
            (replace_with(3, "A", "4"), "A: 1\r\nB: 2\r\n\tmore\r\na: 3\r\nA: 4\r\n"),
        ] {
            assert_eq!(edited(std::slice::from_ref(&change)), want, "{change:?}");
        }
    }

    #[test]
    fn changes_follow_each_other() {
        let all = [
            replace_with(1, "A", ""),
            replace_with(1, "A", "x"),
            Change::Insert { at: 0, name: "N".into(), value: "1".into() },
        ];
        assert_eq!(edited(&all), "N: 1\r\nB: 2\r\n\tmore\r\nA: x\r\n");
    }

    #[test]
    fn a_filter_cannot_begin_the_body_or_another_field() {
        for (name, value, want) in [
            ("C", "a\n\nbody", "C: a\r\n\tbody\r\n"),
            ("C", "a\r\n \r\nX: y", "C: a\r\n\tX: y\r\n"),
            ("C", "a\n b\n", "C: a\r\n b\r\n"),
            ("C", "a\0b", "C: ab\r\n"),
            ("C: x\r\nD", "a", ""),
            ("", "a", ""),
            ("C D", "a", ""),
        ] {
            let change = Change::Append { name: name.into(), value: value.into() };
            assert_eq!(edited(&[change]), format!("{HEADER}{want}"), "{name:?} {value:?}");
        }
    }

    #[test]
    fn growth_ends() {
        let change = Change::Append { name: "C".into(), value: vec![b'x'; 100 * 1024] };
        assert!(edited(&vec![change; 10]).len() < HEADER.len() + GROWTH_MAX + 100);
        let change = Change::Append { name: "C".into(), value: b"x".to_vec() };
        assert_eq!(fields(edited(&vec![change; 1000]).as_bytes()).len(), 3 + CHANGES_MAX);
    }
}
