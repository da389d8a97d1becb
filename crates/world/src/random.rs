//! Randomness, as a value that is handed in.

/// Fills buffers with random octets. The real one is fit for secrets.
pub trait Random: Send + Sync {
    fn fill(&self, out: &mut [u8]);

    fn u64(&self) -> u64 {
        let mut octets = [0; 8];
        self.fill(&mut octets);
        u64::from_le_bytes(octets)
    }

    /// A number below `end`, near enough to even for shuffling and jitter. 0 if `end` is 0.
    fn below(&self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.u64() % end }
    }

    /// A word of `letters` lower-case letters and digits without look-alikes (about 5 bits each).
    fn word(&self, letters: usize) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut octets = vec![0; letters];
        self.fill(&mut octets);
        octets.iter().map(|b| char::from(ALPHABET[usize::from(b & 31)])).collect()
    }
}
