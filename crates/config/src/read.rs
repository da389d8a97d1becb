//! Files to a tree: parsing, `include`, `let`, substitution.

use crate::files::{folder_of, glob, read_text};
use crate::lint;
use crate::node::{Node, Scalar, Value};
use crate::problem::{Problem, Problems, Source, Span};
use crate::section::{Section, Sink};
use crate::substitute::{Variables, substitute};
use kdl::{KdlDocument, KdlEntry, KdlIdentifier, KdlNode, KdlValue};
use miette::SourceSpan;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most files in all.
pub const FILES_MAX: usize = 1000;
/// How deeply files may include each other.
pub const INCLUDE_DEPTH_MAX: usize = 8;
/// How deeply blocks may be nested.
pub const DEPTH_MAX: usize = lint::NESTING_MAX;

/// A configuration that was read: its nodes, the files they stand in, and what was wrong with their text.
#[derive(Debug)]
pub struct Tree {
    root: Node,
    sources: Vec<Source>,
    problems: Vec<(Span, Problem)>,
}

impl Tree {
    /// Reads a file and all that it includes. `env` looks up environment variables. Whatever is wrong, even that the
    /// file cannot be opened, is told by [`Tree::decode`].
    pub fn read(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(env);
        let nodes = match read_text(path) {
            Ok(text) => {
                reader.open.push(identity(path));
                reader.file(path.display().to_string(), folder_of(path), &text)
            }
            Err(why) => {
                reader.source(path.display().to_string(), folder_of(path), "");
                let help = "name another file with --config, or make this one readable";
                reader.syntax(Span::default(), format!("the file cannot be read: {why}"), help.to_owned());
                Vec::new()
            }
        };
        reader.finish(nodes)
    }

    /// Reads a text, which problems show under the given name. Relative paths in it start from the working directory.
    pub fn from_text(name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut reader = Reader::new(env);
        let nodes = reader.file(name.to_owned(), PathBuf::new(), text);
        reader.finish(nodes)
    }

    /// Hands the whole file to `decode` as one section, and gives its result if nothing at all was wrong. If the text
    /// itself could not be parsed, only those mistakes are told: what is missing from it says nothing.
    pub fn decode<R>(&self, decode: impl FnOnce(&mut Section<'_>) -> R) -> Result<R, Problems> {
        if self.problems.iter().any(|(_, problem)| problem.is_syntax()) {
            return Err(in_order(self.problems.clone()));
        }
        let sink = Sink {
            sources: &self.sources,
            problems: RefCell::new(self.problems.clone()),
            paths: RefCell::default(),
            options: None,
        };
        let mut section = Section::new(&sink, Some(&self.root), Vec::new(), Span::default());
        let result = decode(&mut section);
        section.finish();
        let problems = sink.problems.into_inner();
        if problems.is_empty() { Ok(result) } else { Err(in_order(problems)) }
    }
}

fn in_order(mut problems: Vec<(Span, Problem)>) -> Problems {
    problems.sort_by_key(|(span, _)| (span.file, span.start));
    problems.dedup_by(|a, b| a.1 == b.1);
    Problems(problems.into_iter().map(|(_, problem)| problem).collect())
}

struct Reader<'e> {
    sources: Vec<Source>,
    problems: Vec<(Span, Problem)>,
    variables: Variables<'e>,
    /// The files that include each other at this moment, outermost first.
    open: Vec<PathBuf>,
}

impl<'e> Reader<'e> {
    fn new(env: &'e dyn Fn(&str) -> Option<String>) -> Self {
        let variables = Variables { set: HashMap::new(), env };
        Self { sources: Vec::new(), problems: Vec::new(), variables, open: Vec::new() }
    }

    fn finish(self, children: Vec<Node>) -> Tree {
        let root = Node {
            name: String::new(),
            name_span: Span::default(),
            arguments: Vec::new(),
            properties: Vec::new(),
            children,
        };
        Tree { root, sources: self.sources, problems: self.problems }
    }

    fn source(&mut self, name: String, folder: PathBuf, text: &str) -> u32 {
        self.sources.push(Source { name, folder, text: Arc::from(text) });
        u32::try_from(self.sources.len() - 1).unwrap_or(u32::MAX)
    }

    fn problem(&mut self, span: Span, message: String, help: String) {
        if let Some(source) = self.sources.get(span.file as usize) {
            self.problems.push((span, Problem::new(source, span, message, help)));
        }
    }

