//! The octets of a message on their way from the wire to a blob, for the doors.

use crate::refusal;
use mail::blob::MEMORY_MAX;
use mail::header::{self, HEADER_MAX};
use mail::{Blob, Reply, Spool, Status};
use std::io;
use std::path::Path;
use tracing::error;

/// Octets that are collected before a thread is asked to write them.
const WRITE_MIN: usize = 128 * 1024;

/// Collects a message: in memory while it is small, then in a file, written by threads that may wait for the disk.
pub struct Reception {
    /// `None` once the disk has failed: the rest is thrown away, and the sender is asked to come again.
    spool: Option<Spool>,
    waiting: Vec<u8>,
    failed: Option<io::Error>,
}

impl Reception {
    /// `dir` is for messages that are too large for memory.
    pub fn new(dir: &Path) -> Self {
        Self { spool: Some(Spool::new(dir)), waiting: Vec::new(), failed: None }
    }

    /// Takes the next octets. Trouble shows in [`Reception::finish`].
    pub async fn push(&mut self, octets: &[u8]) {
        let Some(spool) = &mut self.spool else { return };
        // What waits to be written comes first: from the first octet that waits on, all go the same way.
        if self.waiting.is_empty() && spool.len() + octets.len() as u64 <= MEMORY_MAX as u64 {
            // Memory only: nothing here can wait.
            if let Err(error) = spool.push(octets) {
                self.fail(error);
            }
            return;
        }
        self.waiting.extend_from_slice(octets);
        if self.waiting.len() >= WRITE_MIN {
            self.write().await;
        }
    }

    async fn write(&mut self) {
        let Some(mut spool) = self.spool.take() else { return };
        let octets = std::mem::take(&mut self.waiting);
        let written = tokio::task::spawn_blocking(move || spool.push(&octets).map(|()| spool)).await;
        match written.map_err(io::Error::other).flatten() {
            Ok(spool) => self.spool = Some(spool),
            Err(error) => self.fail(error),
        }
    }

    fn fail(&mut self, error: io::Error) {
        error!(%error, "a message cannot be written down while it comes in");
        (self.spool, self.waiting) = (None, Vec::new());
        self.failed = Some(error);
    }

    /// The whole message, or what the sender hears.
    pub async fn finish(mut self) -> Result<Blob, Reply> {
        if !self.waiting.is_empty() {
            self.write().await;
        }
        match (self.spool, self.failed) {
            (Some(spool), _) => with_all_of_its_header(spool.finish()).await,
            (None, Some(error)) => Err(refusal::of_disk(&error)),
            (None, None) => Err(refusal::of_disk(&io::Error::other("the spool is gone"))),
        }
    }
}

/// Refuses a message whose header is longer than what is looked at: behind that might stand a second From, or results in
/// our name, which no check would see and a reader would.
async fn with_all_of_its_header(blob: Blob) -> Result<Blob, Reply> {
    if blob.len() <= HEADER_MAX as u64 {
        return Ok(blob);
    }
    let work = move || {
        let seen = header::read(&mut blob.reader())?;
        Ok::<_, io::Error>((header::length(&seen).is_some(), blob))
    };
    match tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten() {
        Ok((true, blob)) => Ok(blob),
        Ok((false, _)) => {
            let text = format!("The header is longer than {HEADER_MAX} octets");
            Err(Reply::new(552, Status::permanent(3, 4), text))
        }
        Err(error) => Err(refusal::of_disk(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().build().unwrap()
    }

    #[test]
    fn small_and_large_come_out_as_they_went_in() {
        let dir = std::env::temp_dir();
        // Pieces of many sizes, so that small ones come right after those that fill the memory.
        let sizes = [16 * 1024, 1, 9000, 3, 16 * 1024, 500];
        for size in [0, 1, MEMORY_MAX, MEMORY_MAX + 1, 3 * MEMORY_MAX + 7] {
            let mut octets: Vec<u8> = (0..size).map(|n| u8::try_from(n % 251).unwrap()).collect();
            octets.splice(..0, *b"\r\n");
            octets.truncate(size);
            let blob = runtime().block_on(async {
                let mut reception = Reception::new(&dir);
                let mut rest = octets.as_slice();
                for most in sizes.iter().cycle() {
                    let (piece, tail) = rest.split_at(rest.len().min(*most));
                    reception.push(piece).await;
                    rest = tail;
                    if rest.is_empty() {
                        break;
                    }
                }
                reception.finish().await.unwrap()
            });
            assert_eq!(blob.to_vec().unwrap(), octets);
        }
    }

    #[test]
    fn a_header_that_is_not_seen_whole_is_refused() {
        for (fields, rest, is_taken) in [
            (HEADER_MAX - 4, "\r\n\r\n", true),
            (HEADER_MAX - 4, "\r\n\r\nFrom: b@b.example\r\n", true),
            (HEADER_MAX - 3, "\r\n\r\n", false),
            (HEADER_MAX, "\r\nFrom: b@b.example\r\n\r\nx", false),
            (HEADER_MAX + 5, "", false),
            (HEADER_MAX, "", true),
        ] {
            let octets = [b"X: ".to_vec(), vec![b'x'; fields - 3], rest.as_bytes().to_vec()].concat();
            let taken = runtime().block_on(async {
                let mut reception = Reception::new(&std::env::temp_dir());
                for piece in octets.chunks(16 * 1024) {
                    reception.push(piece).await;
                }
                reception.finish().await
            });
            match taken {
                Ok(blob) => assert!(is_taken && blob.to_vec().unwrap() == octets, "{fields} {rest:?}"),
                Err(reply) => {
                    assert!(
                        !is_taken && reply.to_string().starts_with("552 5.3.4 The header is longer"),
                        "{reply}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_disk_that_fails_is_told_at_the_end() {
        let reply = runtime().block_on(async {
            let mut reception = Reception::new(Path::new("/nowhere/at/all"));
            for _ in 0..40 {
                reception.push(&[b'x'; 16 * 1024]).await;
            }
            reception.finish().await.unwrap_err()
        });
        assert_eq!(reply.code / 100, 4);
    }
}
