//! The tree that sections walk over: KDL without its formatting, each part with its place.

use crate::problem::Span;

/// One node: `name arguments… key=value… { children }`.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) arguments: Vec<Value>,
    pub(crate) properties: Vec<(String, Span, Value)>,
    pub(crate) children: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) scalar: Scalar,
    pub(crate) span: Span,
    /// Text that came from a variable or the environment, which has no other type than text.
    pub(crate) substituted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Integer(i128),
    Float(f64),
    Flag(bool),
    Null,
    /// Text into which something could not be put, which was reported; says nothing more.
    Broken,
}

impl Value {
    /// The value as a person would name it in a sentence.
    pub(crate) fn describe(&self) -> String {
        match &self.scalar {
            Scalar::Text(text) => format!("{text:?}"),
            Scalar::Integer(number) => number.to_string(),
            Scalar::Float(number) => number.to_string(),
            Scalar::Flag(flag) => format!("#{flag}"),
            Scalar::Null => "#null".to_owned(),
            Scalar::Broken => "what cannot be put in".to_owned(),
        }
    }
}
