//! What every source of messages has: folders, and messages in them, one after the other.

use std::io;

/// A folder of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFolder {
    /// The whole name, levels separated by `/`.
    pub name: String,
    /// `\Sent` and the like, where the source says so.
    pub special_use: Option<String>,
    pub subscribed: bool,
    /// Where it is within the source, for people.
    pub place: String,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What it is called in the source, for people: the name of its file, or its number.
    pub name: String,
    /// With the line ends of messages on the wire.
    pub octets: Vec<u8>,
    /// As IMAP names them: `\Seen`, or keywords.
    pub flags: Vec<String>,
    /// Seconds since 1970.
    pub received: Option<i64>,
}

/// A message that cannot be read, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub name: String,
    pub why: String,
}

/// Mail in files.
pub trait Source: Send {
    /// The folders, parents first.
    fn folders(&self) -> &[SourceFolder];

    /// The messages of the folder of this number, in their order. Trouble with the folder as a whole is an error.
    fn messages(&self, folder: usize) -> io::Result<Messages<'_>>;
}

/// Messages, read one at a time.
pub type Messages<'s> = Box<dyn Iterator<Item = io::Result<Result<Found, Bad>>> + Send + 's>;
