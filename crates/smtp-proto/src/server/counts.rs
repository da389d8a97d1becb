//! What a session counts, to know when it is enough.

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) mails: usize,
    pub(super) errors: usize,
    pub(super) refusals: usize,
    /// Those of them that are for good: not what we put off, which may be trouble of our own.
    pub(super) rejections: usize,
    /// Messages that were taken.
    pub(super) accepted: usize,
    pub(super) surplus: usize,
    pub(super) idle: usize,
    /// Octets of refused content that were read and thrown away, since the last command.
    pub(super) drained: u64,
}
