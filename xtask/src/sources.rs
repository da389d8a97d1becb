//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file of ours.
pub(crate) struct Source {
    /// From the top of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Whether the whole file is test code.
    pub(crate) fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || name == "tests.rs"
            || name.ends_with("_tests.rs")
    }

    /// The lines before the test module at the end of the file.
    pub(crate) fn code(&self) -> &str {
        match self.text.find("\n#[cfg(test)]\nmod ") {
            Some(end) => &self.text[..=end],
            None => &self.text,
        }
    }

    /// The name of the crate, if the file is part of one of those in `crates/`.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.split('/').next()
    }
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// All Rust files of the workspace, in order.
pub(crate) fn rust() -> Vec<Source> {
    ["crates", "tests", "xtask"].iter().flat_map(|dir| with_ending(dir, ".rs")).collect()
}

/// All documents: those at the top and those in `docs/`.
pub(crate) fn documents() -> Vec<Source> {
    let top = entries(&root()).into_iter().filter(|path| path.is_file()).filter_map(read);
    top.filter(|source| source.path.ends_with(".md")).chain(with_ending("docs", ".md")).collect()
}

/// One file; `None` if it is not there.
pub(crate) fn file(path: &str) -> Option<Source> {
    read(root().join(path))
}

fn with_ending(dir: &str, ending: &str) -> Vec<Source> {
    let mut out = Vec::new();
    let mut waiting = vec![root().join(dir)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            if path.file_name().is_some_and(|name| name != "target") {
                waiting.extend(entries(&path));
            }
        } else if path.to_string_lossy().ends_with(ending) {
            out.extend(read(path));
        }
    }
    out.sort_by(|a: &Source, b| a.path.cmp(&b.path));
    out
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn read(path: PathBuf) -> Option<Source> {
    let text = fs::read_to_string(&path).ok()?;
    let path = path.strip_prefix(root()).ok()?.to_string_lossy().replace('\\', "/");
    Some(Source { path, text })
}
