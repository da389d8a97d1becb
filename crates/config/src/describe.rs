//! The list of all options, made by the same calls that decode them.

use crate::problem::Span;
use crate::section::{Section, Sink};
use std::cell::RefCell;

/// One option, or one section, as documentation shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptionDoc {
    /// Names from the top, joined by dots; a positional argument and a free name stand in angle brackets.
    pub path: String,
    /// What the value is, with its range.
    pub kind: String,
    pub default: Default,
    pub doc: String,
    /// It may stand several times.
    pub repeats: bool,
}

/// What holds when an option is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Default {
    Required,
    /// The value in the form in which it would be written.
    Value(String),
    /// Nothing, which the option's documentation explains.
    None,
    /// It is a section and has no value itself.
    Section,
}

/// Lists the options that `decode` asks for, in the order of its calls.
pub fn describe<R>(decode: impl FnOnce(&mut Section<'_>) -> R) -> Vec<OptionDoc> {
    let options = Some(RefCell::new(Vec::new()));
    let sink = Sink { sources: &[], problems: RefCell::new(Vec::new()), paths: RefCell::default(), options };
    let mut section = Section::new(&sink, None, Vec::new(), Span::default());
    decode(&mut section);
    drop(section);
    sink.options.map(RefCell::into_inner).unwrap_or_default()
}

/// The list as Markdown: a heading for each top-level section, and a table below it.
pub fn markdown(options: &[OptionDoc]) -> String {
    let mut text = String::new();
    let mut group: Option<String> = None;
    for option in options {
        let top = match option.path.split_once('.') {
            Some((top, _)) => Some(top.to_owned()),
            None if option.default == Default::Section => Some(option.path.clone()),
            None => None,
        };
        if group != top || text.is_empty() {
            if let Some(name) = &top {
                text.push_str(&format!("\n## `{name}`\n"));
            }
            if option.default == Default::Section && top.is_some() {
                text.push_str(&format!("\n{}\n", option.doc));
            }
            text.push_str("\n| option | value | default | meaning |\n|---|---|---|---|\n");
            group = top;
            if option.default == Default::Section {
                continue;
            }
        }
        text.push_str(&row(option));
    }
    text
}

fn row(option: &OptionDoc) -> String {
    let default = match &option.default {
        Default::Required => "required".to_owned(),
        Default::Value(value) => format!("`{}`", value.replace('|', "\\|")),
        Default::None | Default::Section => String::new(),
    };
    let name = option.path.split_once('.').map_or(option.path.as_str(), |(_, name)| name);
    let repeats = if option.repeats { " (may repeat)" } else { "" };
    let cell = |text: &str| text.replace('|', "\\|");
    format!("| `{}` | {}{repeats} | {default} | {} |\n", cell(name), cell(&option.kind), cell(&option.doc))
}
