//! What commands print: aligned tables for people, JSON for programs.

use crate::cli::Trouble;
use crate::cli::args::Global;
use serde::Serialize;
use std::io::{self, Write};

/// Prints a line. That nobody reads it any more (`maddy … | head`) is no trouble.
pub(crate) fn line(text: &str) -> Result<(), Trouble> {
    octets(format!("{text}\n").as_bytes())
}

pub(crate) fn octets(octets: &[u8]) -> Result<(), Trouble> {
    let mut out = io::stdout().lock();
    match out.write_all(octets).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Err(_) => Err(Trouble::new("")),
        Ok(()) => Ok(()),
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<(), Trouble> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Trouble::new(error.to_string()))?;
    line(&text)
}

/// A result: a sentence for people, a value for programs.
pub(crate) fn done<T: Serialize>(global: &Global, value: &T, sentence: &str) -> Result<(), Trouble> {
    if global.json { json(value) } else { line(sentence) }
}

/// A list: a table for people, or a sentence if it is empty; an array for programs.
pub(crate) fn list<T: Serialize>(
    global: &Global,
    items: &[T],
    head: &[&str],
    row: impl Fn(&T) -> Vec<String>,
    empty: &str,
) -> Result<(), Trouble> {
    if global.json {
        return json(&items);
    }
    if items.is_empty() {
        eprintln!("{empty}");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = items.iter().map(row).collect();
    octets(table(head, &rows).as_bytes())
}

/// Columns as wide as their widest cell, two blanks between them. Columns of numbers stand to the right.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let width = |column: usize| {
        let widest = cells.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        widest.unwrap_or(0).max(head.get(column).map_or(0, |name| name.chars().count()))
    };
    let is_number = |column: usize| {
        let digits = |cell: &String| cell.chars().next().is_none_or(|c| c.is_ascii_digit());
        cells
            .iter()
            .filter_map(|row| row.get(column))
            .all(|cell| digits(cell) && !cell.contains(['-', ':', '@']))
    };
    let head: Vec<String> = head.iter().map(|name| name.to_uppercase()).collect();
    let mut text = String::new();
    for row in std::iter::once(&head).chain(&cells) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let gap = " ".repeat(width(column) - cell.chars().count());
            let (left, right) = if is_number(column) { (gap.as_str(), "") } else { ("", gap.as_str()) };
            line.push_str(&format!("{left}{cell}{right}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Text from outside without anything that could steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Cuts text for a column.
pub(crate) fn shorten(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

/// `2026-11-20 07:30`, in UTC.
pub(crate) fn time(seconds: i64) -> String {
    let iso = mail::date::print_iso(seconds);
    iso.get(..16).map_or(iso.clone(), |minutes| minutes.replace('T', " "))
}

/// Octets for people: `17.2 MiB`.
pub(crate) fn size(octets: u64) -> String {
    let mut value = octets as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{octets} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

pub(crate) fn version(global: &Global) -> Result<(), Trouble> {
    let version = env!("CARGO_PKG_VERSION");
    done(global, &serde_json::json!({ "version": version }), &format!("maddy {version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        let rows = [["a@b.c", "7", "x"], ["longer@b.c", "12", "é\u{1b}[2J"]]
            .map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            table(&["name", "n", "what"], &rows),
            "NAME         N  WHAT\na@b.c        7  x\nlonger@b.c  12  é?[2J\n"
        );
    }

    #[test]
    fn sizes_and_times() {
        for (octets, want) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB")] {
            assert_eq!(size(octets), want);
        }
        assert_eq!(time(0), "1970-01-01 00:00");
        assert_eq!((shorten("abcdef", 4).as_str(), shorten("abcd", 4).as_str()), ("abc…", "abcd"));
    }
}
