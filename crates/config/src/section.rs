//! The cursor over one node, which remembers what was asked for.

use crate::describe::{Default, OptionDoc};
use crate::node::Node;
use crate::problem::{Problem, Source, Span, Spanned};
use std::cell::RefCell;
use std::path::PathBuf;

/// What all sections of one decoding share: the sources, and what was found so far.
#[derive(Debug)]
pub(crate) struct Sink<'a> {
    pub(crate) sources: &'a [Source],
    pub(crate) problems: RefCell<Vec<(Span, Problem)>>,
    /// The paths that options name.
    pub(crate) paths: RefCell<Vec<PathBuf>>,
    /// The options that were asked for, kept when the settings are described rather than decoded.
    pub(crate) options: Option<RefCell<Vec<OptionDoc>>>,
}

impl Sink<'_> {
    pub(crate) fn problem(&self, span: Span, message: String, help: String) {
        if self.options.is_some() {
            return;
        }
        if let Some(source) = self.sources.get(span.file as usize) {
            self.problems.borrow_mut().push((span, Problem::new(source, span, message, help)));
        }
    }

    pub(crate) fn describe(&self, option: OptionDoc) {
        if let Some(options) = &self.options {
            let mut options = options.borrow_mut();
            if !options.iter().any(|known| known.path == option.path) {
                options.push(option);
            }
        }
    }
}

/// A cursor over one node of the configuration (or over the whole file). Each call that makes an [`Opt`] asks for one
/// option; when the section ends, whatever nobody asked for is reported.
#[derive(Debug)]
pub struct Section<'a> {
    pub(crate) sink: &'a Sink<'a>,
    /// `None` for a section that does not stand in the file: all its options have their defaults.
    pub(crate) node: Option<&'a Node>,
    /// Names from the top, for messages and for the list of options.
    pub(crate) path: Vec<String>,
    span: Span,
    asked: Vec<String>,
    pub(crate) arguments_read: usize,
    /// All child nodes were taken by [`Section::entries`].
    open: bool,
}

impl<'a> Section<'a> {
    pub(crate) fn new(sink: &'a Sink<'a>, node: Option<&'a Node>, path: Vec<String>, span: Span) -> Self {
        Self { sink, node, path, span, asked: Vec::new(), arguments_read: 0, open: false }
    }

    /// Whether an option or a section of this name is given, rightly or wrongly.
    pub fn has(&self, name: &str) -> bool {
        self.node.is_some_and(|node| {
            node.children.iter().any(|child| child.name == name)
                || node.properties.iter().any(|(key, _, _)| key == name)
        })
    }

    /// Whether the section stands in the file.
    pub fn is_present(&self) -> bool {
        self.node.is_some()
    }

    /// The place of the section's name; of the nearest section around it when it does not stand in the file.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The place of the first child node of a name, in any case; that of the section where there is none.
    pub fn child_span(&self, name: &str) -> Span {
        let children = self.node.map_or(&[][..], |node| &node.children);
        let found = children.iter().find(|child| child.name.to_lowercase() == name.to_lowercase());
        found.map_or(self.span, |child| child.name_span)
    }

