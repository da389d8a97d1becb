//! One option of a section: how its value is read, what it may be, and what holds when it is not given.

use crate::describe::{self, OptionDoc};
use crate::node::{Node, Scalar, Value};
use crate::problem::{Span, Spanned};
use crate::section::Section;
use crate::units::{parse_duration, parse_size, print_duration, print_size};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

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
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

type Reader<'o, T> = Box<dyn Fn(&Value, &Context<'_>) -> Result<T, Fault> + 'o>;
type Printer<'o, T> = Box<dyn Fn(&T) -> String + 'o>;

/// What reading a value may need to know besides the value.
struct Context<'c> {
    /// The directory of the file in which the value stands.
    folder: &'c std::path::Path,
}

/// An option that was asked for. Ends with [`Opt::or`], [`Opt::required`], [`Opt::optional`] or [`Opt::many`].
#[must_use]
pub struct Opt<'s, 'a, T> {
    section: &'s mut Section<'a>,
    key: Key,
    kind: String,
    doc: String,
    read: Reader<'s, T>,
    print: Printer<'s, T>,
}

/// Integers that counts and sizes may be read as.
pub trait Count: TryFrom<u64> + Copy + PartialOrd + Display + 'static {
    fn widen(self) -> u64;
}

macro_rules! counts {
    ($($integer:ty),*) => {$(
        impl Count for $integer {
            fn widen(self) -> u64 {
                self as u64
            }
        }
    )*};
}
counts!(u8, u16, u32, u64, usize);

impl<'a> Section<'a> {
    /// Any text.
    pub fn text<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, String> {
        self.opt(key, "text", doc, |value, _| text_of(value).map(str::to_owned), |text| format!("{text:?}"))
    }

