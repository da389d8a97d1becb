//! Settings: KDL text in, typed sections or a full list of problems out.
//!
//! A file is read into a [`Tree`] of our own: `include` is followed, variables and the environment are put in, and
//! everything keeps its place in the text. [`Tree::decode`] hands out a [`Section`], a cursor that remembers what was
//! asked for; whatever is left over is an unknown option. Nothing stops at the first mistake.

mod describe;
mod files;
mod kinds;
mod lint;
mod network;
mod node;
mod option;
mod problem;
mod read;
mod secret;
mod section;
mod substitute;
mod units;

#[cfg(test)]
mod tests;

pub use describe::{Default, OptionDoc, describe, markdown};
pub use files::TEXT_MAX;
pub use kinds::Count;
pub use lint::quote;
pub use network::Network;
pub use option::{Arg, Key, Opt};
pub use problem::{Problem, Problems, Span, Spanned};
pub use read::{DEPTH_MAX, FILES_MAX, INCLUDE_DEPTH_MAX, Tree};
pub use secret::{SECRET_MAX, secret_text};
pub use section::Section;
pub use units::{parse_duration, parse_size, print_duration, print_size};
