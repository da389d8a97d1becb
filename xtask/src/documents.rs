//! Documents hold together: what they link to is there.

use crate::{Problem, sources};
use std::path::Path;

pub(crate) fn check() -> Vec<Problem> {
    let mut problems = Vec::new();
    for document in sources::documents() {
        let dir = Path::new(&document.path).parent().unwrap_or(Path::new(""));
        for target in links(&document.text) {
            let path = target.split('#').next().unwrap_or(&target);
            if !path.is_empty() && !sources::root().join(dir).join(path).exists() {
                problems.push(format!("{}: there is no {path}", document.path));
            }
        }
    }
    problems
}

/// The targets of `[text](target)` that are files of ours.
fn links(text: &str) -> Vec<String> {
    let tails = text.match_indices("](").map(|(at, mark)| &text[at + mark.len()..]);
    let targets = tails.filter_map(|tail| Some(&tail[..tail.find(')')?]));
    targets
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_links() {
        let text = "[a](docs/a.md) [b](https://b.example) ![c](c.svg) [d](x.md#y) f[0](1";
        assert_eq!(links(text), ["docs/a.md", "c.svg", "x.md#y"]);
    }
}
