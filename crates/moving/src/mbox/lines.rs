//! Lines of a file, and where they begin. No line is kept in memory beyond what there is room for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

/// Octets that are read at once.
const BUFFER: usize = 128 * 1024;

/// A file that is read line by line.
pub(super) struct Lines {
    input: BufReader<File>,
    /// Where the next line begins.
    at: u64,
}

impl Lines {
    pub(super) fn new(file: File) -> Self {
        Self { input: BufReader::with_capacity(BUFFER, file), at: 0 }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// Adds the next line with its end to `into`, but no more than `room` octets of it. Returns its length in the file; 0
    /// at the end.
    pub(super) fn next(&mut self, into: &mut Vec<u8>, room: usize) -> io::Result<u64> {
        let (mut length, mut room) = (0, room);
        loop {
            let buffer = self.input.fill_buf()?;
            let end = buffer.iter().position(|octet| *octet == b'\n');
            let count = end.map_or(buffer.len(), |end| end + 1);
            let kept = count.min(room);
            into.extend_from_slice(&buffer[..kept]);
            room -= kept;
            self.input.consume(count);
            length += count as u64;
            self.at += count as u64;
            if end.is_some() || count == 0 {
                return Ok(length);
            }
        }
    }

    /// Goes to a place.
    pub(super) fn seek(&mut self, at: u64) -> io::Result<()> {
        self.at = self.input.seek(SeekFrom::Start(at))?;
        Ok(())
    }

    /// Exactly so many octets; `None` if the file ends before.
    pub(super) fn exactly(&mut self, count: u64) -> io::Result<Option<Vec<u8>>> {
        let mut octets = Vec::new();
        let read = (&mut self.input).take(count).read_to_end(&mut octets)? as u64;
        self.at += read;
        Ok((read == count).then_some(octets))
    }
}