    fn syntax(&mut self, span: Span, message: String, help: String) {
        self.problem(span, message, help);
        if let Some((_, problem)) = self.problems.last_mut() {
            problem.mark_syntax();
        }
    }

    fn file(&mut self, name: String, folder: PathBuf, text: &str) -> Vec<Node> {
        let file = self.source(name, folder, text);
        if let Some(at) = lint::too_deep(text) {
            let span = span(file, at..at + 1);
            self.syntax(span, format!("blocks are nested deeper than {DEPTH_MAX}"), String::new());
            return Vec::new();
        }
        match KdlDocument::parse_v2(text) {
            Ok(document) => self.nodes(&document, file),
            Err(error) => {
                let complaints: Vec<lint::Mistake> = error.diagnostics.iter().map(complaint).collect();
                for (place, message, help) in lint::explain_all(text, &complaints) {
                    self.syntax(span(file, place), message, help);
                }
                Vec::new()
            }
        }
    }

    fn nodes(&mut self, document: &KdlDocument, file: u32) -> Vec<Node> {
        let mut nodes = Vec::new();
        for node in document.nodes() {
            match node.name().value() {
                "include" => nodes.extend(self.include(node, file)),
                "let" => self.set(node, file),
                _ => nodes.extend(self.node(node, file)),
            }
        }
        nodes
    }

    /// A node; `None` where something cannot be put into its name, which is reported.
    fn node(&mut self, node: &KdlNode, file: u32) -> Option<Node> {
        self.refuse_type(node.ty(), file);
        let name_span = self.word(node.name().span(), file);
        let name = match substitute(node.name().value(), &self.variables) {
            None => Some(node.name().value().to_owned()),
            Some(Ok(made)) => Some(made),
            Some(Err((message, help))) => {
                self.problem(name_span, message, help);
                None
            }
        };
        let mut made = Node {
            name: name.clone().unwrap_or_default(),
            name_span,
            arguments: Vec::new(),
            properties: Vec::new(),
            children: Vec::new(),
        };
        for entry in node.entries() {
            let value = self.value(entry, file);
            match entry.name() {
                Some(name) => made.properties.push((name.value().to_owned(), of(name.span(), file), value)),
                None => made.arguments.push(value),
            }
        }
        if let Some(children) = node.children() {
            made.children = self.nodes(children, file);
        }
        name.map(|_| made)
    }

    fn value(&mut self, entry: &KdlEntry, file: u32) -> Value {
        self.refuse_type(entry.ty(), file);
        let span = self.word(value_span(entry), file);
        let mut substituted = false;
        let scalar = match entry.value() {
            KdlValue::String(text) => match substitute(text, &self.variables) {
                None => Scalar::Text(text.clone()),
                Some(Ok(made)) => {
                    substituted = true;
                    Scalar::Text(made)
                }
                Some(Err((message, help))) => {
                    self.problem(span, message, help);
                    Scalar::Broken
                }
            },
            KdlValue::Integer(number) => Scalar::Integer(*number),
            KdlValue::Float(number) => Scalar::Float(*number),
            KdlValue::Bool(flag) => Scalar::Flag(*flag),
            KdlValue::Null => Scalar::Null,
        };
        Value { scalar, span, substituted }
    }

    /// The place of a name or value, after a look at whether the parser cut it off.
    fn word(&mut self, at: SourceSpan, file: u32) -> Span {
        let text = self.sources.get(file as usize).map(|source| Arc::clone(&source.text));
        let cut = text.and_then(|text| lint::cut_word(&text, at.offset()..at.offset() + at.len()));
        let span = of(at, file);
        if let Some((message, help)) = cut {
            self.syntax(span, message, help);
        }
        span
    }

    fn refuse_type(&mut self, ty: Option<&KdlIdentifier>, file: u32) {
        if let Some(ty) = ty {
            let message = format!("the type annotation ({}) has no meaning here", ty.value());
            self.problem(of(ty.span(), file), message, "remove it".to_owned());
        }
    }

