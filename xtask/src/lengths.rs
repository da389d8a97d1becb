//! Files stay short. Those that are too long already are listed with their length, and may only shrink.

use crate::{Problem, sources};
use std::collections::BTreeMap;

/// Most lines of a file without its tests.
const CODE_MAX: usize = 400;
/// Most lines of a file with them, and of a file of tests.
const FILE_MAX: usize = 600;
/// `path lines` of the exceptions.
const LIST: &str = "xtask/long-files.txt";

pub(crate) fn check() -> Vec<Problem> {
    let text = sources::file(LIST).map(|list| list.text).unwrap_or_default();
    let mut listed = read(&text);
    let mut problems = Vec::new();
    for source in sources::rust() {
        let all = source.text.lines().count();
        let code = if source.is_test() { 0 } else { source.code().lines().count() };
        let long = code > CODE_MAX || all > FILE_MAX;
        match listed.remove(&source.path) {
            Some(most) if all > most => {
                problems.push(format!("{}: {all} lines; {LIST} allows {most}", source.path));
            }
            Some(_) if !long => problems.push(format!("{LIST}: {} is short now, take it off", source.path)),
            None if long => problems.push(format!(
                "{}: {code} lines of code, {all} in all; a file has at most {CODE_MAX} and {FILE_MAX}",
                source.path
            )),
            _ => {}
        }
    }
    problems.extend(listed.keys().map(|path| format!("{LIST}: there is no {path}")));
    problems
}

fn read(text: &str) -> BTreeMap<String, usize> {
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    rows.filter_map(|(path, lines)| Some((path.to_owned(), lines.trim().parse().ok()?))).collect()
}
