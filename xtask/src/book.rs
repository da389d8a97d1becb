//! The book: every page is reachable from its summary, and every link and anchor leads somewhere in it.

use crate::sources::Source;
use crate::{Problem, sources};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

const MANIFEST: &str = "book.toml";
const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";

pub(crate) fn check() -> Vec<Problem> {
    let mut problems = Vec::new();
    match sources::file(MANIFEST) {
        Some(manifest) if manifest.text.lines().any(|line| line == format!("src = {BOOK:?}")) => {}
        Some(_) => problems.push(format!("{MANIFEST}: the pages stand in {BOOK}")),
        None => problems.push(format!("{MANIFEST} is missing")),
    }
    let documents = sources::documents();
    let pages: BTreeMap<&str, &Source> = documents
        .iter()
        .filter(|document| document.path.starts_with("docs/"))
        .map(|document| (document.path.as_str(), document))
        .collect();
    problems.extend(of_summary(&pages));
    for page in pages.values() {
        problems.extend(of_page(page, &pages));
    }
    problems
}

/// Each page stands in the summary once.
fn of_summary(pages: &BTreeMap<&str, &Source>) -> Vec<Problem> {
    let Some(summary) = pages.get(SUMMARY) else { return vec![format!("{SUMMARY} is missing")] };
    let mut problems = Vec::new();
    let mut listed = BTreeSet::new();
    for target in targets(&summary.text) {
        let path = resolve(SUMMARY, &target);
        if !listed.insert(path.clone()) {
            problems.push(format!("{SUMMARY}: {path} stands there twice"));
        }
    }
    let missing = pages.keys().filter(|page| **page != SUMMARY && !listed.contains(**page));
    problems.extend(missing.map(|page| format!("{SUMMARY}: {page} is not reachable")));
    problems
}

/// Its links stay in the book, and their anchors are headings.
fn of_page(page: &Source, pages: &BTreeMap<&str, &Source>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for target in targets(&page.text) {
        let (path, anchor) =
            target.split_once('#').map_or((target.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let path = if path.is_empty() { page.path.clone() } else { resolve(&page.path, path) };
        if !path.starts_with("docs/") {
            problems.push(format!("{}: {target} leads out of the book", page.path));
            continue;
        }
        let Some(other) = pages.get(path.as_str()) else {
            let is_file = sources::root().join(&path).is_file();
            if !is_file || anchor.is_some() {
                problems.push(format!("{}: there is no page {target}", page.path));
            }
            continue;
        };
        if let Some(anchor) = anchor
            && !anchors(&other.text).contains(anchor)
        {
            problems.push(format!("{}: {path} has no heading #{anchor}", page.path));
        }
    }
    problems
}

/// The targets of `[text](target)` that are ours, outside of code.
fn targets(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in prose(text) {
        let spoken: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for (at, mark) in spoken.match_indices("](") {
            let tail = &spoken[at + mark.len()..];
            if let Some(end) = tail.find(')') {
                found.push(tail[..end].to_owned());
            }
        }
    }
    found.retain(|target| !target.contains("://") && !target.starts_with("mailto:"));
    found
}

/// The lines that are not in a block of code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        is_code ^= fence;
        !is_code && !fence
    })
}

/// What a path beside a page means, from the top of the source.
fn resolve(page: &str, target: &str) -> String {
    let dir = Path::new(page).parent().unwrap_or(Path::new(""));
    let mut clean = PathBuf::new();
    for part in dir.join(target).components() {
        match part {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// The anchors of all headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let slug: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let first = !found.contains(&slug);
        let numbered = (1..).map(|n| format!("{slug}-{n}")).find(|name| !found.contains(name));
        found.insert(if first { slug } else { numbered.unwrap_or_default() });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_become_anchors() {
        let text = "# When the disk is full\n## `--ports` & more, twice\n```\n# no heading\n```\n## Twice\n## Twice\n";
        let found = anchors(text);
        let wanted = ["when-the-disk-is-full", "--ports--more-twice", "twice", "twice-1"];
        assert_eq!(found, wanted.map(str::to_owned).into());
    }

    #[test]
    fn links_are_found_where_they_are_links() {
        let text =
            "[a](a.md#x) `[b](b.md)` [c](https://c.example)\n```\n[d](d.md)\n```\n![e](e.svg) [f`g`](f.md)";
        assert_eq!(targets(text), ["a.md#x", "e.svg", "f.md"]);
        assert_eq!(resolve("docs/decisions/1.md", "../a.md"), "docs/a.md");
    }

    #[test]
    fn what_is_wrong_is_found() {
        let page = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
        let summary = page(SUMMARY, "[a](a.md)\n[a](a.md)");
        let a = page("docs/a.md", "# A b\n[x](#a-b) [y](#c) [z](../README.md) [w](gone.md)");
        let b = page("docs/b.md", "# B\n[x](a.md#a-b) [y](a.md#b)");
        let pages = [&summary, &a, &b].map(|one| (one.path.as_str(), one)).into();
        assert_eq!(of_summary(&pages).len(), 2, "{:?}", of_summary(&pages));
        assert_eq!(of_page(&a, &pages).len(), 3, "{:?}", of_page(&a, &pages));
        assert_eq!(of_page(&b, &pages).len(), 1, "{:?}", of_page(&b, &pages));
    }
}
