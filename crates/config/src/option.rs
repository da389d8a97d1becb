//! One option of a section: how its value is read, what it may be, and what holds when it is not given.

use crate::describe::{self, OptionDoc};
use crate::node::{Node, Scalar, Value};
use crate::problem::{Span, Spanned};
use crate::section::Section;
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The next positional argument of the section's node, with the name that documentation and messages give it.
#[derive(Clone, Copy, Debug)]
pub struct Arg(pub &'static str);

/// Where an option stands: as a child node or property of a name, or as the next argument.
#[derive(Clone, Copy, Debug)]
pub enum Key {
    Name(&'static str),
    Argument(&'static str),
}

impl From<&'static str> for Key {
    fn from(name: &'static str) -> Self {
        Self::Name(name)
    }
}

impl From<Arg> for Key {
    fn from(Arg(name): Arg) -> Self {
        Self::Argument(name)
    }
}

impl Key {
    fn name(self) -> &'static str {
        match self {
            Self::Name(name) | Self::Argument(name) => name,
        }
    }
}

/// Why a value does not fit: a message that follows the option's name, and help, which may be empty.
pub(crate) struct Fault {
    message: String,
    help: String,
}

impl Fault {
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

pub(crate) type Reader<'o, T> = Box<dyn Fn(&Value, &Context<'_>) -> Result<T, Fault> + 'o>;
pub(crate) type Printer<'o, T> = Box<dyn Fn(&T) -> String + 'o>;

/// What reading a value may need to know besides the value.
pub(crate) struct Context<'c> {
    /// The directory of the file in which the value stands.
    pub(crate) folder: &'c std::path::Path,
    /// Where the paths that are named are noted.
    pub(crate) paths: &'c RefCell<Vec<PathBuf>>,
}

/// An option that was asked for. Ends with [`Opt::or`], [`Opt::required`], [`Opt::optional`] or [`Opt::many`].
#[must_use]
pub struct Opt<'s, 'a, T> {
    pub(crate) section: &'s mut Section<'a>,
    pub(crate) key: Key,
    pub(crate) kind: String,
    pub(crate) doc: String,
    pub(crate) read: Reader<'s, T>,
    pub(crate) print: Printer<'s, T>,
}

