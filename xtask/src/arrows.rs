//! Who may use whom: the table in docs/architecture.md against what `cargo metadata` says.

use crate::{Problem, sources};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

const DOCUMENT: &str = "docs/architecture.md";
/// Packages of the workspace that are no part of the house: they may use all of it.
const OUTSIDE: [&str; 3] = ["tests", "load", "xtask"];

/// The second table names outside packages that have an owner.
struct Tables {
    /// Crate to the crates of ours that it may use.
    arrows: BTreeMap<String, BTreeSet<String>>,
    /// Outside package to the crates that may use it.
    owners: BTreeMap<String, BTreeSet<String>>,
}

pub(crate) fn check() -> Vec<Problem> {
    let Some(document) = sources::file(DOCUMENT) else { return vec![format!("{DOCUMENT} is missing")] };
    let tables = read_tables(&document.text);
    let mut problems = circles(&tables.arrows);
    match metadata() {
        Ok(metadata) => problems.extend(against(&tables, &dependencies(&metadata))),
        Err(problem) => problems.push(problem),
    }
    problems
}

/// Reads `| crate | may use | …` and `| package | may be used by | …`.
fn read_tables(text: &str) -> Tables {
    let mut tables = Tables { arrows: BTreeMap::new(), owners: BTreeMap::new() };
    let mut head = String::new();
    for line in text.lines() {
        let Some(row) = line.strip_prefix('|') else {
            head.clear();
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        if head.is_empty() {
            head = cells.iter().take(2).copied().collect::<Vec<_>>().join("|");
            continue;
        }
        let [name, list, ..] = cells.as_slice() else { continue };
        let into = match head.as_str() {
            "crate|may use" => &mut tables.arrows,
            "package|may be used by" => &mut tables.owners,
            _ => continue,
        };
        if name.starts_with('-') {
            continue;
        }
        let words = list.split([',', ' ']).map(|word| word.trim_matches('`')).filter(|word| !word.is_empty());
        let words: BTreeSet<String> = words.filter(|word| *word != "–").map(str::to_owned).collect();
        into.insert(name.trim_matches('`').to_owned(), words);
    }
    tables
}

/// An arrow that leads back, over whatever way.
fn circles(arrows: &BTreeMap<String, BTreeSet<String>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for start in arrows.keys() {
        let mut seen = BTreeSet::new();
        let mut waiting: Vec<&String> = arrows[start].iter().collect();
        while let Some(next) = waiting.pop() {
            if next == start {
                problems.push(format!("{DOCUMENT}: {start} leads back to itself"));
                break;
            }
            if seen.insert(next) {
                waiting.extend(arrows.get(next).into_iter().flatten());
            }
        }
    }
    problems
}

fn metadata() -> Result<Value, Problem> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(sources::root())
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

/// Package to what it depends on outside its tests.
fn dependencies(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut out = BTreeMap::new();
    for package in list(&metadata["packages"]) {
        let uses = list(&package["dependencies"]);
        let uses =
            uses.iter().filter(|on| on["kind"].as_str() != Some("dev")).map(|on| text(&on["name"])).collect();
        out.insert(text(&package["name"]), uses);
    }
    out
}

fn against(tables: &Tables, packages: &BTreeMap<String, BTreeSet<String>>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let house = || packages.iter().filter(|(name, _)| !OUTSIDE.contains(&name.as_str()));
    for (name, uses) in house() {
        let Some(may) = tables.arrows.get(name) else {
            problems.push(format!("{DOCUMENT}: the table of crates has no row for {name}"));
            continue;
        };
        for on in uses {
            if packages.contains_key(on) && !may.contains(on) {
                problems.push(format!("crates/{name}/Cargo.toml: {name} may not use {on}"));
            }
            if tables.owners.get(on).is_some_and(|owners| !owners.contains(name)) {
                let owners = tables.owners[on].iter().cloned().collect::<Vec<_>>().join(", ");
                problems.push(format!("crates/{name}/Cargo.toml: {on} may be used by {owners} only"));
            }
        }
    }
    for name in tables.arrows.keys().filter(|name| !packages.contains_key(*name)) {
        problems.push(format!("{DOCUMENT}: there is no crate {name}"));
    }
    for (package, owners) in &tables.owners {
        for owner in
            owners.iter().filter(|owner| packages.get(*owner).is_none_or(|uses| !uses.contains(package)))
        {
            problems.push(format!("{DOCUMENT}: {owner} does not use {package}"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_wrong() {
        let tables = read_tables(
            "| crate | may use | for |\n|---|---|---|\n| `a` | – | x |\n| `b` | `a` | x |\n| `gone` | – | x |\n\n\
             | package | may be used by |\n|---|---|\n| out | `a`, `b` |\n",
        );
        let of = |list: &[(&str, &[&str])]| -> BTreeMap<String, BTreeSet<String>> {
            let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
            list.iter().map(|(name, uses)| ((*name).to_owned(), set(uses))).collect()
        };
        let packages = of(&[("a", &["b", "out"]), ("b", &["a"]), ("c", &["out"]), ("tests", &["a"])]);
        assert_eq!(
            against(&tables, &packages),
            [
                "crates/a/Cargo.toml: a may not use b",
                "docs/architecture.md: the table of crates has no row for c",
                "docs/architecture.md: there is no crate gone",
                "docs/architecture.md: b does not use out",
            ]
        );
        assert!(circles(&tables.arrows).is_empty());
        assert_eq!(circles(&of(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])])).len(), 2);
    }
}
