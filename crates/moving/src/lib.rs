//! Mail as other programs keep it: maildir and mbox, read and written; IMAP from the reader's side.
//!
//! Floor 2. No socket, no store, no task: files in, messages out, and back. What stands in those files was written by
//! anybody, and belongs to somebody who may want to mislead a reader with more rights: no link is followed, nothing but
//! plain files is opened, and everything that can grow has a limit.

mod described;
mod folder;
pub mod imap;
mod line_ends;
pub mod maildir;
pub mod mbox;
mod names;
mod place;

pub use described::{Described, FILE as DESCRIBED_FILE};
pub use folder::{Bad, Found, Messages, Source, SourceFolder};
pub use line_ends::{to_crlf, to_lf};
pub use names::{clean, decode_name, usual_use};

/// Largest message that is read, in octets.
pub const MESSAGE_MAX: u64 = 64 * 1024 * 1024;
/// Most folders of one source.
pub const FOLDERS_MAX: usize = 10_000;
/// Most levels of folders.
pub const LEVELS_MAX: usize = 32;
/// Most messages of one maildir folder, whose names are in memory while it is read.
pub const NAMES_MAX: usize = 10_000_000;
