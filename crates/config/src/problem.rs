//! What is wrong with a configuration, and where it stands.

use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// A place in one of the files that were read: octets `start..start + len` of file number `file`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Span {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// A value with its place, for what can only be judged together with other values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

/// A file that was read, by the name under which problems show it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    /// The directory from which relative paths in it start.
    pub(crate) folder: PathBuf,
    pub(crate) text: Arc<str>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named on the command line or by `include`.
    pub file: String,
    /// Line and column, both counted from 1; the column counts characters.
    pub line: usize,
    pub column: usize,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it, if there is something to say.
    pub help: Option<String>,
    span: Span,
    text: Arc<str>,
    /// The text could not be parsed, so that nothing can be said about what it lacks.
    syntax: bool,
}

impl Problem {
    pub(crate) fn new(source: &Source, span: Span, message: String, help: String) -> Self {
        let (line, column) = place(&source.text, span.start as usize);
        Self {
            file: source.name.clone(),
            line,
            column,
            message,
            help: (!help.is_empty()).then_some(help),
            span,
            text: Arc::clone(&source.text),
            syntax: false,
        }
    }

    pub(crate) fn is_syntax(&self) -> bool {
        self.syntax
    }

    pub(crate) fn mark_syntax(&mut self) {
        self.syntax = true;
    }

    /// The line of the file with the mistake underlined, as `Display` of [`Problems`] shows it.
    fn excerpt(&self) -> String {
        if self.text.is_empty() {
            return String::new();
        }
        let line = self.text.lines().nth(self.line - 1).unwrap_or_default();
        let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let left = line.chars().count().saturating_sub(self.column - 1);
        let octets = self.span.start as usize..(self.span.start + self.span.len) as usize;
        let long =
            self.text.get(octets).map_or(1, |text| text.lines().next().unwrap_or_default().chars().count());
        let marks = "^".repeat(long.clamp(1, left.max(1)));
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(self.column - 1);
        format!(" {number} | {shown}\n {margin} | {indent}{marks}\n")
    }
}

/// Line and column, both from 1, of an octet of a text. The column counts characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let before = &text[..at];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}

impl fmt::Display for Problem {
    /// One line: `file:line:column: message (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All mistakes of a configuration, in the order of the files. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    /// Each mistake with its line, underlined, and its help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{}:{}:{}: {}", problem.file, problem.line, problem.column, problem.message)?;
            f.write_str(&problem.excerpt())?;
            if let Some(help) = &problem.help {
                writeln!(f, " help: {help}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