impl<'s, 'a, T: 's> Opt<'s, 'a, T> {
    /// Refuses values outside of the range.
    pub fn within(self, range: RangeInclusive<T>) -> Self
    where
        T: PartialOrd,
    {
        let Self { section, key, mut kind, doc, read, print } = self;
        let (low, high) = (print(range.start()), print(range.end()));
        kind.push_str(&format!(", {low} to {high}"));
        let read: Reader<'s, T> = Box::new(move |value, context| {
            let inner = read(value, context)?;
            if range.contains(&inner) {
                return Ok(inner);
            }
            Err(Fault::new(format!("must be between {low} and {high}, not {}", value.describe()), ""))
        });
        Self { section, key, kind, doc, read, print }
    }

    /// Refuses values for which `check` gives a sentence that follows the option's name ("must …").
    pub fn check(self, check: impl Fn(&T) -> Result<(), String> + 's) -> Self {
        let Self { section, key, kind, doc, read, print } = self;
        let read: Reader<'s, T> = Box::new(move |value, context| {
            let inner = read(value, context)?;
            check(&inner).map_err(|message| Fault::new(message, ""))?;
            Ok(inner)
        });
        Self { section, key, kind, doc, read, print }
    }

    /// Keeps the place beside the value. The place of a default is that of the section.
    pub fn spanned(self) -> Opt<'s, 'a, Spanned<T>> {
        let Self { section, key, kind, doc, read, print } = self;
        let read: Reader<'s, Spanned<T>> =
            Box::new(move |value, context| Ok(Spanned { value: read(value, context)?, span: value.span }));
        let print: Printer<'s, Spanned<T>> = Box::new(move |spanned: &Spanned<T>| print(&spanned.value));
        Opt { section, key, kind, doc, read, print }
    }

    /// The value, or a default where it is not given (or is wrong, which is reported).
    pub fn or(self, default: T) -> T {
        self.describe(describe::Default::Value((self.print)(&default)));
        self.single().unwrap_or(default)
    }

    /// The value; that it is missing or wrong is reported and gives `None`.
    pub fn required(self) -> Option<T> {
        self.describe(describe::Default::Required);
        self.look(&mut |opt| {
            let place = opt.section.place();
            let message = format!("`{}` is missing{place}", opt.key.name());
            opt.section.problem(opt.section.span(), message, format!("it is {}: {}", opt.kind, opt.doc));
        })
    }

    /// The value, or `None` where it is not given (or is wrong, which is reported).
    pub fn optional(self) -> Option<T> {
        self.describe(describe::Default::None);
        self.single()
    }

    /// All values: of nodes of this name, each with one or more arguments; or all arguments that are left.
    pub fn many(self) -> Vec<T> {
        self.section.sink.describe(OptionDoc { repeats: true, ..self.doc(describe::Default::None) });
        let mut values = Vec::new();
        match (self.key, self.section.node) {
            (Key::Name(name), node) => {
                self.section.ask(name);
                for child in self.section.named(name) {
                    self.report_block(child);
                    if child.arguments.is_empty() {
                        self.report_empty(child);
                    }
                    values.extend(child.arguments.iter());
                }
                let properties = node.into_iter().flat_map(|node| &node.properties);
                values.extend(properties.filter(|(key, _, _)| key == name).map(|(_, _, value)| value));
            }
            (Key::Argument(_), Some(node)) => {
                values.extend(node.arguments.iter().skip(self.section.arguments_read));
                self.section.arguments_read = node.arguments.len().max(self.section.arguments_read);
            }
            (Key::Argument(_), None) => {}
        }
        values.into_iter().filter_map(|value| self.accept(value)).collect()
    }

    fn single(self) -> Option<T> {
        self.look(&mut |_| {})
    }

    /// The one value of the option; calls `missing` if there is none.
    fn look(self, missing: &mut dyn FnMut(&Self)) -> Option<T> {
        let node = self.section.node;
        match self.key {
            Key::Argument(_) => {
                let value = node.and_then(|node| node.arguments.get(self.section.arguments_read));
                self.section.arguments_read += 1;
                match value {
                    Some(value) => self.accept(value),
                    None => {
                        missing(&self);
                        None
                    }
                }
            }
            Key::Name(name) => {
                let child = self.section.single(name);
                let mut properties = node
                    .into_iter()
                    .flat_map(|node| &node.properties)
                    .filter(|(key, _, _)| key == name)
                    .peekable();
                let mut first = child.map(|child| child.name_span);
                for (_, span, _) in properties.clone() {
                    match first {
                        Some(first) => self.section.twice(*span, first, name),
                        None => first = Some(*span),
                    }
                }
                match (child, properties.next()) {
                    (Some(child), _) => self.only_argument(child),
                    (None, Some((_, _, value))) => self.accept(value),
                    (None, None) => {
                        missing(&self);
                        None
                    }
                }
            }
        }
    }

    /// Reads `name value`, where nothing else may stand.
    fn only_argument(&self, child: &Node) -> Option<T> {
        self.report_block(child);
        for extra in child.arguments.iter().skip(1) {
            let message = format!("`{}` takes one value only", child.name);
            self.section.problem(extra.span, message, format!("remove {}", extra.describe()));
        }
        match child.arguments.first() {
            Some(value) => self.accept(value),
            None if self.kind == "flag" => {
                let value = Value { scalar: Scalar::Flag(true), span: child.name_span, substituted: false };
                self.accept(&value)
            }
            None => {
                self.report_empty(child);
                None
            }
        }
    }

    fn report_empty(&self, child: &Node) {
        let message = format!("`{}` has no value", child.name);
        self.section.problem(child.name_span, message, format!("it is {}: {}", self.kind, self.doc));
    }

    fn report_block(&self, child: &Node) {
        let inner = child.children.iter().map(|inner| (&inner.name, inner.name_span));
        let properties = child.properties.iter().map(|(name, span, _)| (name, *span));
        for (name, span) in properties.chain(inner) {
            let message = format!("unknown option `{name}` in `{}`", child.name);
            self.section.problem(span, message, format!("`{}` takes a value and no options", child.name));
        }
    }

    fn accept(&self, value: &Value) -> Option<T> {
        let folder =
            self.section.sink.sources.get(value.span.file as usize).map(|source| source.folder.as_path());
        let folder = folder.unwrap_or(std::path::Path::new(""));
        let context = Context { folder, paths: &self.section.sink.paths };
        if value.scalar == Scalar::Broken {
            return None;
        }
        match (self.read)(value, &context) {
            Ok(value) => Some(value),
            Err(fault) => {
                let message = format!("`{}` {}", self.key.name(), fault.message);
                self.section.problem(value.span, message, fault.help);
                None
            }
        }
    }

    fn doc(&self, default: describe::Default) -> OptionDoc {
        let name = match self.key {
            Key::Name(name) => name.to_owned(),
            Key::Argument(name) => format!("<{name}>"),
        };
        OptionDoc {
            path: self.section.option_path(&name),
            kind: self.kind.clone(),
            default,
            doc: self.doc.clone(),
            repeats: false,
        }
    }

    fn describe(&self, default: describe::Default) {
        self.section.sink.describe(self.doc(default));
    }
}

/// A place that no file has, for values made in code.
impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Self { value, span: Span::default() }
    }
}
