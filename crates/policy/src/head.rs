//! A message as checks and signatures see it: its header in memory, its body to be read from a place on.

use mail::{Message, header};
use std::collections::HashMap;
use std::io::{self, Read};

/// How much of a body is read at a time.
const PIECE: usize = 64 * 1024;

/// The header of a message with its blank line, and where the body begins.
pub(crate) struct Head {
    pub(crate) octets: Vec<u8>,
    body_at: u64,
}

impl Head {
    /// Reads at most [`header::HEADER_MAX`] octets; what lies beyond counts as body.
    pub(crate) fn read(message: &Message) -> io::Result<Self> {
        let octets = header::read(&mut message.reader())?;
        Ok(Self { body_at: octets.len() as u64, octets })
    }

    /// Hands the body to `take` in pieces.
    pub(crate) fn each_piece_of_body(
        &self,
        message: &Message,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        let mut reader = message.reader();
        io::copy(&mut (&mut reader).take(self.body_at), &mut io::sink())?;
        let mut piece = vec![0; PIECE];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(got) => take(&piece[..got]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn fields(&self) -> RawFields<'_> {
        RawFields::of(&self.octets)
    }
}

/// A field as it is hashed: both sides of the colon untouched, the last line break included.
#[derive(Clone, Copy)]
pub(crate) struct RawField<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
}

/// The fields of a header in order, with an index by name, so that no signature can make the search slow.
pub(crate) struct RawFields<'a> {
    pub(crate) all: Vec<RawField<'a>>,
    by_name: HashMap<Vec<u8>, Vec<usize>>,
}

impl<'a> RawFields<'a> {
    fn of(header: &'a [u8]) -> Self {
        let mut fields = Self { all: Vec::new(), by_name: HashMap::new() };
        for field in header::fields(header).filter(|field| !field.name.is_empty()) {
            let raw = &header[field.start..field.end];
            let Some(colon) = raw.iter().position(|b| *b == b':') else { continue };
            let at = fields.all.len();
            fields.all.push(RawField { name: &raw[..colon], value: &raw[colon + 1..] });
            fields.by_name.entry(field.name.to_ascii_lowercase()).or_default().push(at);
        }
        fields
    }

    /// Where the fields of a name (lower case) stand, from the top.
    pub(crate) fn named(&self, name: &str) -> &[usize] {
        self.by_name.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }
}
