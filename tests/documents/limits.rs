//! The table of limits in docs/security.md against the options of the program and the constants of the sources.
//!
//! A cell is `–`, or a value and where it comes from: an option of the column's own node (`max-errors`), of another
//! (`limits connections`), or a constant (`net::HANDSHAKE_PATIENCE`, `imap-proto::STRANGER.literal`, and with
//! its file where a crate has several of the name: `web/door::HEAD_TIME`).

use crate::document;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- limits -->\n";
const END: &str = "<!-- end of limits -->";

struct Cell {
    row: String,
    column: String,
    text: String,
}

fn cells() -> Vec<Cell> {
    let document = document("docs/security.md");
    let (_, rest) = document.split_once(BEGIN).expect("docs/security.md has the table");
    let (table, _) = rest.split_once(END).expect("and its end");
    let mut rows = table
        .lines()
        .filter(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>());
    let head = rows.next().unwrap();
    let rows = rows.skip(1).flat_map(|row| {
        assert_eq!(row.len(), head.len(), "{row:?}");
        let name = row[0].clone();
        let cells = row.into_iter().zip(head.clone()).skip(1);
        cells.map(move |(text, column)| Cell { row: name.clone(), column, text }).collect::<Vec<_>>()
    });
    rows.collect()
}

/// The default of an option, as docs/config.md has it.
fn option(node: &str, name: &str) -> Option<String> {
    let document = document("docs/config.md");
    let section = document.split(&format!("\n## `{node}`\n")).nth(1)?.split("\n## ").next()?.to_owned();
    let row = section.lines().find(|line| line.starts_with(&format!("| `{name}` |")))?;
    let default = row.split(" | ").nth(2)?;
    Some(default.trim_matches('`').trim_matches('"').to_owned())
}

/// The text of a constant of a crate, or of a field of one.
fn constant(name: &str) -> Option<String> {
    let (package, name) = name.split_once("::")?;
    let (name, field) = name.split_once('.').map_or((name, None), |(name, field)| (name, Some(field)));
    let (package, only) =
        package.split_once('/').map_or((package, None), |(package, file)| (package, Some(file)));
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates").join(package).join("src");
    let mut found = Vec::new();
    let is_meant = |file: &PathBuf| only.is_none_or(|only| file.file_stem().is_some_and(|stem| stem == only));
    for file in sources(&top).into_iter().filter(is_meant) {
        let text = std::fs::read_to_string(file).unwrap();
        let lines = text.lines().filter(|line| line.contains(&format!("const {name}: ")));
        found.extend(lines.map(|line| line.split_once(" = ").unwrap().1.trim_end_matches(';').to_owned()));
    }
    assert!(found.len() < 2, "{package} has several {name}: {found:?}");
    let value = found.pop()?;
    match field {
        None => Some(value),
        Some(field) => {
            let (_, rest) = value.split_once(&format!("{field}: "))?;
            Some(rest.split([',', '}']).next()?.trim().to_owned())
        }
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            files.push(path);
        }
    }
    files
}

/// A number, a size, a time, or a product of numbers, as one number: octets, or milliseconds.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Some(inner) = text.strip_prefix("Duration::from_secs(") {
        return Some(number(inner.strip_suffix(')')?)? * 1000);
    }
    if let Some((a, b)) = text.split_once(" << ") {
        return Some(number(a)? << number(b)?);
    }
    if text.contains(" * ") {
        return text.split(" * ").map(number).product();
    }
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let value: u64 = text[..digits].replace('_', "").parse().ok()?;
    let unit = match text[digits..].trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    Some(value * unit)
}

#[test]
fn the_table_of_limits_is_true() {
    let cells = cells();
    assert!(cells.len() > 80, "{} cells", cells.len());
    for Cell { row, column, text } in cells.iter().filter(|cell| cell.text != "–") {
        let place = format!("{row}, {column}: {text}");
        let (value, source) = text.split_once(" `").unwrap_or_else(|| panic!("{place}: no source"));
        let source = source.trim_end_matches('`');
        let found = match source.split_once(' ') {
            _ if source.contains("::") => constant(source),
            Some((node, name)) => option(node, name),
            None => option(column, source),
        };
        let found = found.unwrap_or_else(|| panic!("{place}: there is no {source}"));
        let (said, is) = (number(value), number(&found));
        assert!(said.is_some() && said == is, "{place}: it is {found}");
    }
}

/// Options that bound what a peer can do stand in the table.
#[test]
fn no_limit_is_left_out_of_the_table() {
    let cells = cells();
    let document = document("docs/config.md");
    for node in ["smtp", "submission", "imap", "limits"] {
        let section =
            document.split(&format!("\n## `{node}`\n")).nth(1).unwrap().split("\n## ").next().unwrap();
        for line in section.lines() {
            let Some(name) = line.strip_prefix("| `").and_then(|line| line.split('`').next()) else {
                continue;
            };
            let is_limit = (name.starts_with("max-") && name != "max-hold")
                || name.ends_with("-timeout")
                || name.ends_with("-limit")
                || name.starts_with("per-")
                || ["connections", "login-failures", "failure-delay", "connections-per-account"]
                    .contains(&name);
            let (own, other) = (format!(" `{name}`"), format!(" `{node} {name}`"));
            let is_there = cells
                .iter()
                .any(|cell| cell.column == node && cell.text.ends_with(&own) || cell.text.ends_with(&other));
            assert!(!is_limit || is_there, "{node} {name} is not in the table");
        }
    }
}

#[test]
fn numbers_are_read() {
    for (text, want) in [
        ("20", Some(20)),
        ("65_536", Some(65_536)),
        ("256 * 1024", Some(262_144)),
        ("90 << 20", Some(90 << 20)),
        ("Duration::from_secs(30 * 60)", Some(1_800_000)),
        ("30m", Some(1_800_000)),
        ("16 KiB", Some(16_384)),
        ("many", None),
    ] {
        assert_eq!(number(text), want, "{text}");
    }
}
