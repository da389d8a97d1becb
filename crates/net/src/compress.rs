//! DEFLATE over a connection (RFC 4978), both ways.
//!
//! What comes in is unpacked in pieces of [`READ_MAX`] octets and no more is read meanwhile, so that a few octets that
//! unpack to gigabytes cost time and no memory. The compressor, some 270 KiB, lives only while output waits: each burst of
//! output begins a new one, which every inflater can read on, since raw blocks stand by themselves.

use flate2::{Compress, Compression as Level, Decompress, FlushCompress, FlushDecompress, Status};
use std::io;
use wire::READ_MAX;

/// Least room that is made for output at a time.
const STEP: usize = 1024;

/// Both directions of one connection.
pub(crate) struct Compression {
    deflate: Option<Compress>,
    inflate: Decompress,
    /// What has come in and is not unpacked yet, at most [`READ_MAX`] octets.
    packed: Vec<u8>,
    /// Octets at the front of `packed` that are done.
    used: usize,
    ended: bool,
}

impl Compression {
    pub(crate) fn new() -> Self {
        Self { deflate: None, inflate: Decompress::new(false), packed: Vec::new(), used: 0, ended: false }
    }

    /// Packs `octets`, to an end that lets the peer read all of them.
    pub(crate) fn pack(&mut self, octets: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        let deflate = self.deflate.get_or_insert_with(|| Compress::new(Level::fast(), false));
        let start = deflate.total_in();
        loop {
            out.reserve(STEP.max(octets.len() / 4));
            let done = usize::try_from(deflate.total_in() - start).unwrap_or(usize::MAX);
            deflate.compress_vec(&octets[done..], out, FlushCompress::Sync).map_err(io::Error::other)?;
            let done = usize::try_from(deflate.total_in() - start).unwrap_or(usize::MAX);
            if done == octets.len() && out.len() < out.capacity() {
                return Ok(());
            }
        }
    }

    /// All output is sent: the memory for making it is given back.
    pub(crate) fn rest(&mut self) {
        self.deflate = None;
    }

    /// Octets as they came in; only when [`Compression::unpack`] had no more.
    pub(crate) fn take_in(&mut self, octets: &[u8]) {
        self.packed.drain(..self.used);
        self.used = 0;
        self.packed.extend_from_slice(octets);
    }

    /// Unpacks into `space`; 0: more must come in first. What cannot be unpacked ends the connection.
    pub(crate) fn unpack(&mut self, space: &mut [u8; READ_MAX]) -> io::Result<usize> {
        loop {
            let (input, output) = (self.inflate.total_in(), self.inflate.total_out());
            if self.ended {
                return if self.used == self.packed.len() { Ok(0) } else { Err(broken("behind its end")) };
            }
            let rest = &self.packed[self.used..];
            let status = self.inflate.decompress(rest, space, FlushDecompress::Sync);
            let status = status.map_err(|error| broken(&error.to_string()))?;
            let used = usize::try_from(self.inflate.total_in() - input).unwrap_or(usize::MAX);
            let made = usize::try_from(self.inflate.total_out() - output).unwrap_or(usize::MAX);
            self.used += used;
            self.ended = status == Status::StreamEnd;
            if made > 0 {
                return Ok(made);
            }
            if self.used == self.packed.len() {
                self.packed = Vec::new();
                self.used = 0;
                return Ok(0);
            }
            if used == 0 && !self.ended {
                return Err(broken("no sense in it"));
            }
        }
    }
}

fn broken(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("compressed input: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unpack_all(compression: &mut Compression) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let mut space = [0; READ_MAX];
        loop {
            match compression.unpack(&mut space)? {
                0 => return Ok(out),
                n => out.extend_from_slice(&space[..n]),
            }
        }
    }

    /// Several bursts, the compressor forgotten between some of them, read in pieces of every size.
    #[test]
    fn what_is_packed_is_unpacked() {
        let mut here = Compression::new();
        let mut packed = Vec::new();
        let mut want = Vec::new();
        for burst in 0..40_u32 {
            let text = format!("* {burst} FETCH (UID {burst} FLAGS ())\r\n").repeat(burst as usize * 20);
            here.pack(text.as_bytes(), &mut packed).unwrap();
            want.extend_from_slice(text.as_bytes());
            if burst % 3 == 0 {
                here.rest();
            }
        }
        assert!(packed.len() * 4 < want.len(), "{} of {}", packed.len(), want.len());
        for size in [1, 2, 3, 7, 64, 1000, READ_MAX] {
            let mut there = Compression::new();
            let mut got = Vec::new();
            for piece in packed.chunks(size) {
                there.take_in(piece);
                got.extend(unpack_all(&mut there).unwrap());
            }
            assert!(got == want, "in pieces of {size}");
        }
    }

    #[test]
    fn each_burst_can_be_read_at_once() {
        let (mut here, mut there) = (Compression::new(), Compression::new());
        for text in ["a OK\r\n".to_owned(), String::new(), "b".to_owned(), "c".repeat(100_000)] {
            let mut packed = Vec::new();
            here.pack(text.as_bytes(), &mut packed).unwrap();
            there.take_in(&packed);
            assert!(unpack_all(&mut there).unwrap() == text.as_bytes());
        }
    }

    #[test]
    fn rubbish_is_an_error_and_a_bomb_comes_in_pieces() {
        let mut there = Compression::new();
        there.take_in(b"a NOOP in clear text\r\n");
        assert!(unpack_all(&mut there).is_err());
        let mut bomb = Vec::new();
        Compression::new().pack(&vec![0; 64 * 1024 * 1024], &mut bomb).unwrap();
        let mut there = Compression::new();
        let mut total = 0;
        let mut space = [0; READ_MAX];
        for piece in bomb.chunks(READ_MAX) {
            there.take_in(piece);
            loop {
                match there.unpack(&mut space).unwrap() {
                    0 => break,
                    n => total += n,
                }
            }
            assert!(there.packed.capacity() <= 2 * READ_MAX);
        }
        assert_eq!(total, 64 * 1024 * 1024);
    }
}