    /// The directories of the files that were read, and all paths that options have named up to now, in any section.
    pub fn paths(&self) -> Vec<PathBuf> {
        let folders = self.sink.sources.iter().map(|source| source.folder.clone());
        let mut paths: Vec<PathBuf> = folders
            .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder })
            .chain(self.sink.paths.borrow().iter().cloned())
            .collect();
        paths.sort();
        paths.dedup();
        paths
    }

    /// Reports a mistake that only the owner of the section can see. An empty `help` is left out.
    pub fn problem(&self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.sink.problem(span, message.into(), help.into());
    }

    /// One child section. If it is not in the file `decode` sees an empty one, and so returns its defaults.
    pub fn child<R>(&mut self, name: &str, doc: &str, decode: impl FnOnce(&mut Section<'_>) -> R) -> R {
        self.describe_child(name, doc, false);
        let node = self.single(name);
        self.descend(name, node, decode)
    }

    /// One child section, or `None` if it is not in the file.
    pub fn child_if_present<R>(
        &mut self,
        name: &str,
        doc: &str,
        decode: impl FnOnce(&mut Section<'_>) -> R,
    ) -> Option<R> {
        self.describe_child(name, doc, false);
        let node = self.single(name);
        if node.is_none() && self.sink.options.is_none() {
            return None;
        }
        let result = self.descend(name, node, decode);
        node.map(|_| result)
    }

    /// One child section whose parts may stand in several places, as in files that are included: what all sections of
    /// the name hold is read as if it stood in the first.
    pub fn joined<R>(&mut self, name: &str, doc: &str, decode: impl FnOnce(&mut Section<'_>) -> R) -> R {
        self.describe_child(name, doc, true);
        self.ask(name);
        let mut parts = self.named(name).into_iter().cloned();
        let mut whole = parts.next();
        if let Some(whole) = &mut whole {
            for part in parts {
                whole.arguments.extend(part.arguments);
                whole.properties.extend(part.properties);
                whole.children.extend(part.children);
            }
        }
        self.descend(name, whole.as_ref(), decode)
    }

    /// All child sections of one name, in the order of the file.
    pub fn each<R>(
        &mut self,
        name: &str,
        doc: &str,
        mut decode: impl FnMut(&mut Section<'_>) -> R,
    ) -> Vec<R> {
        self.describe_child(name, doc, true);
        self.ask(name);
        if self.sink.options.is_some() {
            self.descend(name, None, &mut decode);
        }
        self.named(name).into_iter().map(|node| self.descend(name, Some(node), &mut decode)).collect()
    }

    /// All child nodes that were not asked for by name: for lists whose names are data. Ask for the known names first.
    pub fn entries<R>(
        &mut self,
        name: &str,
        doc: &str,
        mut decode: impl FnMut(Spanned<String>, &mut Section<'_>) -> R,
    ) -> Vec<R> {
        self.open = true;
        let name = format!("<{name}>");
        self.describe_child(&name, doc, true);
        if self.sink.options.is_some() {
            let none = Spanned { value: String::new(), span: self.span };
            self.descend(&name, None, |section| decode(none, section));
        }
        let Some(node) = self.node else { return Vec::new() };
        let rest: Vec<&Node> =
            node.children.iter().filter(|child| !self.asked.contains(&child.name)).collect();
        rest.into_iter()
            .map(|child| {
                let key = Spanned { value: child.name.clone(), span: child.name_span };
                self.descend(&child.name, Some(child), |section| decode(key, section))
            })
            .collect()
    }

    pub(crate) fn ask(&mut self, name: &str) {
        if !self.asked.iter().any(|known| known == name) {
            self.asked.push(name.to_owned());
        }
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&'a Node> {
        self.node
            .map_or_else(Vec::new, |node| node.children.iter().filter(|child| child.name == name).collect())
    }

    /// The only child of a name; a second one is reported.
    pub(crate) fn single(&mut self, name: &str) -> Option<&'a Node> {
        self.ask(name);
        let nodes = self.named(name);
        for again in nodes.iter().skip(1) {
            self.twice(again.name_span, nodes[0].name_span, name);
        }
        nodes.first().copied()
    }

    pub(crate) fn twice(&self, again: Span, first: Span, name: &str) {
        let first = self
            .sink
            .sources
            .get(first.file as usize)
            .map(|source| Problem::new(source, first, String::new(), String::new()));
        let place = first.map_or_else(String::new, |first| format!(" at {}:{}", first.file, first.line));
        self.problem(
            again,
            format!("`{name}` is given twice"),
            format!("the first is{place}; remove one of them"),
        );
    }

    fn descend<R>(&self, name: &str, node: Option<&Node>, decode: impl FnOnce(&mut Section<'_>) -> R) -> R {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        let span = node.map_or(self.span, |node| node.name_span);
        let mut section = Section::new(self.sink, node, path, span);
        let result = decode(&mut section);
        section.finish();
        result
    }

    fn describe_child(&self, name: &str, doc: &str, repeats: bool) {
        self.sink.describe(OptionDoc {
            path: self.option_path(name),
            kind: "section".to_owned(),
            default: Default::Section,
            doc: doc.to_owned(),
            repeats,
        });
    }

    pub(crate) fn option_path(&self, name: &str) -> String {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        path.join(".")
    }

    /// Names the section in a message: "in `smtp`", or nothing at the top.
    pub(crate) fn place(&self) -> String {
        self.path.last().map_or_else(String::new, |name| format!(" in `{name}`"))
    }

    /// Reports all that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(node) = self.node else { return };
        for child in &node.children {
            if !self.open && !self.asked.contains(&child.name) {
                self.unknown(&child.name, child.name_span);
            }
        }
        for (name, span, _) in &node.properties {
            if !self.asked.contains(name) {
                self.unknown(name, *span);
            }
        }
        for value in node.arguments.iter().skip(self.arguments_read) {
            let help = if self.arguments_read == 0 && !self.asked.is_empty() {
                format!("options of `{}` stand in a block: {} {{ … }}", node.name, node.name)
            } else {
                String::new()
            };
            let message = format!("`{}` does not take the value {}", node.name, value.describe());
            self.problem(value.span, message, help);
        }
    }

    fn unknown(&self, name: &str, span: Span) {
        let help = match nearest(name, &self.asked) {
            Some(known) => format!("did you mean `{known}`?"),
            None if self.asked.is_empty() => "no options may stand here".to_owned(),
            None => {
                let mut known = self.asked.clone();
                known.sort();
                format!("known here: {}", known.join(", "))
            }
        };
        self.problem(span, format!("unknown option `{name}`{}", self.place()), help);
    }
}

/// The known name that a misspelt one was most likely meant to be.
pub(crate) fn nearest<'n>(name: &str, known: &'n [String]) -> Option<&'n String> {
    if name.len() > 64 {
        return None;
    }
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two words: insertions, deletions, replacements, and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}