    /// A path. A relative one is taken from the directory of the file in which it stands.
    pub fn path<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, PathBuf> {
        let read = |value: &Value, context: &Context<'_>| match text_of(value)? {
            "" => Err(Fault::new("must not be empty", "")),
            text => Ok(context.folder.join(text)),
        };
        self.opt(key, "path", doc, read, |path| format!("{:?}", path.display().to_string()))
    }

    /// A whole number.
    pub fn count<'s, N: Count>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, N> {
        let read = |value: &Value, _: &Context<'_>| {
            let number = integer_of(value).ok_or_else(|| wrong(value, "a whole number", "like 100"))?;
            narrow(number)
        };
        self.opt(key, "number", doc, read, N::to_string)
    }

    /// A size in octets: `"50MiB"`, `"25MB"`, or a plain number of octets.
    pub fn size<'s, N: Count>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, N> {
        let read = |value: &Value, _: &Context<'_>| {
            let number = match (&value.scalar, integer_of(value)) {
                (_, Some(number)) => number,
                (Scalar::Text(text), None) => {
                    parse_size(text).map(i128::from).map_err(|why| odd(value, &why))?
                }
                _ => return Err(wrong(value, "a size", "like \"50MiB\"")),
            };
            narrow(number)
        };
        self.opt(key, "size", doc, read, |size: &N| format!("{:?}", print_size(size.widen())))
    }

    /// A duration with units: `"5m"`, `"1h30m"`, `"500ms"`.
    pub fn duration<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, Duration> {
        let read = |value: &Value, _: &Context<'_>| match &value.scalar {
            Scalar::Text(text) => parse_duration(text).map_err(|why| odd(value, &why)),
            Scalar::Integer(n) => Err(Fault::new(
                format!("must be a duration with a unit, not {n}"),
                format!("write \"{n}s\" for seconds or \"{n}m\" for minutes"),
            )),
            _ => Err(wrong(value, "a duration", "like \"5m\"")),
        };
        self.opt(key, "duration", doc, read, |duration| format!("{:?}", print_duration(duration)))
    }

    /// `#true` or `#false`. As a node of its own, the name alone means `#true`.
    pub fn flag<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, bool> {
        let read = |value: &Value, _: &Context<'_>| match &value.scalar {
            Scalar::Flag(flag) => Ok(*flag),
            Scalar::Text(text) if value.substituted && text == "true" => Ok(true),
            Scalar::Text(text) if value.substituted && text == "false" => Ok(false),
            _ => Err(wrong(value, "#true or #false", "")),
        };
        self.opt(key, "flag", doc, read, |flag| format!("#{flag}"))
    }

    /// An IP address and a port: `"0.0.0.0:25"`, `"[::]:25"`.
    pub fn socket<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, SocketAddr> {
        let read = |value: &Value, _: &Context<'_>| {
            let text = text_of(value)?;
            text.parse().map_err(|_| {
                let help =
                    "write an IP address and a port, like \"0.0.0.0:25\", \"127.0.0.1:25\" or \"[::]:25\"";
                Fault::new(format!("must be an IP address and a port, not {text:?}"), help)
            })
        };
        self.opt(key, "address and port", doc, read, |address| format!("\"{address}\""))
    }

    /// An IP address.
    pub fn ip<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, IpAddr> {
        let read = |value: &Value, _: &Context<'_>| {
            let text = text_of(value)?;
            text.parse().map_err(|_| Fault::new(format!("must be an IP address, not {text:?}"), ""))
        };
        self.opt(key, "IP address", doc, read, |address| format!("\"{address}\""))
    }

    /// Text that `parse` understands; `kind` says what it is, as in "a domain name".
    pub fn parsed<'s, T, E>(
        &'s mut self,
        key: impl Into<Key>,
        kind: &str,
        parse: impl Fn(&str) -> Result<T, E> + 's,
        doc: &str,
    ) -> Opt<'s, 'a, T>
    where
        T: Display,
        E: Display,
    {
        let article = kind.to_owned();
        let read = move |value: &Value, _: &Context<'_>| {
            let text = text_of(value)?;
            parse(text).map_err(|why| Fault::new(format!("must be {article}, not {text:?}"), why.to_string()))
        };
        let name = kind.strip_prefix("a ").or(kind.strip_prefix("an ")).unwrap_or(kind).to_owned();
        self.opt(key, &name, doc, read, |value| format!("{:?}", value.to_string()))
    }

    /// One of a few words.
    pub fn choice<'s, V: Clone + PartialEq>(
        &'s mut self,
        key: impl Into<Key>,
        choices: &'s [(&'static str, V)],
        doc: &str,
    ) -> Opt<'s, 'a, V> {
        let words: Vec<String> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let words = words.join(", ");
        let known: Vec<String> = choices.iter().map(|(word, _)| (*word).to_owned()).collect();
        let kind = format!("one of {words}");
        let read = move |value: &Value, _: &Context<'_>| {
            let text = text_of(value)?;
            choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| choice.clone()).ok_or_else(
                || {
                    let meant = crate::section::nearest(text, &known);
                    let help = meant.map_or_else(String::new, |word| format!("did you mean \"{word}\"?"));
                    Fault::new(format!("must be one of {words}, not {text:?}"), help)
                },
            )
        };
        let print = |value: &V| {
            choices
                .iter()
                .find(|(_, choice)| choice == value)
                .map_or(String::new(), |(w, _)| format!("\"{w}\""))
        };
        self.opt(key, &kind, doc, read, print)
    }

    fn opt<'s, T>(
        &'s mut self,
        key: impl Into<Key>,
        kind: &str,
        doc: &str,
        read: impl Fn(&Value, &Context<'_>) -> Result<T, Fault> + 's,
        print: impl Fn(&T) -> String + 's,
    ) -> Opt<'s, 'a, T> {
        Opt {
            section: self,
            key: key.into(),
            kind: kind.to_owned(),
            doc: doc.to_owned(),
            read: Box::new(read),
            print: Box::new(print),
        }
    }
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
        let context = Context { folder: folder.unwrap_or(std::path::Path::new("")) };
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

fn text_of(value: &Value) -> Result<&str, Fault> {
    match &value.scalar {
        Scalar::Text(text) => Ok(text),
        _ => Err(wrong(value, "text", &format!("put it in quotes: \"{}\"", value.describe()))),
    }
}

/// A whole number, or digits that came from a variable.
fn integer_of(value: &Value) -> Option<i128> {
    match &value.scalar {
        Scalar::Integer(number) => Some(*number),
        Scalar::Text(text) if value.substituted => text.parse().ok(),
        _ => None,
    }
}

fn narrow<N: Count>(number: i128) -> Result<N, Fault> {
    u64::try_from(number)
        .ok()
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| Fault::new(format!("is out of range: {number}"), ""))
}

fn wrong(value: &Value, kind: &str, help: &str) -> Fault {
    Fault::new(format!("must be {kind}, not {}", value.describe()), help)
}

fn odd(value: &Value, why: &str) -> Fault {
    Fault::new(format!("cannot be {}", value.describe()), why)
}

/// A place that no file has, for values made in code.
impl<T> From<T> for Spanned<T> {
    fn from(value: T) -> Self {
        Self { value, span: Span::default() }
    }
}
