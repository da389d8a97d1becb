//! The kinds of values that options have: text, numbers, sizes, durations, addresses, words.

use crate::node::{Scalar, Value};
use crate::option::{Context, Fault, Key, Opt};
use crate::section::Section;
use crate::units::{parse_duration, parse_size, print_duration, print_size};
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

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
            text => {
                let path = context.folder.join(text);
                context.paths.borrow_mut().push(path.clone());
                Ok(path)
            }
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

    /// A whole number that may be below zero.
    pub fn integer<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, i64> {
        let read = |value: &Value, _: &Context<'_>| {
            let number = integer_of(value).ok_or_else(|| wrong(value, "a whole number", "like -5"))?;
            i64::try_from(number).map_err(|_| Fault::new(format!("is out of range: {number}"), ""))
        };
        self.opt(key, "number", doc, read, i64::to_string)
    }

    /// A number, whole or not.
    pub fn number<'s>(&'s mut self, key: impl Into<Key>, doc: &str) -> Opt<'s, 'a, f64> {
        let read = |value: &Value, _: &Context<'_>| match &value.scalar {
            Scalar::Float(number) if number.is_finite() => Ok(*number),
            _ => integer_of(value)
                .map(|number| number as f64)
                .ok_or_else(|| wrong(value, "a number", "like 1.5")),
        };
        self.opt(key, "number", doc, read, f64::to_string)
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