    /// `let name "value"`: a variable for what comes after it.
    fn set(&mut self, node: &KdlNode, file: u32) {
        let Some(node) = self.node(node, file) else { return };
        let help = || "write let name \"value\"; use it as \"$(name)\"".to_owned();
        if !node.properties.is_empty() || !node.children.is_empty() {
            return self.problem(node.name_span, "`let` takes a name and a value only".to_owned(), help());
        }
        match node.arguments.as_slice() {
            [Value { scalar: Scalar::Text(name), span, .. }, value] => {
                let text = match &value.scalar {
                    Scalar::Text(text) => text.clone(),
                    Scalar::Flag(flag) => flag.to_string(),
                    other => Value { scalar: other.clone(), ..value.clone() }.describe(),
                };
                if name.is_empty() || name.contains([':', '(', ')', '$']) {
                    let message = format!("{name:?} cannot be the name of a variable");
                    return self.problem(*span, message, "use letters, digits and hyphens".to_owned());
                }
                if self.variables.set.insert(name.clone(), text).is_some() {
                    self.problem(
                        *span,
                        format!("the variable `{name}` is set twice"),
                        "remove one".to_owned(),
                    );
                }
            }
            _ => self.problem(node.name_span, "`let` takes a name and a value".to_owned(), help()),
        }
    }

    /// `include "file"…`: the nodes of other files, as if they stood here.
    fn include(&mut self, node: &KdlNode, file: u32) -> Vec<Node> {
        let mut nodes = Vec::new();
        let Some(node) = self.node(node, file) else { return nodes };
        if node.arguments.is_empty() || !node.properties.is_empty() || !node.children.is_empty() {
            let help = "write include \"file.conf\" or include \"conf.d/*.conf\"".to_owned();
            self.problem(node.name_span, "`include` takes names of files only".to_owned(), help);
        }
        for value in &node.arguments {
            match &value.scalar {
                Scalar::Text(name) => nodes.extend(self.include_matching(name, value.span)),
                Scalar::Broken => {}
                _ => self.problem(value.span, "`include` takes names of files".to_owned(), String::new()),
            }
        }
        nodes
    }

    fn include_matching(&mut self, name: &str, at: Span) -> Vec<Node> {
        let folder =
            self.sources.get(at.file as usize).map(|source| source.folder.clone()).unwrap_or_default();
        let pattern = folder.join(name);
        let paths = match glob(&pattern) {
            Ok(paths) => paths,
            Err(message) => {
                self.problem(at, message, String::new());
                return Vec::new();
            }
        };
        paths.into_iter().flat_map(|path| self.include_one(&path, at)).collect()
    }

    fn include_one(&mut self, path: &Path, at: Span) -> Vec<Node> {
        let shown = path.display().to_string();
        let itself = identity(path);
        if self.open.len() > INCLUDE_DEPTH_MAX || self.open.contains(&itself) {
            let message =
                format!("{shown} is included within itself, or more than {INCLUDE_DEPTH_MAX} files deep");
            self.problem(at, message, "remove this `include`".to_owned());
            return Vec::new();
        }
        if self.sources.len() >= FILES_MAX {
            self.problem(at, format!("more than {FILES_MAX} files are included"), String::new());
            return Vec::new();
        }
        match read_text(path) {
            Ok(text) => {
                self.open.push(itself);
                let nodes = self.file(shown, folder_of(path), &text);
                self.open.pop();
                nodes
            }
            Err(why) => {
                self.problem(at, format!("{shown} cannot be read: {why}"), String::new());
                Vec::new()
            }
        }
    }
}

/// What two names of one file have in common.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What the parser complains of.
fn complaint(diagnostic: &kdl::KdlDiagnostic) -> lint::Mistake {
    let at = diagnostic.span.offset();
    let message = diagnostic.message.clone().unwrap_or_else(|| "this cannot be understood here".to_owned());
    (at..at + diagnostic.span.len(), message, diagnostic.help.clone().unwrap_or_default())
}

fn span(file: u32, octets: std::ops::Range<usize>) -> Span {
    let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Span { file, start: small(octets.start), len: small(octets.end.saturating_sub(octets.start)) }
}

fn of(at: SourceSpan, file: u32) -> Span {
    span(file, at.offset()..at.offset() + at.len())
}

/// The place of an entry's value alone: that of a property includes its name.
fn value_span(entry: &KdlEntry) -> SourceSpan {
    let whole = entry.span();
    let Some(length) = entry.format().map(|format| format.value_repr.len()).filter(|n| *n <= whole.len())
    else {
        return whole;
    };
    SourceSpan::from((whole.offset() + whole.len() - length, length))
}
